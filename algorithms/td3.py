"""TD3 (Fujimoto, van Hoof, Meger 2018): learners without evolution, the control of every hybrid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evorl import learning, template
from evorl.errors import ConfigError, require_at_least
from evorl.interaction import Collector, Replay
from evorl.learning import OffPolicy, TD3Config, new_records
from evorl.policies import MLP, DeterministicPolicy, NetworkConfig, Policy
from evorl.population import Population
from evorl.selection import best_first
from evorl.task import Task
from evorl.template import EvoRL

_PAPER, _QUICK = NetworkConfig(hidden_sizes=(400, 300)), NetworkConfig(hidden_sizes=(64, 64))


def _with_rates_of_the_paper(critic: NetworkConfig, batch_size: int) -> TD3Config:
    return TD3Config(critic=critic, batch_size=batch_size, actor_learning_rate=1e-3, critic_learning_rate=1e-3)


@dataclass(frozen=True, kw_only=True)
class Config(template.Config):
    """Settings of TD3; the defaults are those of the authors' current code."""

    population_size: int = 1
    """Independent learners, each with its own environment and replay; their steps add up."""
    learner: TD3Config = field(default_factory=TD3Config)
    """The updates."""
    exploration_noise: float = 0.1
    """Standard deviation of the noise on actions in [-1, 1]."""
    warmup_steps: int = 10_000
    """Random steps of a member before it acts and learns."""
    updates_per_step: int = 1
    """Gradient updates of a member for each of its steps after the warm-up."""
    replay_size: int = 1_000_000
    """Transitions a member keeps."""
    interval: int = 1_000
    """Steps of a member in a generation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("exploration_noise", self.exploration_noise, 0)
        require_at_least("warmup_steps", self.warmup_steps, 1)
        require_at_least("updates_per_step", self.updates_per_step, 1)
        require_at_least("replay_size", self.replay_size, 1)
        require_at_least("interval", self.interval, 1)
        if self.total_timesteps <= self.population_size * self.warmup_steps:
            least = self.population_size * self.warmup_steps + 1
            got = self.total_timesteps
            raise ConfigError(f"total_timesteps must be at least {least}, beyond every member's warm-up, got {got}")


class TD3(EvoRL[Config]):
    """Each member acts with noise and learns from its own replay after every step."""

    name = "td3"
    state = (*EvoRL.state, "collector", "replay")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {},
        "paper": {"network": _PAPER, "learner": _with_rates_of_the_paper(_PAPER, batch_size=100)},
        "quick": {
            "network": _QUICK,
            "learner": _with_rates_of_the_paper(_QUICK, batch_size=128),
            "warmup_steps": 1_000,
        },
    }

    @classmethod
    def make_policy(cls, config: Config, task: Task) -> Policy:
        """Return a deterministic policy that explores by Gaussian noise."""
        network = MLP(task.observation_size, task.action_size, config.network, output="tanh")
        return DeterministicPolicy(network, config.exploration_noise)

    def build(self) -> None:
        """Make the learner, and an environment in mid-episode and a replay for each member."""
        config, task, n = self.config, self.task, self.config.population_size
        capacity = min(config.replay_size, -(-config.total_timesteps // n))
        self.replay = Replay(n, capacity, task.observation_size, task.action_size, config.device)
        self.collector = Collector(self.make_envs(n), n, task, self.policy, self.streams, self.ledger)
        learner = learning.TD3(task, self.policy.network, config.learner)
        counted = self.collector, self.replay, self.streams, self.ledger
        self.training = OffPolicy(learner, *counted, config.warmup_steps, config.updates_per_step)

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
    def generation_steps(cls, config: Config, task: Task) -> int:
        """Every member takes an interval of steps."""
        return config.population_size * config.interval


if __name__ == "__main__":
    from evorl.cli import script

    script(TD3.name)
