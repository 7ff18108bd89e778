"""Learners without evolution: every member acts and learns by itself. The algorithms of that kind differ in settings.

It is the control of every hybrid, and what the hybrids of acting members (PBT, P3S-TD3) start from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from evorl import learning, template
from evorl.errors import ConfigError, require_at_least
from evorl.interaction import Collector, Replay
from evorl.learning import ActingConfig, AnyLearnerConfig, DDPGConfig, OffPolicy, TD3Config, Training
from evorl.policies import DeterministicPolicy, NetworkConfig, NoisyPolicy, OrnsteinUhlenbeck, Policy
from evorl.population import Population
from evorl.selection import best_first
from evorl.task import Task
from evorl.template import EvoRL


@dataclass(frozen=True, kw_only=True)
class Config(ActingConfig, template.Config):
    """Settings of members that act and learn by themselves."""

    population_size: int = 1
    """Independent learners, each with its own environment and replay; their steps add up."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The policy."""
    learner: AnyLearnerConfig = field(default_factory=TD3Config)
    """The updates."""
    interval: int = 1_000
    """Steps of a member in a generation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check()
        require_at_least("interval", self.interval, 1)
        if isinstance(self.learner, DDPGConfig):  # whose minibatches hold no transition twice
            require_at_least("warmup_steps", self.warmup_steps, self.learner.batch_size)
        least, got = self.population_size * self.warmup_steps + 1, self.total_timesteps
        if got < least:
            raise ConfigError(f"total_timesteps must be at least {least}, beyond every member's warm-up, got {got}")


ConfigT = TypeVar("ConfigT", bound=Config)


class Learners(EvoRL[ConfigT]):
    """Each member acts and learns in an environment of its own."""

    state = (*EvoRL.state, "training")

    @classmethod
    def make_policy(cls, config: ConfigT, task: Task) -> Policy:
        """Return the policy that the learner trains."""
        return learning.make_policy(task, config.network, config.learner)

    def build(self) -> None:
        """Make the learner, and an environment in mid-episode for each member."""
        self.training: Training = self._off_policy(rings=self.config.population_size)

    def _off_policy(self, rings: int) -> OffPolicy:
        config, task, n = self.config, self.task, self.config.population_size
        capacity = min(config.replay_size, -(-config.total_timesteps // rings))
        replay = Replay(rings, capacity, task.observation_size, task.action_size, config.device)
        noise = OrnsteinUhlenbeck(n, task.action_size) if config.exploration == "ornstein_uhlenbeck" else None
        network = self.policy.network
        explorer = NoisyPolicy(network, noise) if noise else DeterministicPolicy(network, config.exploration_noise)
        collector = Collector(self.make_envs(n), n, task, explorer, self.streams, self.ledger)
        learner = learning.make_learner(task, network, config.learner)
        return OffPolicy(learner, collector, replay, self.streams, self.ledger, config, noise)

    def initialise(self) -> Population:
        """Fresh members, each with a learner of its own."""
        fresh = self.fresh(self.config.population_size)
        return fresh.with_traits(**self.training.init(fresh.params))

    def learn(self, candidates: Population) -> Population:
        """Every member acts, stores and updates, step by step, for an interval."""
        return self.training.act_and_learn(candidates, self.config.interval, self.generation)

    def answer(self) -> Population:
        """The member with the best recent training returns."""
        return self.population[best_first(self.population.traits["recent_returns"].nanmean(dim=1))[:1]]

    @classmethod
    def first_steps(cls, config: ConfigT, task: Task) -> int:
        """Every member takes an interval of steps."""
        return config.population_size * config.interval
