"""Counting what steps an algorithm takes: in the environments that it was given, and in those that it made itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gymnasium.wrappers import OrderEnforcing
from numpy.typing import NDArray

from evorl.envs.member_envs import MemberEnvs, Stepped


class Elsewhere:
    """Steps of Gymnasium's environments, all of which `gymnasium.make` wraps alike, but those of `CountingEnvs`.

    Attributes:
        steps: taken so far.
        given: whether those taken now are of a `CountingEnvs`.
    """

    def __init__(self) -> None:
        self.steps, self.given = 0, False

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count meanwhile."""
        step = OrderEnforcing.step

        def counting(env: Any, action: Any) -> Any:
            self.steps += not self.given
            return step(env, action)

        OrderEnforcing.step = counting  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            OrderEnforcing.step = step  # type: ignore[method-assign]


class CountingEnvs:
    """MemberEnvs that count how many rows were stepped; what is taken in them is not `elsewhere`."""

    def __init__(self, envs: MemberEnvs, elsewhere: Elsewhere) -> None:
        self.reset, self.close = envs.reset, envs.close
        self._envs, self._elsewhere = envs, elsewhere
        self.steps = 0

    def step(self, rows: Sequence[int], actions: NDArray[Any]) -> Stepped:
        """Step as the environments do, and count."""
        self.steps += len(rows)
        self._elsewhere.given = True
        try:
            return self._envs.step(rows, actions)
        finally:
            self._elsewhere.given = False
