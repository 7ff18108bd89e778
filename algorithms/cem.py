"""CEM: the cross-entropy method on policy parameters, the evolutionary half of CEM-RL (Pourchot & Sigaud 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from deap import base

from evorl import template
from evorl.errors import require_at_least
from evorl.evaluation import Report
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.task import Task
from evorl.template import EvoRL
from evorl.variation import DiagonalGaussian, FullGaussian, GaussianConfig


@dataclass(frozen=True, kw_only=True)
class Config(GaussianConfig, template.Config):
    """Settings of CEM; the defaults are those of the authors' code, which made the published figures."""

    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(hidden_sizes=(400, 300), activation="tanh"))
    """The members' policy."""
    covariance: Literal["diagonal", "full"] = "diagonal"
    """Whether coordinates are independent, or all covariances are adapted by DEAP's CMA-ES (small networks only)."""
    episodes_per_member: int = 1
    """Episodes in a fitness."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("episodes_per_member", self.episodes_per_member, 1)


ConfigT = TypeVar("ConfigT", bound=Config)


class CEM(EvoRL[ConfigT]):
    """Sample a diagonal Gaussian, play an episode with each sample, refit the Gaussian to the better half."""

    name = "cem"
    state = (*EvoRL.state, "strategy")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {"network": NetworkConfig()},
        "quick": {"network": NetworkConfig(hidden_sizes=(32, 32), activation="tanh"), "variance_init": 1e-2},
    }

    def build(self) -> None:
        """Register the strategy's `generate` and `update`."""
        centroid, n = (
            self.policy.network.init(self.streams.rows("initialise", [0]))[0].numpy(),
            self.config.population_size,
        )
        self.strategy: DiagonalGaussian | FullGaussian
        if self.config.covariance == "full":
            self.strategy = FullGaussian(centroid, n, self.streams, self.config.variance_init)
        else:
            self.strategy = DiagonalGaussian(centroid, n, self.streams.generator("vary"), self.config)
        self.toolbox = base.Toolbox()
        self.toolbox.register("generate", self.strategy.generate, np.float32)
        self.toolbox.register("update", self.strategy.update)

    def initialise(self) -> Population:
        """The one parent is the mean of the Gaussian."""
        return self.members(self.strategy.centroid[None], "mean")

    def vary(self, parents: Population) -> Population:
        """Sample the Gaussian."""
        return self.members(np.stack(self.toolbox.generate()), "sample")

    def evaluate(self, candidates: Population) -> Population:
        """Play whole episodes without noise; where there is a replay, every step is stored."""
        return self.play_fitness(candidates, self.config.episodes_per_member)

    def select(self, evaluated: Population) -> Population:
        """Refit the Gaussian to the better half; the one parent of the next generation is its mean."""
        self.toolbox.update(evaluated.individuals())
        return self.initialise()

    def report(self, evaluated: Population) -> Report:
        """Return the mean standard deviation of the Gaussian, and the extra variance that bounds it from below."""
        prefix = self.name.replace("-", "_")
        std = float(np.sqrt(self.strategy.variance).mean())
        return {f"{prefix}/std": std, f"{prefix}/extra_variance": self.strategy.extra}

    @classmethod
    def first_steps(cls, config: ConfigT, task: Task) -> int | None:
        """The episodes of all members."""
        whole = super().first_steps(config, task)
        return None if whole is None else whole * config.episodes_per_member


if __name__ == "__main__":
    from evorl.cli import script

    script(CEM.name)
