"""Policies: how members turn observations into actions in [-1, 1]."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from evorl.policies.network import MLP
from evorl.population import Population
from evorl.streams import RowStreams


class Policy(Protocol):
    """What acts; `network` gives the meaning of a row of parameters."""

    network: MLP

    def act(self, members: Population, observations: Tensor, streams: RowStreams | None = None) -> Tensor:
        """Return an action (n, a) in [-1, 1] for each member's observation (n, o), without gradient.

        Without streams the policy is deterministic; with them it explores, drawing from each member's own.
        """


class DeterministicPolicy:
    """A network with a tanh at its end; explores by Gaussian noise on the action, clipped to [-1, 1].

    Args:
        network: from observations to actions.
        exploration_noise: standard deviation, in units of the action's half range.
    """

    def __init__(self, network: MLP, exploration_noise: float = 0.0) -> None:
        self.network = network
        self.exploration_noise = exploration_noise

    def act(self, members: Population, observations: Tensor, streams: RowStreams | None = None) -> Tensor:
        """Return an action (n, a) in [-1, 1] for each member's observation (n, o)."""
        with torch.no_grad():
            actions = self.network(members.params, observations[:, None])[:, 0]
            if streams is None:
                return actions
            noise = self.exploration_noise * streams.normal(actions.shape[1])
            return (actions + noise.to(actions.device)).clamp_(-1, 1)
