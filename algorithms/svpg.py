"""SVPG (Liu, Ramachandran, Liu, Peng 2017): n policies climb by each other's gradients and keep apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch

from evorl import template
from evorl.evaluation import Report
from evorl.interaction import Episodes, play_batch
from evorl.learning import A2CConfig, ReinforceConfig, mean_losses, new_records, push_returns_
from evorl.learning.annealing import temperature
from evorl.learning.particles import ParticleLearnerConfig, ParticlesConfig, climb_, make_particle_learner
from evorl.policies import NetworkConfig, StochasticPolicy, stochastic_policy
from evorl.population import Population
from evorl.selection import best_of
from evorl.task import Task
from evorl.template import EvoRL

_WIDE = NetworkConfig(hidden_sizes=(100, 50, 25), activation="tanh", initial_weights="glorot")
_SMALL = NetworkConfig(hidden_sizes=(32, 32), activation="tanh", initial_weights="glorot")
_A2C = A2CConfig(
    critic=_WIDE,
    rollout_length=5_000,
    learning_rate=5e-3,
    standardise_advantages=True,
    normalise_observations=False,
    gradient_clip=None,
)


@dataclass(frozen=True, kw_only=True)
class Config(ParticlesConfig, template.Config):
    """Settings of SVPG; the defaults are those of the authors' code on cart-pole swing-up."""

    population_size: int = 16
    """Particles."""
    network: NetworkConfig = field(default_factory=lambda: _WIDE)
    """Their policy; it is stochastic, and a row ends with the logarithms of its standard deviations."""
    learner: ParticleLearnerConfig = field(default_factory=ReinforceConfig)
    """The policy gradient, on a batch of whole episodes of at least `rollout_length` steps a particle."""


class SVPG(EvoRL[Config]):
    """Every particle plays a batch; the kernel mixes their policy gradients and drives them apart."""

    name = "svpg"
    state = (*EvoRL.state, "alpha", "bandwidth")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "a2c": {"learner": _A2C},
        "independent": {"sharing": False, "repulsion": False},
        "joint": {"population_size": 1, "environments": 16, "learner": ReinforceConfig(rollout_length=16 * 5_000)},
        "no-repulsion": {"repulsion": False},
        "no-sharing": {"sharing": False},
        "common": {"network": NetworkConfig()},
        "quick": {"population_size": 8, "network": _SMALL, "learner": ReinforceConfig(rollout_length=1_000)},
    }

    @classmethod
    def make_policy(cls, config: Config, task: Task) -> StochasticPolicy:
        """Return a Gaussian policy or, where actions are discrete, a categorical one."""
        return stochastic_policy(task, config.network, config.actor)

    def build(self) -> None:
        """Make the learner, and the environments of the batches."""
        self.learner = make_particle_learner(self.task, cast(StochasticPolicy, self.policy), self.config.learner)
        self.alpha, self.bandwidth = self.config.alpha, torch.nan
        rows = self.config.population_size * self.config.environments
        self.batches = Episodes(self.make_envs(rows), self.policy, self.ledger)

    def initialise(self) -> Population:
        """Fresh particles, each with an Adam of its own and, for A2C, a value network."""
        fresh = self.fresh(range(self.config.population_size))
        return fresh.with_traits(**self.learner.init(fresh.params, self.streams), **new_records(len(fresh)))

    def learn(self, candidates: Population) -> Population:
        """Play a batch with each particle, then climb together."""
        members, config, ledger = candidates.clone(), self.config, self.ledger
        self.alpha = temperature(config.alpha, ledger.spent / config.total_timesteps, config.annealing)
        length, k = config.learner.rollout_length, config.environments
        rollout, finished = play_batch(self.batches, members, length, self.streams, self.generation, k)
        for rows, returns in finished:
            push_returns_(members.traits["recent_returns"], rows, returns)
        critic, actor, self.bandwidth = climb_(self.learner, members, rollout, self.alpha, config)
        for part in ("critic", "actor") if isinstance(config.learner, A2CConfig) else ("actor",):
            ledger.count_updates(part, range(len(members)))
        return members.with_params(members.params).with_traits(**mean_losses([(critic, actor)], len(members)))

    def answer(self) -> Population:
        """The particle with the best recent training returns."""
        return best_of(self.population, by=self.population.traits["recent_returns"].nanmean(dim=1))

    def tested(self) -> Mapping[str, Population]:
        """All particles are tested beside the answer: the best of many is not what one of them is worth."""
        return {"svpg/test_mean": self.population}

    def report(self, evaluated: Population) -> Report:
        """Return the temperature and the bandwidth of this generation's step."""
        return {"svpg/alpha": self.alpha, "svpg/bandwidth": self.bandwidth}

    @classmethod
    def first_steps(cls, config: Config, task: Task) -> int | None:
        """Every particle plays until its batch is full, and to the end of that episode."""
        longest = task.time_limit
        most = config.learner.rollout_length - 1 + config.environments * (longest or 0)
        return None if longest is None else config.population_size * most


if __name__ == "__main__":
    from evorl.cli import script

    script(SVPG.name)
