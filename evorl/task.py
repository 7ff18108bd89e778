"""Task: what an algorithm needs to know of an environment."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from tyro.constructors import PrimitiveConstructorSpec

from evorl.errors import ConfigError


def _value(text: str) -> bool | int | float | str:
    """Return the plain value that `text` spells, or else the text."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, bool | int | float) else text


def _pairs(words: list[str]) -> dict[str, bool | int | float | str]:
    for word in words:
        if "=" not in word:
            raise ValueError(f"name=value was needed, got {word!r}")
    return {name: _value(text) for name, _, text in (word.partition("=") for word in words)}


#: Arguments of an environment; on the command line, words name=value.
Arguments = Annotated[
    dict[str, bool | int | float | str],
    PrimitiveConstructorSpec(
        nargs="*",
        metavar="[NAME=VALUE ...]",
        instance_from_str=_pairs,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda kwargs: [f"{name}={value}" for name, value in kwargs.items()],
    ),
]


@cache
def _bounds(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[NDArray[Any], ...]:
    """Return lower and upper bound, middle and half the range of actions, each (a,), not to be changed."""
    lowest, highest = np.array(low, np.float32), np.array(high, np.float32)
    return lowest, highest, (highest + lowest) / 2, (highest - lowest) / 2


#: What steps the environments: of `auto`, the fastest that gives what Gymnasium gives.
Backend = Literal["auto", "gymnasium", "mujoco-batch"]


@dataclass(frozen=True)
class Task:
    """The sizes, bounds and time limit of an environment.

    An action has coordinates in [-1, 1] that `scale` maps to the bounds; or, where there are choices, it is the index
    of one, from 0, as its only coordinate.

    Attributes:
        env_id: Gymnasium's id.
        env_kwargs: arguments of `gymnasium.make`.
        observation_size: length of the flattened observation.
        action_low: lower bound of each action coordinate; the first of the choices.
        action_high: upper bound of each action coordinate; the last of the choices.
        time_limit: steps after which an episode is truncated; None if it never is.
        choices: number of discrete actions; None where actions are continuous.
        delayed_reward: steps from one payment of the rewards to the next; 0 where each is paid at once.
        backend: what steps the environments; all give the same numbers.
    """

    env_id: str
    observation_size: int
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    time_limit: int | None
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    choices: int | None = None
    delayed_reward: int = 0
    backend: Backend = "auto"

    @classmethod
    def without_environment(cls, name: str) -> Task:
        """Return what stands for a task where there is nothing to act in, and members learn from something else."""
        return cls(name, 0, (), (), None)

    @property
    def has_environment(self) -> bool:
        """Whether there is anything to act in."""
        return self.action_size > 0

    @property
    def action_size(self) -> int:
        """Number of action coordinates."""
        return len(self.action_low)

    def scale(self, actions: NDArray[np.float32]) -> NDArray[Any]:
        """Map actions (..., a) to those of the environment.

        From [-1, 1] to its bounds, beyond which they are clipped; an index (..., 1) to the integer of the choice.
        """
        if self.choices is not None:
            return actions.astype(np.int64) + int(self.action_low[0])
        low, high, middle, half = _bounds(self.action_low, self.action_high)
        scaled: NDArray[np.float32] = np.clip(middle + half * actions, low, high)
        return scaled

    def require_continuous(self) -> None:
        """Raise ConfigError if actions are discrete; for policies that cannot choose."""
        if self.choices is not None:
            got = f"{self.env_id} with Discrete({self.choices})"
            raise ConfigError(
                f"env_id must name a task with Box actions, got {got}; svpg, and the learners a2c and ppo, take both"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the task in plain values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Task:
        """Return the task that `state` describes."""
        plain = dict(state)
        plain["action_low"], plain["action_high"] = tuple(plain["action_low"]), tuple(plain["action_high"])
        return cls(**plain)
