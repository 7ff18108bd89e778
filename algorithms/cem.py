"""CEM: the cross-entropy method on policy parameters, the evolutionary half of CEM-RL (Pourchot & Sigaud 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from deap import base

from evorl import template
from evorl.errors import require_at_least
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.template import EvoRL, Report
from evorl.variation import DiagonalGaussian
from evorl.variation.gaussian import CovarianceDivisor


@dataclass(frozen=True, kw_only=True)
class Config(template.Config):
    """Settings of CEM; the defaults are those of the authors' code, which made the published figures."""

    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(hidden_sizes=(400, 300), activation="tanh"))
    """The members' policy."""
    episodes_per_member: int = 1
    """Episodes in a fitness."""
    variance_init: float = 1e-3
    """First variance of every parameter, and of the extra variance."""
    variance_end: float = 1e-5
    """Where the extra variance decays to."""
    variance_decay: float = 0.95
    """Factor of that decay, a generation."""
    covariance_divisor: CovarianceDivisor = "code"
    """Whether the fitted variance is divided by the number of parents, as in the code but not in the paper."""
    antithetic: bool = True
    """Whether every sample has its mirror image about the mean."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("episodes_per_member", self.episodes_per_member, 1)


class CEM(EvoRL[Config]):
    """Sample a diagonal Gaussian, play an episode with each sample, refit the Gaussian to the better half."""

    name = "cem"
    state = (*EvoRL.state, "strategy")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {"network": NetworkConfig()},
        "quick": {"network": NetworkConfig(hidden_sizes=(32, 32), activation="tanh"), "variance_init": 1e-2},
    }

    def build(self) -> None:
        """Register `generate` and `update`, which may be registered anew before the first generation."""
        config = self.config
        self.strategy = DiagonalGaussian(
            self.policy.network.init(self.streams.rows("initialise", [0]))[0].numpy(),
            config.population_size,
            self.streams.generator("vary"),
            variance_init=config.variance_init,
            variance_end=config.variance_end,
            variance_decay=config.variance_decay,
            covariance_divisor=config.covariance_divisor,
            antithetic=config.antithetic,
        )
        self.toolbox = base.Toolbox()
        self.toolbox.register("generate", self.strategy.generate, np.float32)
        self.toolbox.register("update", self.strategy.update)

    def initialise(self) -> Population:
        """The parents are one row: the mean of the Gaussian."""
        return self._row(self.strategy.mean)

    def vary(self, parents: Population) -> Population:
        """Sample the Gaussian."""
        samples = torch.from_numpy(np.stack(self.toolbox.generate()))
        return Population.fresh(samples.to(self.config.device), self.identities, "sample")

    def evaluate(self, candidates: Population) -> Population:
        """Play whole episodes."""
        return self.play_fitness(candidates, self.config.episodes_per_member)

    def select(self, evaluated: Population) -> Population:
        """Refit the Gaussian to the better half; one row, its mean, is the parent of the next generation."""
        self.toolbox.update(evaluated.individuals())
        return self._row(self.strategy.mean)

    def _row(self, mean: np.ndarray[Any, Any]) -> Population:
        params = torch.from_numpy(mean.astype(np.float32))[None].to(self.config.device)
        return Population.fresh(params, self.identities, "mean")

    def report(self, evaluated: Population) -> Report:
        """Return the mean standard deviation of the Gaussian and its extra variance."""
        std = float(np.sqrt(self.strategy.variance).mean())
        return {f"{self.name}/std": std, f"{self.name}/extra_variance": self.strategy.extra}


if __name__ == "__main__":
    from evorl.cli import main

    main(["train", CEM.name])
