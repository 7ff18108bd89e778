"""ERL's crossover and mutation (Khadka & Tumer 2018 and their code `SSNE`), in DEAP's conventions.

They work in place and return a tuple. A row of a weight matrix is an output unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from evorl.errors import require_at_least, require_between
from evorl.policies import Block
from evorl.population import Individual


@dataclass(frozen=True, kw_only=True)
class MutationConfig:
    """Settings of the sparse mutation; the defaults are those of the authors' code."""

    mutation: Literal["additive", "multiplicative"] = "additive"
    """Whether a weight gains noise in proportion to itself (the code), or is multiplied by noise (the paper)."""
    mutation_fraction: float = 0.1
    """Bound on the share of a matrix's entries that are edited; about half of it on average."""
    mutation_strength: float = 0.1
    """Standard deviation of an edit, relative to the weight."""
    super_strength: float = 10.0
    """The same for a super edit."""
    super_probability: float = 0.05
    """Share of super edits."""
    reset_probability: float = 0.05
    """Share of edits that draw the weight anew from a standard normal."""
    weight_limit: float = 1e6
    """Bound on the size of an edited weight."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        for name in ("mutation_fraction", "super_probability", "reset_probability"):
            require_between(name, getattr(self, name), 0, 1)
        for name in ("mutation_strength", "super_strength", "weight_limit"):
            require_at_least(name, getattr(self, name), 0)


def mate_rows(
    first: Individual, second: Individual, layout: Sequence[Block], generator: Generator
) -> tuple[Individual, Individual]:
    """Copy random rows of every tensor between two individuals, either way, in place.

    A matrix gets 0 to 2 rows - 1 copies of a row, a vector of length l gets 0 to l - 1 copies of an entry. After the
    first copy of a row both have it, so that only the first counts.
    """
    for block in layout:
        rows = block.shape[0]
        copies = generator.integers(2 * rows if block.kind == "weight" else rows)
        places, earliest = np.unique(generator.integers(rows, size=copies), return_index=True)
        to_first = generator.random(copies)[earliest] < 0.5
        one, other = (individual.genome[block.slice].reshape(rows, -1) for individual in (first, second))
        one[places[to_first]] = other[places[to_first]]
        other[places[~to_first]] = one[places[~to_first]]
    return first, second


def mutate_sparse(
    individual: Individual, layout: Sequence[Block], generator: Generator, config: MutationConfig
) -> tuple[Individual]:
    """Edit a few entries of some weight matrices, in place; biases and layer norms never change.

    A matrix is chosen with probability min(1, 2 U), U uniform for each matrix, and then gets 0 to
    ceil(fraction * entries) - 1 edits, each of an entry at random, one after another.
    """
    for block in layout:
        if block.kind == "weight" and generator.random() < 2 * generator.random():
            weights = individual.genome[block.slice]
            edits = generator.integers(max(1, ceil(config.mutation_fraction * len(weights))))
            places = generator.integers(len(weights), size=edits)
            for turn in _turns(places):
                weights[places[turn]] = _edited(weights[places[turn]], generator, config)
    return (individual,)


def _turns(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split edits so that no place occurs twice in a turn and those of one place keep their order."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(places) else places
    lengths = np.diff(np.r_[starts, len(places)])
    occurrence = np.arange(len(places)) - np.repeat(starts, lengths)
    return [order[occurrence == turn] for turn in range(int(occurrence.max(initial=-1)) + 1)]


def _edited(weights: NDArray[Any], generator: Generator, config: MutationConfig) -> NDArray[Any]:
    """Return weights (m,) after one edit each."""
    kind, normal = generator.random(len(weights)), generator.standard_normal(len(weights))
    is_super = kind < config.super_probability
    share = config.reset_probability
    if config.mutation == "multiplicative":  # the paper draws again before a reset
        share *= 1 - config.super_probability
    is_reset = ~is_super & (kind < config.super_probability + share)
    factor = np.where(is_super, config.super_strength, config.mutation_strength) * normal
    if config.mutation == "additive":
        factor += 1
    edited = np.where(is_reset, normal, weights * factor)
    return np.clip(edited, -config.weight_limit, config.weight_limit)
