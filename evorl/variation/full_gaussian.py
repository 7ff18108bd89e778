"""A Gaussian with all covariances, adapted by DEAP's CMA-ES: for policies of a few hundred parameters at most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from deap import cma
from numpy.typing import NDArray

from evorl.errors import require_at_least
from evorl.population import Individual
from evorl.streams import Streams

Made = TypeVar("Made")

#: Of a covariance, as a share of its largest one.
LEAST_EIGENVALUE = 1e-14


class FullGaussian:
    """`deap.cma.Strategy` behind the interface of `DiagonalGaussian`: random numbers from a stream, and a state.

    Args:
        centroid: (d,) the first mean; matrices of d x d are kept.
        population_size: samples of a generation, 2 or more.
        streams: `vary` stands in for the global state that the strategy draws from.
        variance_init: the first variance of every coordinate.
        least_std: to which the root mean square of the coordinates' standard deviations is raised if it falls below.
    """

    def __init__(
        self,
        centroid: NDArray[Any],
        population_size: int,
        streams: Streams,
        variance_init: float = 1e-3,
        least_std: float = 1e-12,
    ) -> None:
        require_at_least("population_size", population_size, 2)
        self._least_std = least_std
        self._streams = streams
        self._strategy = cma.Strategy(np.asarray(centroid, np.float64), variance_init**0.5, lambda_=population_size)

    @property
    def centroid(self) -> NDArray[np.float64]:
        """The mean, (d,)."""
        return np.asarray(self._strategy.centroid)

    @property
    def variance(self) -> NDArray[np.float64]:
        """The variance of every coordinate, (d,)."""
        return np.asarray(self._strategy.sigma**2 * np.diag(self._strategy.C))

    @property
    def extra(self) -> float:
        """There is no extra variance."""
        return 0.0

    def generate(self, ind_init: Callable[[NDArray[np.float64]], Made]) -> list[Made]:
        """Return a generation of samples, each (d,) given to `ind_init`."""
        with self._streams.as_global("vary"):
            return list(self._strategy.generate(ind_init))

    def update(self, population: Sequence[Individual]) -> None:
        """Adapt to the population by fitness; of equals the earlier one is the better."""
        with np.errstate(invalid="ignore", divide="ignore"):  # of an eigenvalue that rounding made negative, or 0
            self._strategy.update(list(population))
        if not (self._strategy.diagD > 0).all():
            self._lift()
        self._strategy.sigma *= max(1.0, self._least_std / float(np.sqrt(self.variance.mean())))
        for name, value in vars(self._strategy).items():
            if isinstance(value, np.ndarray):  # a resumed strategy has them row by row too, and rounds the same
                setattr(self._strategy, name, np.ascontiguousarray(value))

    def _lift(self) -> None:
        """Raise eigenvalues of the covariance that rounding took to 0 or below."""
        strategy = self._strategy
        values, axes = np.linalg.eigh(strategy.C)
        values = np.maximum(values, LEAST_EIGENVALUE * values.max())
        strategy.C = (axes * values) @ axes.T
        strategy.cond, strategy.diagD, strategy.B = values[-1] / values[0], values**0.5, axes
        strategy.BD = axes * strategy.diagD

    def state_dict(self) -> dict[str, Any]:
        """Return all numbers of the strategy."""
        arrays = {name: value for name, value in vars(self._strategy).items() if isinstance(value, np.ndarray)}
        numbers = {name: value for name, value in vars(self._strategy).items() if np.isscalar(value)}
        return {
            "arrays": {name: torch.from_numpy(value.copy()) for name, value in arrays.items()},
            "numbers": {
                name: value.item() if isinstance(value, np.generic) else value for name, value in numbers.items()
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        vars(self._strategy).update({name: value.numpy().copy() for name, value in state["arrays"].items()})
        vars(self._strategy).update(state["numbers"])
