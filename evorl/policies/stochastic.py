"""Policies that draw their actions from a distribution: what policy gradients train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import torch
from torch import Tensor

from evorl.policies.network import Network
from evorl.policies.normaliser import normalise
from evorl.population import Population
from evorl.streams import RowStreams


class Distribution(Protocol):
    """Of the actions of n members on b observations each."""

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the logarithm of the density or probability of actions (n, b, a): (n, b)."""

    def entropy(self) -> Tensor:
        """Return the entropy, in nats: (n, b)."""

    def mode(self) -> Tensor:
        """Return the likeliest actions: (n, b, a)."""

    def sample(self, streams: RowStreams) -> Tensor:
        """Draw an action for each of n observations, b = 1: (n, 1, a)."""


class StochasticPolicy(ABC):
    """A network whose outputs are a distribution of actions; exploring is drawing from it.

    What it computes of parameters is pure: observations are taken as they are. Only `act` normalises them.

    Args:
        network: from observations to what the distribution needs.
    """

    def __init__(self, network: Network) -> None:
        self.network = network

    @abstractmethod
    def distribution(self, params: Tensor, observations: Tensor) -> Distribution:
        """Return the distribution of the actions of n rows (n, d) on their observations (n, b, o)."""

    def act(self, members: Population, observations: Tensor, streams: RowStreams | None = None) -> Tensor:
        """Return an action (n, a) for each member's observation (n, o); without streams the likeliest."""
        with torch.no_grad():
            seen = normalise(members.traits, observations)
            distribution = self.distribution(members.params, seen[:, None])
            return (distribution.mode() if streams is None else distribution.sample(streams))[:, 0]

    def log_prob(self, params: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the log-probability (n, b) of actions (n, b, a) on observations (n, b, o)."""
        return self.distribution(params, observations).log_prob(actions)

    def entropy(self, params: Tensor, observations: Tensor) -> Tensor:
        """Return the entropy (n, b), in nats, on observations (n, b, o)."""
        return self.distribution(params, observations).entropy()
