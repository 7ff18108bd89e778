"""What the tests of policy gradients compare with: members one by one, as modules, optimisers and laws of torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from evorl.interaction import Rollout
from evorl.learning.policy_gradient import PolicyGradient
from evorl.policies import NetworkConfig, StochasticPolicy, stochastic_policy
from evorl.population import Identities, Population, Transitions
from evorl.streams import Streams
from evorl.task import Task

OBSERVATIONS = 3
TASKS = {
    "gaussian": Task("none", OBSERVATIONS, (-1.0, -1.0), (1.0, 1.0), None),
    "categorical": Task("none", OBSERVATIONS, (0.0,), (3.0,), None, choices=4),
}
NETWORK = NetworkConfig(hidden_sizes=(7,), activation="tanh")
CRITIC = NetworkConfig(hidden_sizes=(6,), activation="tanh")


def policy_of(task: Task) -> StochasticPolicy:
    return stochastic_policy(task, NETWORK)


def members_of(learner: PolicyGradient, n: int, **traits: Tensor) -> Population:
    """Return new members; what they inherit is named in `traits`, or comes from the learner."""
    streams = Streams(1)
    params = learner.policy.network.init(streams.rows("initialise", range(n)))
    return Population.fresh(params, Identities(), "initial", {**learner.init(params, streams), **traits})


def rollout_of(task: Task, n: int, length: int, seed: int, padded: bool = False) -> Rollout:
    """Return steps of random content, in which episodes end in terminal states and at time limits.

    Where it is padded, a row is shorter than the one before it, filled up with what must not matter, and its last
    step ends an episode.
    """
    g = torch.Generator().manual_seed(seed)
    observations, following = (3 + 2 * torch.randn(n, length, OBSERVATIONS, generator=g) for _ in range(2))
    actions = torch.randn(n, length, task.action_size, generator=g)
    if task.choices is not None:
        actions = torch.randint(task.choices, (n, length, 1), generator=g).float()
    terminated = (torch.rand(n, length, generator=g) < 0.1).float()
    ended = torch.maximum(terminated, (torch.rand(n, length, generator=g) < 0.1).float())
    weights = torch.ones(n, length)
    for row in range(n if padded else 0):
        weights[row, length - row :] = 0
        ended[row, length - row - 1] = 1
    rewards = torch.randn(n, length, generator=g)
    return Rollout(Transitions(observations, actions, rewards, following, terminated), ended, weights)


class PlainPolicy(nn.Module):
    """One policy with the parameters of a row."""

    def __init__(self, task: Task, row: Tensor) -> None:
        super().__init__()
        self.discrete = task.choices is not None
        self.net = nn.Sequential(nn.Linear(OBSERVATIONS, 7), nn.Tanh(), nn.Linear(7, task.choices or task.action_size))
        size = sum(param.numel() for param in self.net.parameters())
        self.log_std = nn.Parameter(row[size:].clone())
        vector_to_parameters(row[:size].clone(), self.net.parameters())

    def law(self, observations: Tensor) -> Any:
        outputs = self.net(observations)
        if self.discrete:
            return Categorical(logits=outputs)
        return Independent(Normal(outputs, self.log_std.exp()), 1)

    def log_prob(self, observations: Tensor, actions: Tensor) -> Tensor:
        found: Tensor = self.law(observations).log_prob(actions[:, 0] if self.discrete else actions)
        return found

    def used(self) -> list[nn.Parameter]:
        """Return the parameters that the law depends on."""
        return list(self.net.parameters()) + ([] if self.discrete else [self.log_std])

    def row(self) -> Tensor:
        return torch.cat([parameters_to_vector(self.net.parameters()), self.log_std]).detach()


class PlainCritic(nn.Module):
    """One value network with the parameters of a row."""

    def __init__(self, row: Tensor) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(OBSERVATIONS, 6), nn.Tanh(), nn.Linear(6, 1))
        vector_to_parameters(row.clone(), self.net.parameters())

    def forward(self, observations: Tensor) -> Tensor:
        values: Tensor = self.net(observations)[:, 0]
        return values

    def row(self) -> Tensor:
        return parameters_to_vector(self.net.parameters()).detach()


class PlainNormaliser:
    """Keeps all that was seen, and normalises with NumPy's mean and standard deviation of it."""

    def __init__(self) -> None:
        self.seen = np.zeros((0, OBSERVATIONS))

    def __call__(self, observations: Tensor) -> Tensor:
        if not len(self.seen):
            return observations.clamp(-10, 10)
        scaled = (observations.double().numpy() - self.seen.mean(0)) / np.sqrt(self.seen.var(0) + 1e-8)
        return torch.from_numpy(np.float32(scaled.clip(-10, 10)))

    def see(self, observations: Tensor) -> None:
        self.seen = np.concatenate([self.seen, observations.double().numpy()])


def row_of(rollout: Rollout, row: int) -> dict[str, Tensor]:
    """Return the steps of one member that count, by name."""
    columns = {name: column for name, column in vars(rollout.transitions).items() if column is not None}
    columns["ended"] = rollout.ended
    return {name: column[row][rollout.weights[row] > 0] for name, column in columns.items()}


def advantages_by_hand(
    steps: dict[str, Tensor], values: Tensor, next_values: Tensor, discount: float, gae_lambda: float
) -> Tensor:
    """Return the sum over what followed in the episode of `(discount lambda)^k delta`, step by step."""
    rewards, terminated, ended = (steps[name].double() for name in ("rewards", "terminated", "ended"))
    errors = rewards + discount * (1 - terminated) * next_values.double() - values.double()
    found = []
    for start in range(len(errors)):
        total, factor = 0.0, 1.0
        for place in range(start, len(errors)):
            total += factor * errors[place].item()
            factor *= discount * gae_lambda
            if ended[place]:
                break
        found.append(total)
    return torch.tensor(found)


def standardised(values: Tensor) -> Tensor:
    return (values - values.mean()) / (values.std(correction=0) + 1e-8)
