"""The cross-entropy method with a diagonal Gaussian (Pourchot & Sigaud 2019, section 3 and their code `sepCEM`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from evorl.errors import ConfigError, require_above, require_at_least, require_between
from evorl.population import Individual

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Made = TypeVar("Made")

#: The paper's refit has no further divisor; the authors' code divides the weighted sum by the number of parents.
CovarianceDivisor = Literal["code", "paper"]


def log_rank_weights(parents: int) -> Vector:
    """Return weights (parents,) proportional to `log((1 + parents) / rank)`, best first, of sum 1."""
    weights = np.log((1 + parents) / np.arange(1, parents + 1))
    return np.asarray(weights / weights.sum())


def sample(mean: Vector, variance: Vector, normals: Matrix, antithetic: bool) -> Matrix:
    """Return samples of N(mean, diag(variance)): one for each row of `normals`, then their mirror images."""
    noise = np.concatenate([normals, -normals]) if antithetic else normals
    return np.asarray(mean + noise * np.sqrt(variance))


def refit(mean: Vector, parents: Matrix, extra: float, divisor: float) -> tuple[Vector, Vector]:
    """Return the mean (d,) and variance (d,) fitted to the parents (k, d), best first.

    `mean' = sum_i w_i z_i` and `variance' = (1/divisor) sum_i w_i (z_i - mean)^2 + extra`: about the *old* mean.
    """
    weights = log_rank_weights(len(parents))
    return weights @ parents, weights @ np.square(parents - mean) / divisor + extra


@dataclass(frozen=True, kw_only=True)
class GaussianConfig:
    """Settings of the Gaussian; the defaults are those of the authors' code, which made the published figures."""

    variance_init: float = 1e-3
    """First variance of every parameter, and of the extra variance."""
    variance_end: float = 1e-5
    """Where the extra variance, which keeps the Gaussian open, decays to."""
    variance_decay: float = 0.95
    """Factor of that decay, a generation."""
    covariance_divisor: CovarianceDivisor = "code"
    """Whether the fitted variance is divided by the number of parents, as in the code but not in the paper."""
    antithetic: bool = True
    """Whether every sample has its mirror image about the mean."""


class DiagonalGaussian:
    """A Gaussian over parameters, with the interface of `deap.cma.Strategy`: `generate`, then `update`.

    Args:
        centroid: (d,) the first mean.
        population_size: samples of a generation; even if they are mirrored.
        generator: where the normals come from.
        config: settings.

    Attributes:
        mean: (d,) float64.
        variance: (d,) float64.
        extra: the extra variance.
    """

    def __init__(
        self,
        centroid: Sequence[float] | NDArray[Any],
        population_size: int,
        generator: np.random.Generator,
        config: GaussianConfig | None = None,
    ) -> None:
        config = config or GaussianConfig()
        require_at_least("population_size", population_size, 2)
        require_above("variance_init", config.variance_init, 0)
        require_above("variance_end", config.variance_end, 0)
        require_between("variance_decay", config.variance_decay, 0, 1)
        if config.antithetic and population_size % 2:
            raise ConfigError(f"population_size must be even to mirror samples, got {population_size}")
        self.mean: Vector = np.asarray(centroid, np.float64)
        self.variance: Vector = np.full_like(self.mean, config.variance_init)
        self.extra = config.variance_init
        self.population_size = population_size
        self.parents = population_size // 2
        self._generator, self._config = generator, config
        self._divisor = self.parents if config.covariance_divisor == "code" else 1

    @property
    def centroid(self) -> Vector:
        """The mean, under DEAP's name."""
        return self.mean

    def generate(self, ind_init: Callable[[Vector], Made]) -> list[Made]:
        """Return a generation of samples, each (d,) given to `ind_init`."""
        drawn = self.population_size // 2 if self._config.antithetic else self.population_size
        normals = self._generator.standard_normal((drawn, len(self.mean)))
        return [ind_init(row) for row in sample(self.mean, self.variance, normals, self._config.antithetic)]

    def update(self, population: Sequence[Individual]) -> None:
        """Refit to the better half by fitness; of equals the earlier one is the better."""
        best_first = sorted(population, key=lambda individual: individual.fitness, reverse=True)
        parents = np.stack([np.asarray(individual[:], np.float64) for individual in best_first[: self.parents]])
        decay = self._config.variance_decay
        self.extra = decay * self.extra + (1 - decay) * self._config.variance_end
        self.mean, self.variance = refit(self.mean, parents, self.extra, self._divisor)

    def state_dict(self) -> dict[str, Any]:
        """Return mean, variance and extra variance in float64."""
        mean, variance = torch.from_numpy(self.mean.copy()), torch.from_numpy(self.variance.copy())
        return {"mean": mean, "variance": variance, "extra": self.extra}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.mean, self.variance = state["mean"].numpy().copy(), state["variance"].numpy().copy()
        self.extra = state["extra"]
