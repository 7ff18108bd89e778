"""Which Gaussian is searched with, by settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from evorl.errors import ConfigError
from evorl.streams import Streams
from evorl.variation.full_gaussian import FullGaussian
from evorl.variation.gaussian import DiagonalGaussian, GaussianConfig
from evorl.variation.importance_mixing import MixingGaussian

Strategy = DiagonalGaussian | FullGaussian


@dataclass(frozen=True, kw_only=True)
class StrategyConfig(GaussianConfig):
    """Settings of the Gaussian, and which one it is."""

    covariance: Literal["diagonal", "full"] = "diagonal"
    """Whether coordinates are independent, or all covariances are adapted by DEAP's CMA-ES: small networks only, and of
    the settings of the Gaussian only variance_init is read."""
    importance_mixing: bool = False
    """Whether samples of the last generation that the Gaussian might have drawn again are kept with their fitness."""


#: Parameters up to which all covariances are adapted: their square is decomposed in every generation.
MOST_FULL = 3_000


def make_strategy(centroid: NDArray[Any], population_size: int, streams: Streams, config: StrategyConfig) -> Strategy:
    """Return the Gaussian of `config` about a first mean (d,), which draws from the stream `vary`.

    Raises:
        ConfigError: a setting cannot work, alone or with another.
    """
    if config.covariance == "full":
        if config.importance_mixing:
            raise ConfigError("covariance must be diagonal for importance_mixing, got 'full'")
        if len(centroid) > MOST_FULL:
            raise ConfigError(
                f"covariance must be diagonal for a policy of more than {MOST_FULL:,} parameters, got {len(centroid):,}"
            )
        return FullGaussian(centroid, population_size, streams, config.variance_init)
    if config.importance_mixing:
        return MixingGaussian(centroid, population_size, streams, config)
    return DiagonalGaussian(centroid, population_size, streams.generator("vary"), config)
