"""What several test files need: a task whose observations say where they come from, and a count of every step.

Importing this module registers the task `tests/Oracle-v0`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray

from evorl.envs import describe
from evorl.journal import Journal, records_of
from evorl.policies import MLP, DeterministicPolicy, NetworkConfig
from evorl.population import Identities, Population
from evorl.streams import Streams
from evorl.task import Task

ORACLE = "tests/Oracle-v0"

Observation = NDArray[np.float32]


def number_of(seed: int) -> float:
    """Return the first coordinate of every observation of the oracle's episode from `seed`; exact in float32."""
    return seed % 65_536 / 65_536


class Oracle(gymnasium.Env[Observation, Observation]):
    """Observations are (number of the episode's seed, step); the reward is the step plus the sum of the action.

    The time limit is that of `gymnasium.make(..., max_episode_steps=...)`; without one, episodes end only by
    termination.

    Args:
        terminate_at: step that ends in a terminal state; 0 for none.
        spread: an episode terminates up to `spread - 1` steps later, which depends on its seed.
        raise_at: step that raises; 0 for none.
        nan_at: step whose observation is NaN; 0 for none.
        nan_reward_at: step whose reward is NaN; 0 for none.
        repeats: whether an episode from the same seed is the same again.
    """

    def __init__(
        self,
        terminate_at: int = 0,
        spread: int = 1,
        raise_at: int = 0,
        nan_at: int = 0,
        nan_reward_at: int = 0,
        repeats: bool = True,
    ) -> None:
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        self.terminate_at, self.spread, self.repeats = terminate_at, spread, repeats
        self.raise_at, self.nan_at, self.nan_reward_at = raise_at, nan_at, nan_reward_at
        self.seed, self.steps, self.resets = 0, 0, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start the episode of `seed`, which must be given."""
        if seed is None:
            raise ValueError("every reset must have a seed")
        super().reset(seed=seed)
        self.seed, self.steps = seed, 0
        self.resets += 1
        return self._observation(), {}

    def step(self, action: Observation) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Count a step."""
        self.steps += 1
        if self.steps == self.raise_at:
            raise RuntimeError("the oracle is\nsilent")
        observation = np.full(2, np.nan, np.float32) if self.steps == self.nan_at else self._observation()
        reward = float("nan") if self.steps == self.nan_reward_at else self.steps + float(action.sum())
        return observation, reward, self.steps == self.last_step, False, {}

    @property
    def last_step(self) -> int:
        """Step that terminates; 0 for none."""
        return self.terminate_at and self.terminate_at + self.seed % self.spread

    def _observation(self) -> Observation:
        drift = 0 if self.repeats else self.resets
        return np.array([number_of(self.seed) + drift, self.steps], np.float32)


def register() -> None:
    """Make the oracle known to Gymnasium; again without effect."""
    if ORACLE not in gymnasium.registry:
        gymnasium.register(ORACLE, entry_point="support:Oracle")


register()


def oracle(time_limit: int | None = None, **kwargs: int | bool) -> Task:
    """Return the task of an oracle with a time limit and the arguments of `Oracle`."""
    limit = {} if time_limit is None else {"max_episode_steps": time_limit}
    return describe(ORACLE, {**limit, **kwargs})


class Counting(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Counts the calls of `step` and `reset`.

    Attributes:
        steps: calls of `step`, over all episodes.
        resets: calls of `reset`.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.steps, self.resets = 0, 0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Count and step."""
        self.steps += 1
        return self.env.step(action)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Count and reset."""
        self.resets += 1
        return self.env.reset(seed=seed, options=options)


@contextmanager
def counted() -> Iterator[list[Counting]]:
    """Wrap every environment made inside, of whatever task, and give the wrappers in the order of making."""
    made: list[Counting] = []
    make = gymnasium.make

    def make_counted(*args: Any, **kwargs: Any) -> Counting:
        made.append(Counting(make(*args, **kwargs)))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gymnasium, "make", make_counted)
        yield made


def total_steps(made: list[Counting]) -> int:
    """Return the steps of all environments that `counted` gave."""
    return sum(environment.steps for environment in made)


def small_policy(task: Task, exploration_noise: float = 0.0) -> DeterministicPolicy:
    """Return a policy with one hidden layer of 4 units."""
    network = MLP(task.observation_size, task.action_size, NetworkConfig(hidden_sizes=(4,)), output="tanh")
    return DeterministicPolicy(network, exploration_noise)


def members_of(policy: DeterministicPolicy, n: int, seed: int = 0) -> Population:
    """Return `n` fresh members with parameters of their own."""
    params = policy.network.init(Streams(seed).rows("initialise", range(n)))
    return Population.fresh(params, Identities(), "initial")


def same(first: Any, second: Any) -> bool:
    """Whether two nested states are equal to the last bit, NaN being equal to NaN."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, Journal) or isinstance(second, Journal):
        return same(records_of(first), records_of(second))
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, torch.Tensor | np.ndarray):
        one, other = np.asarray(first), np.asarray(second)
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(first == second)
