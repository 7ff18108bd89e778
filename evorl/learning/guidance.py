"""The pull of P3S-TD3 (Jung, Park & Sung 2020): members that are not the best also approach the best one's policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from evorl.errors import require_at_least
from evorl.learning.traits import State
from evorl.policies import Network
from evorl.policies.distance import Coordinates, policy_distance

#: Bounds of the distance at one observation before it enters a running mean; those of the authors' code.
LOWEST, HIGHEST = 1e-4, 1e4


def new_distances(params: Tensor) -> dict[str, Tensor]:
    """Return the traits in which members with parameters (n, d) record distances from now on.

    They are the policies that changes are measured from, and the sums of what was measured how often.
    """
    nothing = torch.zeros(len(params), dtype=torch.float64, device=params.device)
    return {
        "distance.from": params.clone(),
        "distance.spread": nothing,
        "distance.change": nothing.clone(),
        "distance.count": nothing.clone(),
    }


def mean_distances(state: State) -> tuple[Tensor, Tensor]:
    """Return the recorded means (n,) of spread and change; NaN where nothing was recorded."""
    return state["distance.spread"] / state["distance.count"], state["distance.change"] / state["distance.count"]


@dataclass(frozen=True, kw_only=True)
class GuidanceConfig:
    """How strongly members are pulled and how distances are measured; the defaults are those of the authors' code."""

    beta: float = 1.0
    """First weight of the pull; 0 for a shared replay only."""
    rho: float = 2.0
    """How many of their own changes in a period the others are to stand away from the best."""
    minimum_distance: float = 0.05
    """How far they are to stand away at least, in the mean over the coordinates of an action."""
    distance: Coordinates = "mean"
    """What the distance does over the coordinates of an action: their mean, as in the code, or their sum."""
    distance_at: Literal["running", "period_end"] = "running"
    """Whether distances are averaged over the period's minibatches, or measured on one of each learner at its end."""
    order: Literal["paper", "code"] = "paper"
    """Whose distances adapt beta: those of who was not the best in the period, or is not in the next."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        for name in ("beta", "rho", "minimum_distance"):
            require_at_least(name, getattr(self, name), 0)


@dataclass(frozen=True)
class Guidance:
    """A further loss of actors: `pull * D(actor, reference)`, D averaged over the observations.

    The trait `pull` (n,) is a member's weight: beta, or 0 for the best one, which then learns as it would alone.

    Attributes:
        network: that of all policies.
        reference: (1, d) the policy that members are pulled to; it gets no gradient.
        coordinates: what D does over the coordinates of an action.
        records: whether every call also records, in the traits of `new_distances`, how far the members are from the
            reference and from where they started. The authors' code measures so, once an update, though after it.
    """

    network: Network
    reference: Tensor
    coordinates: Coordinates
    records: bool = False

    def __call__(self, actors: Tensor, state: State, observations: Tensor) -> Tensor:
        """Return the loss (n,) of actors (n, d) on observations (n, b, o)."""
        spread = self._distance(actors, self.reference.detach(), observations)
        if self.records:
            with torch.no_grad():
                change = self._distance(actors, state["distance.from"], observations)
            for name, distance in (("spread", spread.detach()), ("change", change)):
                state[f"distance.{name}"].add_(distance.double().clamp(LOWEST, HIGHEST).mean(-1))
            state["distance.count"].add_(1)
        return state["pull"] * spread.mean(-1)

    def _distance(self, actors: Tensor, others: Tensor, observations: Tensor) -> Tensor:
        return policy_distance(self.network, actors, others, observations, self.coordinates)
