"""Policies: how members turn observations into actions."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from evorl.policies.network import Network
from evorl.policies.normaliser import normalise
from evorl.population import Population
from evorl.streams import RowStreams


class Policy(Protocol):
    """What acts."""

    @property
    def network(self) -> Network:
        """What gives the meaning of a row of parameters."""

    def act(self, members: Population, observations: Tensor, streams: RowStreams | None = None) -> Tensor:
        """Return an action (n, a) for each member's observation (n, o), without gradient.

        It is in [-1, 1] (what a stochastic policy draws beyond is clipped at the environment's door) or the index of a
        choice. Without streams the policy is deterministic; with them it explores, drawing from each member's own. It
        sees observations normalised by the members' traits, where they have such.
        """


class DeterministicPolicy:
    """A network with a tanh at its end; explores by Gaussian noise on the action, clipped to [-1, 1].

    Args:
        network: from observations to actions.
        exploration_noise: standard deviation, in units of the action's half range; a member's own trait
            `h.exploration_noise` comes before it.
    """

    def __init__(self, network: Network, exploration_noise: float = 0.0) -> None:
        self.network = network
        self.exploration_noise = exploration_noise

    def act(self, members: Population, observations: Tensor, streams: RowStreams | None = None) -> Tensor:
        """Return an action (n, a) in [-1, 1] for each member's observation (n, o)."""
        with torch.no_grad():
            seen = normalise(members.traits, observations)
            actions = self.network(members.params, seen[:, None])[:, 0]
            if streams is None:
                return actions
            own = members.traits.get("h.exploration_noise")
            scale = self.exploration_noise if own is None else own.to(actions)[:, None]
            return (actions + scale * streams.normal(actions.shape[1]).to(actions.device)).clamp_(-1, 1)
