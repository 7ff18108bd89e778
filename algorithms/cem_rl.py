"""CEM-RL (Pourchot & Sigaud 2019): CEM, half of whose samples learn from a shared critic before they are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from evorl import learning
from evorl.algorithms import cem
from evorl.errors import ConfigError, require_at_least, require_between
from evorl.evaluation import Report
from evorl.interaction import Replay
from evorl.learning import CriticSchedule, DDPGConfig, DeterministicLearnerConfig, SharedCritic, TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population

_CRITIC = NetworkConfig(hidden_sizes=(400, 300), activation="leaky_relu")
_TD3 = TD3Config(critic=_CRITIC, batch_size=100, actor_learning_rate=1e-3, critic_learning_rate=1e-3)
_DDPG = DDPGConfig(
    critic=_CRITIC,
    critic_architecture="joint",
    batch_size=100,
    actor_learning_rate=1e-3,
    critic_learning_rate=1e-3,
    tau=0.005,
    gradient_clip=None,
)
_QUICK = TD3Config(critic=NetworkConfig(hidden_sizes=(64, 64)), actor_learning_rate=1e-3, critic_learning_rate=1e-3)


@dataclass(frozen=True, kw_only=True)
class Config(cem.Config):
    """Settings of CEM-RL; the defaults are those of the authors' code, which made the published figures."""

    learner: DeterministicLearnerConfig = field(default_factory=lambda: _TD3)
    """The updates of critic and actors."""
    gradient_members: int | None = None
    """How many of the samples are trained, the first ones; half of them if not given, 0 for pure CEM."""
    critic_schedule: CriticSchedule = "sequential"
    """Whether the critic trains with one actor after another, or with all at once on the mean of their losses."""
    start_steps: int = 10_000
    """Environment steps before the first gradient; nothing is caught up later."""
    replay_size: int = 1_000_000
    """Transitions kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("start_steps", self.start_steps, 0)
        require_between("gradient_members", self.trained, 0, self.population_size)
        if self.importance_mixing and not self.reusable:
            raise ConfigError(f"gradient_members must leave samples for importance_mixing to keep, got {self.trained}")

    @property
    def trained(self) -> int:
        """How many samples are trained."""
        return self.population_size // 2 if self.gradient_members is None else self.gradient_members

    @property
    def reusable(self) -> range:
        """The rows that are not trained, nor the elite's."""
        return super().reusable[self.trained :]


class CEMRL(cem.CEM[Config]):
    """The cross-entropy method whose refit also sees what gradients made of half of its samples.

    Members vary, are evaluated and are selected as in CEM; new is that some of them learn.
    """

    name = "cem-rl"
    state = (*cem.CEM.state, "replay", "critic", "learned")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "ddpg": {"learner": _DDPG},
        "common": {"network": NetworkConfig(), "learner": TD3Config()},
        "quick": {
            "network": NetworkConfig(hidden_sizes=(64, 64), activation="tanh"),
            "learner": _QUICK,
            "start_steps": 4_000,
        },
    }

    def build(self) -> None:
        """Make the Gaussian, the replay and the critic."""
        super().build()
        config, task = self.config, self.task
        capacity = min(config.replay_size, config.total_timesteps)
        self.replay = Replay(1, capacity, task.observation_size, task.action_size, config.device)
        learner = learning.make_learner(task, self.policy.network, config.learner)
        self.gradient = SharedCritic(learner, self.replay, self.streams, config.critic_schedule)
        self.critic = self.gradient.init()
        self.learned = 0  # transitions stored when the members last learned

    def learn(self, candidates: Population) -> Population:
        """Train the first half: as many updates of each actor, and of the critic in all, as steps were just stored."""
        stored, self.learned = self.ledger.stored - self.learned, self.ledger.stored
        updates = stored if self.ledger.spent > self.config.start_steps else 0
        n, params = self.config.trained, candidates.params
        actors, self.critic, losses = self.gradient.train(params[:n], self.critic, updates)
        self.ledger.count_updates("critic", [-1], self.gradient.critic_updates(n, updates))
        self.ledger.count_updates("actor", range(n), updates)
        losses = {name: loss.repeat(len(params)) for name, loss in losses.items()}
        trained = torch.cat([actors, params[n:]])
        return candidates.with_params(trained, candidates.fitness).with_traits(**losses)  # only kept samples have one

    def report(self, evaluated: Population) -> Report:
        """Return the width of the Gaussian, and the mean fitness with and without training."""
        fitness, n = evaluated.fitness, self.config.trained
        trained, untrained = fitness[:n].mean().item(), fitness[n:].mean().item()
        means = {f"{self.tag}/trained_fitness": trained, f"{self.tag}/untrained_fitness": untrained}
        return {**super().report(evaluated), **means}


if __name__ == "__main__":
    from evorl.cli import script

    script(CEMRL.name)
