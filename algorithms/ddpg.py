"""DDPG (Lillicrap et al. 2016): learners without evolution, the control of ERL, with the settings of its 2018 code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from evorl import learning, template
from evorl.errors import ConfigError, require_at_least
from evorl.interaction import Collector, Replay
from evorl.learning import AnyLearnerConfig, DDPGConfig, OffPolicy, new_records
from evorl.policies import NetworkConfig, NoisyPolicy, OrnsteinUhlenbeck, Policy
from evorl.population import Population
from evorl.selection import best_first
from evorl.task import Task
from evorl.template import EvoRL

_COMMON = DDPGConfig(critic=NetworkConfig(), critic_architecture="joint", batch_size=256, gradient_clip=None, tau=0.005)
_ACTOR = NetworkConfig(hidden_sizes=(128, 128), activation="tanh", layer_norm="unbiased", last_layer_scale=0.1)


@dataclass(frozen=True, kw_only=True)
class Config(template.Config):
    """Settings of DDPG; the defaults are those of the agent of ERL's 2018 code."""

    population_size: int = 1
    """Independent learners, each with its own environment and replay; their steps add up."""
    network: NetworkConfig = field(default_factory=lambda: _ACTOR)
    """The policy."""
    learner: AnyLearnerConfig = field(default_factory=DDPGConfig)
    """The updates."""
    warmup_steps: int = 640
    """Random steps of a member before it acts and learns."""
    updates_per_step: int = 1
    """Gradient updates of a member for each of its steps after the warm-up."""
    replay_size: int = 1_000_000
    """Transitions a member keeps."""
    interval: int = 1_000
    """Steps of a member in a generation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("warmup_steps", "updates_per_step", "replay_size", "interval"):
            require_at_least(name, getattr(self, name), 1)
        if isinstance(self.learner, DDPGConfig):  # whose minibatches hold no transition twice
            require_at_least("warmup_steps", self.warmup_steps, self.learner.batch_size)
        least, got = self.population_size * self.warmup_steps + 1, self.total_timesteps
        if got < least:
            raise ConfigError(f"total_timesteps must be at least {least}, beyond every member's warm-up, got {got}")


ConfigT = TypeVar("ConfigT", bound=Config)


class DDPG(EvoRL[ConfigT]):
    """Each member acts with noise and learns from its own replay after every step."""

    name = "ddpg"
    state = (*EvoRL.state, "collector", "replay", "noise")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {"network": NetworkConfig(), "learner": _COMMON, "warmup_steps": 10_000},
    }

    def build(self) -> None:
        """Make the learner, and an environment in mid-episode and a replay for each member."""
        config, task, n = self.config, self.task, self.config.population_size
        capacity = min(config.replay_size, -(-config.total_timesteps // n))
        self.replay = Replay(n, capacity, task.observation_size, task.action_size, config.device)
        self.collector = Collector(self.make_envs(n), n, task, self.explorer(), self.streams, self.ledger)
        learner = learning.make_learner(task, self.policy.network, config.learner)
        counted = self.collector, self.replay, self.streams, self.ledger
        self.training = OffPolicy(learner, *counted, config.warmup_steps, config.updates_per_step)

    def explorer(self) -> Policy:
        """Return the policy with which members act while they learn: Ornstein-Uhlenbeck noise, as ERL's agent."""
        self.noise = OrnsteinUhlenbeck(self.config.population_size, self.task.action_size)
        return NoisyPolicy(self.policy.network, self.noise)

    def initialise(self) -> Population:
        """Fresh members, each with a learner of its own."""
        fresh = self.fresh(self.config.population_size)
        return fresh.with_traits(**self.training.learner.init(fresh.params, self.streams), **new_records(len(fresh)))

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


if __name__ == "__main__":
    from evorl.cli import script

    script(DDPG.name)
