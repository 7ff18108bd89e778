"""PB2's acquisition (Parker-Holder et al. 2020, algorithm 2): upper confidence bounds of what h will improve.

Completed intervals are a record (m, 3 + k) float64: round, return before, return after, and h in the unit cube. Who
explores has the next round and its donor's return as context, which does not move, and looks for h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from evorl.hyperparameters.spaces import Space

Array = NDArray[np.float64]

#: Columns of a record before those of h.
ROUND, BEFORE, AFTER, FIRST = 0, 1, 2, 3
#: Step of the slopes of a bound, by central differences.
STEP = 1e-5
#: Values of h in a slice of the acquisition.
PLACES = 33


@dataclass(frozen=True)
class Columns:
    """Which columns of the unit cube are what.

    Attributes:
        numbers: what a process sees as numbers.
        categories: what it sees as categories, in one process with the numbers.
        apart: categories each combination of which has a process of its own.
        frozen: numbers of a single value.
    """

    numbers: tuple[int, ...]
    categories: tuple[int, ...] = ()
    apart: tuple[int, ...] = ()
    frozen: frozenset[int] = frozenset()

    @property
    def seen(self) -> list[int]:
        """The columns that a process sees, categories last."""
        return [*self.numbers, *self.categories]

    @property
    def free(self) -> list[int]:
        """The columns that an acquisition moves."""
        return [column for column in self.numbers if column not in self.frozen]


def beta(rows: int) -> float:
    """Return the square of a deviation's weight, `0.2 ln(1 + 0.4 rows)`: never negative, 0 without data."""
    return 0.2 * math.log1p(0.4 * rows)


def standardised(values: Array) -> Array:
    """Return values (m,) with mean 0 and variance 1; all 0 if they are equal."""
    deviation = values.std()
    return np.asarray((values - values.mean()) / (deviation if deviation > 1e-12 * np.abs(values).max() else 1.0))


def inputs(rounds: Array | float, returns: Array, points: Array, record: Array, columns: Columns) -> Array:
    """Return what a process sees (n, 2 + d): round, return by the range of all that the record has, and h.

    A return that is unknown stands in the middle.
    """
    known = record[:, [BEFORE, AFTER]]
    low, high = known.min(), known.max()
    placed = np.nan_to_num((returns - low) / (high - low if high > low else 1.0), nan=0.5)
    return np.column_stack([np.broadcast_to(rounds, len(points)), placed, points[:, columns.seen]])


@dataclass(frozen=True)
class Surrogate:
    """What is believed of the improvement that h brings to one who explores, in deviations of those known.

    Attributes:
        completed: the process fitted to completed intervals: the mean.
        pending: the same, told also what is under way: the deviation.
        record: completed intervals.
        rounds, before: the context.
        columns: which columns of the unit cube are what.
    """

    completed: Any
    pending: Any
    record: Array
    rounds: float
    before: float
    columns: Columns

    def bound(self, points: Array) -> tuple[Array, Array, Array]:
        """Return mean, deviation and upper confidence bound, (n,) each, at points (n, k) of the unit cube."""
        from evorl.hyperparameters.gaussian_process import predict

        at = inputs(self.rounds, np.full(len(points), self.before), points, self.record, self.columns)
        mean, deviation = predict(self.completed, at)[0], predict(self.pending, at)[1]
        return mean, deviation, mean + math.sqrt(beta(len(self.record))) * deviation

    def best(self, starts: Array) -> Array:
        """Return the point (k,) of highest bound that L-BFGS-B finds from `starts` (s, k); only free numbers move."""
        free = self.columns.free
        if not free:
            return np.asarray(starts[0])

        def falling(place: Array, start: Array) -> tuple[float, Array]:
            points = np.repeat(start[None], 2 * len(free) + 1, axis=0)
            points[:, free] = place
            points[1::2, free] += STEP * np.eye(len(free))
            points[2::2, free] -= STEP * np.eye(len(free))
            upper = self.bound(points)[2]
            return -float(upper[0]), -(upper[1::2] - upper[2::2]) / (2 * STEP)

        limits, found = [(0.0, 1.0)] * len(free), starts.copy()
        falls = np.zeros(len(starts))
        for row, start in enumerate(starts):
            result = minimize(falling, start[free], (start,), method="L-BFGS-B", jac=True, bounds=limits)
            found[row, free], falls[row] = result.x, result.fun
        return np.asarray(found[falls.argmin()])


def fit_improvements(record: Array, columns: Columns, seed: int) -> tuple[Any, int]:
    """Return the process of the improvements in a record, and the warnings of its fit; `gaussian_process.fit`."""
    from evorl.hyperparameters.gaussian_process import fit, kernel

    at = inputs(record[:, ROUND], record[:, BEFORE], record[:, FIRST:], record, columns)
    return fit(at, standardised(record[:, AFTER] - record[:, BEFORE]), kernel(len(columns.categories)), seed)


def believed(
    process: Any, record: Array, columns: Columns, rounds: float, before: float, pending: tuple[Array, Array]
) -> Surrogate:
    """Return what is believed of one who explores, told what is under way: returns (p,), points (p, k)."""
    from evorl.hyperparameters.gaussian_process import told

    under_way = inputs(rounds, *pending, record, columns)
    return Surrogate(process, told(process, under_way), record, rounds, before, columns)


def slices(surrogate: Surrogate, space: Space, point: Array) -> Tensor:
    """Return the acquisition along every h, the others at `point` (k,) of the unit cube: (k, 4, PLACES).

    The four are the values of h, and mean, deviation and upper confidence bound there.
    """
    grid = torch.linspace(0, 1, PLACES, dtype=torch.float64)
    values = torch.stack([kind.from_unit(grid) for kind in space.values()])
    places = torch.stack([kind.to_unit(row) for kind, row in zip(space.values(), values, strict=True)])
    points = np.tile(point, (len(space), PLACES, 1))
    for column in range(len(space)):
        points[column, :, column] = places[column].numpy()
    found = [torch.from_numpy(part) for part in surrogate.bound(points.reshape(-1, len(space)))]
    return torch.stack([values, *(part.reshape(len(space), PLACES) for part in found)], dim=1)
