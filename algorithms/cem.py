"""CEM: the cross-entropy method on policy parameters, the evolutionary half of CEM-RL (Pourchot & Sigaud 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
from deap import base

from evorl import template
from evorl.errors import require_at_least
from evorl.evaluation import Report
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.selection import best_of
from evorl.task import Task
from evorl.template import EvoRL
from evorl.variation import MixingGaussian, StrategyConfig, make_strategy


@dataclass(frozen=True, kw_only=True)
class Config(StrategyConfig, template.Config):
    """Settings of CEM; the defaults are those of the authors' code, which made the published figures."""

    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(hidden_sizes=(400, 300), activation="tanh"))
    """The members' policy."""
    episodes_per_member: int = 1
    """Episodes in a fitness."""
    elitism: bool = False
    """Whether the best of the last generation takes the place of the last sample; it is evaluated anew."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("episodes_per_member", self.episodes_per_member, 1)

    @property
    def reusable(self) -> range:
        """The rows that play as they were drawn, which importance mixing may keep."""
        return range(self.population_size - self.elitism)


ConfigT = TypeVar("ConfigT", bound=Config)


class CEM(EvoRL[ConfigT]):
    """Sample a diagonal Gaussian, play an episode with each sample, refit the Gaussian to the better half."""

    name = "cem"
    state = (*EvoRL.state, "strategy", "last")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {"network": NetworkConfig()},
        "quick": {"network": NetworkConfig(hidden_sizes=(32, 32), activation="tanh"), "variance_init": 1e-2},
    }

    def build(self) -> None:
        """Register the strategy's `generate` and `update`."""
        first = self.policy.network.init(self.streams.rows("initialise", [0]))[0].numpy()
        self.strategy = make_strategy(first, self.config.population_size, self.streams, self.config)
        self.last: Population | None = None  # the generation before, as evaluated, where a switch needs it
        self.toolbox = base.Toolbox()
        self.toolbox.register("generate", self.strategy.generate, np.float32)
        self.toolbox.register("update", self.strategy.update)

    def initialise(self) -> Population:
        """The one parent is the mean of the Gaussian."""
        return self.members(self.strategy.centroid[None], "mean")

    def vary(self, parents: Population) -> Population:
        """Sample the Gaussian; what is kept of the last generation takes the place of samples."""
        candidates = self.members(np.stack(self.toolbox.generate()), "sample")
        if isinstance(self.strategy, MixingGaussian):
            candidates = self.strategy.keep(candidates, self.last, self.config.reusable)
        if self.config.elitism and self.last is not None:
            best = best_of(self.last)
            candidates = candidates.inject(len(candidates) - 1, best, "elite")
        return candidates

    def evaluate(self, candidates: Population) -> Population:
        """Play whole episodes without noise, but for kept samples; where there is a replay, every step is stored."""
        rows = candidates.fitness.isnan().nonzero()[:, 0].tolist()
        if not rows:
            return candidates
        return candidates.put(rows, self.play_fitness(candidates[rows], self.config.episodes_per_member, rows=rows))

    def select(self, evaluated: Population) -> Population:
        """Refit the Gaussian to the better half; the one parent of the next generation is its mean."""
        self.toolbox.update(evaluated.individuals())
        self.last = evaluated if self.config.elitism or self.config.importance_mixing else None
        return self.initialise()

    def report(self, evaluated: Population) -> Report:
        """Return the mean standard deviation of the Gaussian, its extra variance, and the share of kept samples."""
        std = float(np.sqrt(self.strategy.variance).mean())
        report = {"std": std, "extra_variance": self.strategy.extra}
        if "reused" in evaluated.traits:
            report["reused"] = evaluated.traits["reused"].double().mean().item()
        return {f"{self.tag}/{name}": value for name, value in report.items()}

    @classmethod
    def first_steps(cls, config: ConfigT, task: Task) -> int | None:
        """The episodes of all members."""
        whole = super().first_steps(config, task)
        return None if whole is None else whole * config.episodes_per_member


if __name__ == "__main__":
    from evorl.cli import script

    script(CEM.name)
