"""Training: what lets members act and learn for a while, whatever their learner is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from evorl.population import Population


class Training(Protocol):
    """Members that act and learn in environments of their own.

    What a member inherits is in its traits; what is bound to a slot (environments in mid-episode, replays, noise with a
    memory) is here.
    """

    @property
    def exact(self) -> bool:
        """Whether everything that was resumed could be brought back to where it stood."""

    def init(self, params: Tensor) -> dict[str, Tensor]:
        """Return the traits of new members with parameters (n, d)."""

    def act_and_learn(self, candidates: Population, steps: int, generation: int) -> Population:
        """Return the members after `steps` steps of each, under the same ids, and what they learned from them."""

    def state_dict(self) -> dict[str, Any]:
        """Return where every slot stands."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
