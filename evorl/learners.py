"""Learners without evolution: every member acts and learns by itself. The algorithms of that kind differ in settings.

It is the control of every hybrid, and what the hybrids of acting members (PBT, P3S-TD3) start from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from evorl import learning, template
from evorl.errors import ConfigError, require_at_least
from evorl.interaction import Collector, Replay
from evorl.learning import (
    A2CConfig,
    ActingConfig,
    AnyLearnerConfig,
    DDPGConfig,
    NoTraining,
    OffPolicy,
    OffPolicyLearnerConfig,
    OnPolicy,
    OnPolicyLearnerConfig,
    SACConfig,
    TD3Config,
    Training,
)
from evorl.policies import (
    DeterministicPolicy,
    NetworkConfig,
    NoisyPolicy,
    OrnsteinUhlenbeck,
    Policy,
    StochasticPolicy,
)
from evorl.population import Population
from evorl.selection import best_of
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
        require_at_least("interval", self.interval, 1)
        if isinstance(self.learner, A2CConfig):
            if self.interval % self.learner.rollout_length:
                length = self.learner.rollout_length
                nearest = length * max(1, round(self.interval / length))
                rule = f"interval must be a multiple of rollout_length = {length}, got {self.interval}"
                raise ConfigError(f"{rule}; the nearest is {nearest}")
            return
        if isinstance(self.learner, DDPGConfig):  # whose minibatches hold no transition twice
            require_at_least("warmup_steps", self.warmup_steps, self.learner.batch_size)
            require_at_least("replay_size", self.replay_size, self.learner.batch_size)
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
        return learning.make_policy(task, config.network, config.learner, config.actor)

    def build(self) -> None:
        """Make the learner, and an environment in mid-episode for each member."""
        self.training: Training = self.make_training()

    def make_training(self) -> Training:
        """Return what lets members act and learn; a subclass whose members learn otherwise returns its own."""
        learner = self.config.learner
        if not self.task.has_environment:
            return NoTraining()
        return (
            self.from_rollouts(learner)
            if isinstance(learner, A2CConfig)
            else self.from_replay(learner, rings=self.rings)
        )

    @property
    def rings(self) -> int:
        """Replays: one for each member."""
        return self.config.population_size

    def from_rollouts(self, learner: OnPolicyLearnerConfig) -> OnPolicy:
        """Return what lets members act for a while and learn from just that."""
        policy = cast(StochasticPolicy, self.policy)
        made = learning.make_rollout_learner(self.task, policy, learner)
        return OnPolicy(made, self._collector(policy), self.streams, self.ledger)

    def from_replay(self, learner: OffPolicyLearnerConfig, rings: int) -> OffPolicy:
        """Return what lets members act and learn by turns, from a replay each (`rings` = n) or from one (1)."""
        config, task, network = self.config, self.task, self.policy.network
        capacity = min(config.replay_size, -(-config.total_timesteps // rings))
        replay = Replay(rings, capacity, task.observation_size, task.action_size, config.device)
        noise, explorer = None, self.policy
        if isinstance(learner, SACConfig):
            pass  # its policy explores by itself
        elif config.exploration == "ornstein_uhlenbeck":
            noise = OrnsteinUhlenbeck(config.population_size, task.action_size)
            explorer = NoisyPolicy(network, noise)
        else:
            explorer = DeterministicPolicy(network, config.exploration_noise)
        made = learning.make_learner(task, network, learner)
        return OffPolicy(made, self._collector(explorer), replay, self.streams, self.ledger, config, noise)

    def _collector(self, explorer: Policy) -> Collector:
        n = self.config.population_size
        return Collector(self.make_envs(n), n, self.task, explorer, self.streams, self.ledger)

    def initialise(self) -> Population:
        """Fresh members, each with a learner of its own."""
        rows = range(self.config.population_size)
        return self.with_learners(self.fresh(rows), rows)

    def with_learners(self, fresh: Population, rows: Sequence[int]) -> Population:
        """Return new members in the slots `rows` with a new learner each, drawn from these slots' streams alone."""
        return fresh.with_traits(**self.training.init(fresh.params, rows))

    def learn(self, candidates: Population) -> Population:
        """Every member acts, stores and updates, step by step, for an interval."""
        return self.training.act_and_learn(candidates, self.config.interval, self.generation)

    def answer(self) -> Population:
        """The member with the best recent training returns."""
        return best_of(self.population, by=self.population.traits["recent_returns"].nanmean(dim=1))

    @classmethod
    def first_steps(cls, config: ConfigT, task: Task) -> int:
        """Every member takes an interval of steps."""
        return config.population_size * config.interval
