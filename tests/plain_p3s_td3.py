"""P3S-TD3 as a plain loop over learners made of modules and optimisers of torch; what its test compares with."""

from __future__ import annotations

import copy
from collections import deque
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters

from evorl.algorithms.p3s_td3 import Config
from evorl.population import Population
from evorl.selection import NOBODY
from evorl.streams import Streams


def plain_actor() -> nn.Sequential:
    """Return a policy of two coordinates from two, with four hidden units."""
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2), nn.Tanh())


class PlainLearner:
    """One learner with its environment: modules and optimisers of torch, and numbers from its own streams."""

    def __init__(self, start: Population, row: int, config: Config) -> None:
        self.config, self.row, self.streams = config, row, Streams(config.seed)
        self.actor = plain_actor()
        self.critics = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)) for _ in range(2)])
        vector_to_parameters(start.params[row].clone(), self.actor.parameters())
        vector_to_parameters(start.traits["critic"][row].clone(), self.critics.parameters())
        self.target_actor, self.target_critics = copy.deepcopy(self.actor), copy.deepcopy(self.critics)
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=config.learner.actor_learning_rate)
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), lr=config.learner.critic_learning_rate)
        settings: dict[str, Any] = dict(config.env_kwargs)
        self.env: gymnasium.Env[NDArray[np.float32], NDArray[np.float32]] = gymnasium.make(config.env_id, **settings)
        self.returns: deque[float] = deque(maxlen=10)
        self.total, self.starts, self.updates, self.ended = 0.0, 0, 0, True
        self.observation = np.zeros(2, np.float32)
        self.begin_period()

    def begin_period(self) -> None:
        """Remember the policy that changes are measured from."""
        self.begun = copy.deepcopy(self.actor)
        self.distances: list[tuple[float, float]] = []

    def act(self, generation: int, warming: bool) -> tuple[Tensor, ...]:
        """Take a step and return the transition."""
        if self.ended:
            seed = self.streams.episode_seed("episode", generation, self.row, self.starts)
            self.observation, self.total = self.env.reset(seed=seed)[0], 0.0
            self.starts += 1
        explore, seen = self.streams.generator("explore", self.row), torch.from_numpy(self.observation)
        if warming:
            action = torch.from_numpy(explore.random(2, dtype=np.float32)) * 2 - 1
        else:
            noise = torch.from_numpy(explore.standard_normal(2, dtype=np.float32))
            action = (self.actor(seen) + 0.1 * noise).clamp(-1, 1).detach()
        self.observation, reward, terminated, truncated, _ = self.env.step(action.numpy())
        self.total, self.ended = self.total + float(reward), terminated or truncated
        if self.ended:
            self.returns.append(self.total)
        end = torch.tensor(float(terminated))
        return seen, action, torch.tensor(float(reward)), torch.from_numpy(self.observation), end

    def update(self, stored: list[tuple[Tensor, ...]], pull: float, reference: nn.Module) -> None:
        """Update once from a minibatch of `stored`, the actor pulled to the reference."""
        batch, c = self.config.learner.batch_size, self.config.learner
        places = self.streams.generator("minibatch", self.row).integers(len(stored), size=batch)
        states, actions, rewards, following, ends = (
            torch.stack(column) for column in zip(*(stored[place] for place in places.tolist()), strict=True)
        )
        normals = self.streams.generator("target_noise", self.row).standard_normal((batch, 2), dtype=np.float32)
        with torch.no_grad():
            smoothing = (torch.from_numpy(normals) * c.target_noise).clamp(-c.target_noise_clip, c.target_noise_clip)
            next_actions = (self.target_actor(following) + smoothing).clamp(-1, 1)
            first, second = (critic(torch.cat([following, next_actions], 1))[:, 0] for critic in self.target_critics)
            targets = rewards + c.discount * (1 - ends) * torch.minimum(first, second)
        values = [critic(torch.cat([states, actions], 1))[:, 0] for critic in self.critics]
        self._descend(self.critic_adam, sum(((v - targets) ** 2).mean() for v in values))
        self.updates += 1
        if self.updates % c.policy_delay == 0:
            chosen = self.actor(states)
            loss = -self.critics[0](torch.cat([states, chosen], 1)).mean()
            spread, change = (self._distance(chosen, other(states).detach()) for other in (reference, self.begun))
            means = [distance.detach().clamp(1e-4, 1e4).mean().item() for distance in (spread, change)]
            self.distances.append((means[0], means[1]))
            self._descend(self.actor_adam, loss + pull * spread.mean() if pull else loss)
            pairs = ((self.actor, self.target_actor), (self.critics, self.target_critics))
            for network, target in pairs:
                for new, old in zip(network.parameters(), target.parameters(), strict=True):
                    old.data.copy_(c.tau * new.data + (1 - c.tau) * old.data)

    def _distance(self, actions: Tensor, others: Tensor) -> Tensor:
        squares = (actions - others) ** 2 / 2
        return squares.sum(1) if self.config.distance == "sum" else squares.mean(1)

    @staticmethod
    def _descend(optimiser: torch.optim.Optimizer, loss: Any) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


class PlainRun:
    """The loop of the paper: one replay, a period, then beta and the best."""

    def __init__(self, start: Population, config: Config) -> None:
        self.config, self.beta, self.best, self.generation, self.steps = config, config.beta, NOBODY, 0, 0
        self.spread = self.change = np.nan
        self.learners = [PlainLearner(start, row, config) for row in range(len(start))]
        self.reference = copy.deepcopy(self.learners[0].actor)
        self.stored: list[tuple[Tensor, ...]] = []

    def period(self) -> None:
        """Let all learners act and learn, then choose the best."""
        for learner in self.learners:
            learner.begin_period()
        for _ in range(self.config.interval):
            warming = self.steps < self.config.warmup_steps
            self.stored += [learner.act(self.generation, warming) for learner in self.learners]
            self.steps += 1
            for learner in [] if warming else self.learners * self.config.updates_per_step:
                pulled = self.best not in {NOBODY, learner.row}
                learner.update(self.stored, self.beta if pulled else 0.0, self.reference)
        self.generation += 1
        before, means = self.best, [np.mean(learner.returns) for learner in self.learners]
        self.best = int(np.argmax(means))
        if before != NOBODY and self.learners[0].distances:
            self._adapt(before if self.config.order == "paper" else self.best)
        self.reference = copy.deepcopy(self.learners[self.best].actor)

    def _adapt(self, left_out: int) -> None:
        others = [learner for learner in self.learners if learner.row != left_out]
        self.spread, self.change = np.mean([np.mean(learner.distances, axis=0) for learner in others], axis=0)
        least = self.config.minimum_distance * (2 if self.config.distance == "sum" else 1)
        wanted = max(self.config.rho * self.change, least)
        self.beta *= 2 if self.spread > 1.5 * wanted else 0.5 if self.spread < wanted / 1.5 else 1
