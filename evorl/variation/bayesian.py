"""PB2's explore: hyperparameters where a Gaussian process expects the largest improvement, categories by bandits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evorl.hyperparameters import Categorical, Space, Values, bandits
from evorl.hyperparameters.acquisition import (
    AFTER,
    BEFORE,
    FIRST,
    Columns,
    Surrogate,
    believed,
    fit_improvements,
    slices,
)
from evorl.population import Population
from evorl.streams import Streams

Array = NDArray[np.float64]
#: What becomes of categories: there are none; one process for numbers and categories; one for each combination; they
#: are drawn anew with probability 1/2, and the process does not know of them.
Categories = Literal["none", "joint", "apart", "random"]
#: Completed intervals that are kept, the latest.
KEPT = 400
#: Points from which an acquisition is optimised.
STARTS = 10
#: What is reported of a fit and of a proposal.
OF_NUMBERS = ("forgetting", "length", "noise", "variance")
OF_BOTH = ("category_forgetting", "category_variance", "mix")
OF_PROPOSAL = ("mean", "deviation", "acquisition", "on_bounds")


class BayesianExplore:
    """Remembers completed intervals, and proposes hyperparameters for who explores.

    Members have the trait `return_before` (n,), their return when the present interval began.

    Args:
        space: of the hyperparameters.
        categories: what becomes of categorical ones.
        interval: steps of a member in an interval.
        rounds: intervals in a run, for the bandits.
        streams: a row's draws are of its stream `explore_h`; fits and bandits have one of their own.

    Attributes:
        record: (m, 3 + k) completed intervals, as `acquisition` has them.
        fallbacks: proposals for which a fit failed, so that they were drawn from the prior.
        warnings: of fits that did not converge, or ended at a bound.
        latest: the last fit and proposal.
        weights: (c,) of the bandit of each categorical hyperparameter.
        slices: round and acquisition along every h (k, 4, places), of the last proposal of each round.
    """

    def __init__(self, space: Space, categories: Categories, interval: int, rounds: int, streams: Streams) -> None:
        self.space, self.interval, self.rounds, self.streams = space, interval, rounds, streams
        self.columns = _columns(space, categories)
        self.categorical = {
            column: (name, kind)
            for column, (name, kind) in enumerate(space.items())
            if type(kind) is Categorical and categories != "none"
        }
        self.record = torch.empty(0, FIRST + len(space), dtype=torch.float64)
        self.fallbacks, self.warnings, self.improvement = 0, 0, float("nan")
        seen = (*OF_NUMBERS, *(OF_BOTH if self.columns.categories else ()), *OF_PROPOSAL)
        self.latest = dict.fromkeys(seen, float("nan"))
        by_bandit = self.categorical.values() if categories in ("joint", "apart") else ()
        self.weights = {name: torch.ones(len(kind.values), dtype=torch.float64) for name, kind in by_bandit}
        self.slices: list[tuple[int, Tensor]] = []

    def observe(self, evaluated: Population, generation: int) -> None:
        """Remember the interval that every member completed, and reward the categories of who had explored.

        Args:
            evaluated: n members with fitness; the trait `copied` (n,) tells who explored before the interval.
            generation: the round of the interval.
        """
        points = self.space.to_unit(self.space.values_of(evaluated.traits))
        before, after = evaluated.traits["return_before"], evaluated.fitness
        rows = torch.column_stack([torch.full_like(after, generation), before, after, points])
        self.record = torch.cat([self.record, rows[rows.isfinite().all(dim=1)]])[-KEPT:]
        gain = after - before
        self.improvement = gain.nanmean().item() / self.interval
        played = evaluated.traits["copied"].nonzero()[:, 0]
        if not (len(self.record) and len(played)):
            return
        known = (self.record[:, AFTER] - self.record[:, BEFORE]).numpy()
        rewards = bandits.scaled(gain[played].numpy(), known.min(), known.max()).tolist()
        for column, (name, kind) in self.categorical.items():
            if name in self.weights:
                arms = _arms(kind, points[played, column])
                weights = bandits.update(self.weights[name].numpy(), arms, rewards, self.rounds)
                self.weights = {**self.weights, name: torch.from_numpy(weights)}

    def propose(self, population: Population, rows: Sequence[int], generation: int) -> Values:
        """Return new hyperparameters (m,) for `rows`, one after the other, each told those before it.

        Args:
            population: n members; their hyperparameters in `rows` are their donors'.
            rows: who explores.
            generation: the round that begins.
        """
        draws = self.streams.rows("explore_h", rows).uniform(0, 1, 1 + STARTS, len(self.space)).double().numpy()
        cube = self.space.to_unit(self.space.values_of(population.traits)).numpy()
        returns = population.traits["return_before"].numpy()
        self._choose(cube, rows, draws[:, 0])
        under_way = [row for row in range(len(population)) if row not in set(rows)]
        fits: dict[tuple[float, ...], Any] = {}
        for row, (prior, *starts) in zip(rows, draws, strict=True):
            key = tuple(cube[row, list(self.columns.apart)])
            record = self.record.numpy()[self._alike(self.record.numpy()[:, FIRST:], key)]
            alike = self._alike(cube, key)
            pending = [other for other in under_way if alike[other]]
            numbers = list(self.columns.numbers)
            if len(record):
                try:
                    fits[key] = fits[key] if key in fits else self._fit(record)
                    surrogate = believed(
                        fits[key], record, self.columns, generation, returns[row], (returns[pending], cube[pending])
                    )
                    cube[row] = self._best(surrogate, cube[row], np.array(starts), generation)
                except np.linalg.LinAlgError:
                    self.fallbacks += 1
                    cube[row, numbers] = prior[numbers]
            elif not len(self.record):
                cube[row, numbers] = prior[numbers]
            under_way.append(row)
        return self.space.from_unit(torch.from_numpy(cube[list(rows)]))

    def _fit(self, record: Array) -> Any:
        from evorl.hyperparameters.gaussian_process import parameters

        seed = int(self.streams.generator("gaussian process").integers(2**31))
        process, warned = fit_improvements(record, self.columns, seed)
        self.warnings += warned
        self.latest = {**self.latest, **parameters(process)}
        return process

    def _best(self, surrogate: Surrogate, donor: Array, starts: Array, generation: int) -> Array:
        """Return the point (k,) to try, as h can be there: whole numbers in the middle of their cells."""
        fixed = [column for column in range(len(donor)) if column not in self.columns.free]
        starts[:, fixed] = donor[fixed]
        best = surrogate.best(starts)
        point: Array = self.space.to_unit(self.space.from_unit(torch.from_numpy(best)[None]))[0].numpy()
        moved = best[self.columns.free]
        on_bounds = float(np.isin(moved, (0, 1)).mean()) if len(moved) else 0.0
        believed_of_it = [float(part[0]) for part in surrogate.bound(point[None])]
        self.latest = {**self.latest, **dict(zip(OF_PROPOSAL, [*believed_of_it, on_bounds], strict=True))}
        earlier = [made for made in self.slices if made[0] != generation]
        self.slices = [*earlier, (generation, slices(surrogate, self.space, point))]
        return point

    def _choose(self, cube: Array, rows: Sequence[int], draws: Array) -> None:
        """Set the categories of `rows` in the points `cube` (n, k), by bandits or, half of the time, by the draws."""
        for column, (name, kind) in self.categorical.items():
            generator = self.streams.generator(f"category {name}")
            if name in self.weights:
                arms = bandits.draw(self.weights[name].numpy(), len(rows), self.rounds, generator)
                cube[list(rows), column] = (arms + 0.5) / len(kind.values)
            else:
                anew = generator.random(len(rows)) < 0.5
                drawn = (np.floor(draws[:, column] * len(kind.values)) + 0.5) / len(kind.values)
                cube[list(rows), column] = np.where(anew, drawn, cube[list(rows), column])

    def _alike(self, points: Array, key: tuple[float, ...]) -> NDArray[np.bool_]:
        """Return which points (m, k) have these categories, if categories are apart."""
        return np.asarray(np.isclose(points[:, list(self.columns.apart)], key).all(axis=1))

    def report(self) -> dict[str, float]:
        """Return the last fit and proposal, counts, the mean improvement a step, and the shares of the weights."""
        counts = {"fallbacks": self.fallbacks, "fit_warnings": self.warnings, "intervals": len(self.record)}
        shares = {
            f"{name}/weight/{value}": float(share)
            for name, kind in self.categorical.values()
            if name in self.weights
            for value, share in zip(kind.values, self.weights[name] / self.weights[name].sum(), strict=True)
        }
        return {**self.latest, **counts, "improvement": self.improvement, **shares}

    def state_dict(self) -> dict[str, Any]:
        """Return all that was remembered."""
        return {name: getattr(self, name) for name in STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        for name in STATE:
            setattr(self, name, state[name])


STATE = ("record", "fallbacks", "warnings", "improvement", "latest", "weights", "slices")


def _columns(space: Space, categories: Categories) -> Columns:
    kinds = list(enumerate(space.values()))
    categorical = tuple(column for column, kind in kinds if type(kind) is Categorical)
    return Columns(
        numbers=tuple(column for column, _ in kinds if column not in categorical),
        categories=categorical if categories == "joint" else (),
        apart=categorical if categories == "apart" else (),
        frozen=frozenset(column for column, kind in kinds if kind.bounds[0] == kind.bounds[1]),
    )


def _arms(kind: Categorical, places: Tensor) -> list[int]:
    """Return which of the values stand at `places` (m,) of the unit interval."""
    arms: list[int] = (places * len(kind.values)).floor().long().tolist()
    return arms
