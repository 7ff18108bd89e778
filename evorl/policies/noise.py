"""Exploration noise that remembers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evorl.policies.network import Network
from evorl.policies.normaliser import normalise
from evorl.population import Population
from evorl.streams import RowStreams


class OrnsteinUhlenbeck:
    """ERL's noise: `state += theta (0 - state) + sigma normal`, of which `scale * state` is added to an action.

    There is no time step, and the state goes on from one episode to the next.

    Args:
        rows: members, each with a state of its own.
        action_size: length of an action.
        theta: pull towards zero.
        sigma: standard deviation of a step.
        scale: factor on what is added.
    """

    def __init__(
        self, rows: int, action_size: int, theta: float = 0.15, sigma: float = 0.2, scale: float = 0.3
    ) -> None:
        self.theta, self.sigma, self.scale = theta, sigma, scale
        self.state = torch.zeros(rows, action_size, dtype=torch.float64)

    def step(self, normals: Tensor) -> Tensor:
        """Advance by standard normals (n, a) and return the noise (n, a).

        Raises:
            ValueError: they are not of all rows.
        """
        if len(normals) != len(self.state):
            raise ValueError(f"normals must be of all {len(self.state)} rows, got {len(normals)}")
        self.state = self.state - self.theta * self.state + self.sigma * normals.double()
        return self.scale * self.state

    def clear(self, rows: Sequence[int]) -> None:
        """Let the states of `rows` be as they were at first."""
        self.state = self.state.index_fill(0, torch.tensor(rows, dtype=torch.int64), 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        return {"state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.state = state["state"]


class NoisyPolicy:
    """A deterministic network that explores by Ornstein-Uhlenbeck noise, clipped to [-1, 1].

    Args:
        network: from observations to actions.
        noise: one row a member.
    """

    def __init__(self, network: Network, noise: OrnsteinUhlenbeck) -> None:
        self.network = network
        self.noise = noise

    def act(self, members: Population, observations: Tensor, streams: RowStreams | None = None) -> Tensor:
        """Return an action (n, a) in [-1, 1] for each member's observation (n, o)."""
        with torch.no_grad():
            actions = self.network(members.params, normalise(members.traits, observations)[:, None])[:, 0]
            if streams is None:
                return actions
            noise = self.noise.step(streams.normal(actions.shape[1]))
            return (actions + noise.to(actions)).clamp_(-1, 1)
