"""CEM-RL in plain PyTorch, one network after another, as the authors' code runs it: what ours is measured against.

Sample the Gaussian; train the shared critic and then the actor for each of the first half; play an episode with every
sample in an environment of Gymnasium's; refit. It computes what `evorl.algorithms.cem_rl` computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from benchmarks.evaluation import PlainLoop
from benchmarks.plain_td3 import PlainTD3, perceptron
from evorl.algorithms.cem_rl import Config
from evorl.learning import TD3Config
from evorl.task import Task


class Ring:
    """A replay as arrays of one size, written step by step.

    Args:
        capacity: transitions that it holds.
        task: sizes of observation and action.
    """

    def __init__(self, capacity: int, task: Task) -> None:
        o, a = task.observation_size, task.action_size
        self.columns = [np.empty((capacity, width), np.float32) for width in (o, a, 1, o, 1)]
        self.tensors = [torch.from_numpy(column) for column in self.columns]
        self.capacity, self.added = capacity, 0

    def add(self, transition: Sequence[Any]) -> None:
        """Store one transition, over the oldest where the ring is full."""
        place = self.added % self.capacity
        for column, value in zip(self.columns, transition, strict=True):
            column[place] = value
        self.added += 1

    def sample(self, batch: int, generator: torch.Generator) -> list[Tensor]:
        """Return observations, actions, rewards, next observations and terminated of `batch` transitions."""
        chosen = torch.randint(min(self.added, self.capacity), (batch,), generator=generator)
        observations, actions, rewards, following, terminated = (tensor[chosen] for tensor in self.tensors)
        return [observations, actions, rewards[:, 0], following, terminated[:, 0]]


class PlainCEMRL:
    """The loop.

    Args:
        config: settings of CEM-RL with TD3.
        task: what is played.
    """

    def __init__(self, config: Config, task: Task) -> None:
        if not isinstance(config.learner, TD3Config):
            raise TypeError(f"learner must be TD3, got {type(config.learner).__name__}")
        self.config, self.learner, self.task = config, config.learner, task
        sizes = (task.observation_size, *config.network.hidden_sizes, task.action_size)
        self.actors: list[nn.Module] = [perceptron(sizes, nn.Tanh, nn.Tanh) for _ in range(config.population_size)]
        values = (task.observation_size + task.action_size, *self.learner.critic.hidden_sizes, 1)
        self.critics = [perceptron(values, nn.LeakyReLU) for _ in range(2)]
        self.trainer = PlainTD3(self.actors[0], self.critics, self.learner)
        self.loop, self.ring = PlainLoop(task, self.actors), Ring(config.replay_size, task)
        self.random, self.generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
        self.mean = parameters_to_vector(self.actors[0].parameters()).detach().double().numpy()
        self.variance = np.full_like(self.mean, config.variance_init)
        self.extra = config.variance_init

    def vary(self) -> None:
        """Sample the Gaussian, each sample with its mirror image, into the actors."""
        half = self.random.standard_normal((len(self.actors) // 2, len(self.mean))) * np.sqrt(self.variance)
        for actor, row in zip(self.actors, self.mean + np.concatenate([half, -half]), strict=True):
            vector_to_parameters(torch.from_numpy(np.float32(row)), actor.parameters())

    def learn(self, updates: int) -> None:
        """Train each actor of the first half for `updates` updates, and before it the critic for its share of them."""
        for row, actor in enumerate(self.actors[: self.config.trained]):
            for _ in range(updates // self.config.trained):
                self.critic_update(actor, *self.critic_minibatch(row))
            adam = torch.optim.Adam(actor.parameters(), lr=self.learner.actor_learning_rate, fused=True)
            self.trainer.actor, self.trainer.actor_adam = actor, adam
            for _ in range(updates):
                self.trainer.actor_step(self.actor_minibatch(row))

    def critic_minibatch(self, _row: int) -> tuple[list[Tensor], Tensor]:
        """Return a minibatch and its smoothing noise for the critic when it trains with an actor."""
        batch = self.ring.sample(self.learner.batch_size, self.generator)
        return batch, torch.randn(batch[1].shape, generator=self.generator)

    def actor_minibatch(self, _row: int) -> Tensor:
        """Return observations for an actor to learn on."""
        return self.ring.sample(self.learner.batch_size, self.generator)[0]

    def critic_update(self, actor: nn.Module, batch: Sequence[Tensor], noise: Tensor) -> None:
        """Update the critic, which `actor` chooses the target action for, and its target."""
        self.trainer.critic_step(batch, noise, actor)
        self.trainer.critic_target_step()

    def evaluate(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Return every actor's return of one episode, every step of which is stored."""
        kept: list[tuple[Any, ...]] = []
        returns = self.loop.play(seeds, kept)
        for transition in kept:
            self.ring.add(transition)
        return np.asarray(returns)

    def select(self, fitness: NDArray[np.float64]) -> None:
        """Refit the Gaussian to the better half, with the divisor of the authors' code."""
        half = len(self.actors) // 2
        best = np.argsort(-fitness, kind="stable")[:half]
        rows = [parameters_to_vector(self.actors[row].parameters()).detach().double().numpy() for row in best]
        weights = np.log((1 + half) / np.arange(1, half + 1))
        weights /= weights.sum()
        decay, parents = self.config.variance_decay, np.stack(rows)
        self.extra = decay * self.extra + (1 - decay) * self.config.variance_end
        self.variance = weights @ np.square(parents - self.mean) / half + self.extra
        self.mean = weights @ parents
