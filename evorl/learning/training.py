"""Training: what lets members act and learn for a while, whatever their learner is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from torch import Tensor

from evorl.population import Population

#: What becomes of the replay in the slot of who copies: kept, its donor's copied, cleared, or shared by all.
OnCopy = Literal["keep", "copy", "clear", "shared"]


class NoTraining:
    """Training without an environment, in an algorithm that overrides `learn`: slots hold nothing."""

    exact = True
    tunable: Mapping[str, tuple[float, float]] = {}

    def follow(self, plan: Tensor, replay: OnCopy) -> None:
        """Do nothing; what a copy inherits is in its traits."""

    def renew(self, rows: Sequence[int]) -> None:
        """Do nothing."""

    def warm_up(self, candidates: Population, rows: Sequence[int], generation: int) -> Population:
        """Return the members as they are."""
        return candidates

    def init(self, params: Tensor, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return no traits."""
        return {}

    def act_and_learn(self, candidates: Population, steps: int, generation: int) -> Population:
        """Raise NotImplementedError: `learn` is not overridden."""
        raise NotImplementedError("learn must be overridden where there is no environment to act in")

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""


class Training(Protocol):
    """Members that act and learn in environments of their own.

    What a member inherits is in its traits; what is bound to a slot (environments in mid-episode, replays, noise with a
    memory) is here.
    """

    @property
    def exact(self) -> bool:
        """Whether everything that was resumed could be brought back to where it stood."""

    @property
    def tunable(self) -> Mapping[str, tuple[float, float]]:
        """What may differ from member to member, and the range in which it makes sense."""

    def follow(self, plan: Tensor, replay: OnCopy) -> None:
        """Let the slots go along with a copying: who copies begins a new episode, and its replay is as `replay` says.

        `plan` (n,) holds the row that each member was copied from, its own if it was not.
        """

    def renew(self, rows: Sequence[int]) -> None:
        """Let the slots `rows` be as they were at first, for new members: no episode, no replay, no warm-up yet."""

    def warm_up(self, candidates: Population, rows: Sequence[int], generation: int) -> Population:
        """Return the members after the warm-up of only `rows`, under the same ids; as they are if there is none."""

    def init(self, params: Tensor, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return the traits of new members with parameters (n, d) in the slots `rows`."""

    def act_and_learn(self, candidates: Population, steps: int, generation: int) -> Population:
        """Return the members after `steps` steps of each, under the same ids, and what they learned from them."""

    def state_dict(self) -> dict[str, Any]:
        """Return where every slot stands."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
