"""Sub-populations that evolve at different frequencies (multi-frequency PBT, Doulazmi et al. 2025), and migration.

Sub-population `row // size` of a population holds `size` neighbouring rows; the first evolves most often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from evorl.errors import ConfigError
from evorl.population import Population
from evorl.selection.exploit import Truncation, truncation
from evorl.selection.ranking import best_first


@dataclass(frozen=True, kw_only=True)
class FrequencyConfig:
    """Settings of sub-populations."""

    ratios: tuple[int, ...] = (1, 5)
    """Of each sub-population, in how many generations it evolves once: 1 first, then ever more."""

    def check_ratios(self, n: int, settings: Truncation) -> None:
        """Raise ConfigError if the ratios, or the sub-populations that n members make, cannot work."""
        rising = all(first < second for first, second in zip(self.ratios, self.ratios[1:], strict=False))
        if self.ratios[:1] != (1,) or not rising:
            raise ConfigError(f"ratios must begin with 1 and rise strictly, got {self.ratios}")
        if 2 * settings.bottom_fraction + settings.donor_fraction > 1:
            got = f"bottom_fraction {settings.bottom_fraction} and donor_fraction {settings.donor_fraction}"
            raise ConfigError(f"twice bottom_fraction and donor_fraction must be at most 1 together, got {got}")
        shares = (settings.bottom_fraction, settings.donor_fraction)
        whole = math.lcm(*(Fraction(share).limit_denominator(1_000).denominator for share in shares))
        if n % (whole * len(self.ratios)):
            parts = f"{len(self.ratios)} sub-populations of a multiple of {whole} members"
            raise ConfigError(
                f"population_size must be a multiple of {whole * len(self.ratios)}, for {parts}, of which the fractions"
                f" {shares[0]} and {shares[1]} are whole numbers, got {n}"
            )


def multi_frequency(
    fitness: Tensor, ready: Tensor, draws: Tensor, ratios: Sequence[int], turn: int, settings: Truncation
) -> Tensor:
    """Return the plan of a turn, in which sub-populations whose turn it is copy inside, and take in migrants.

    The worst of a sub-population copy its best, by truncation. The next worse, as many again, are each replaced by the
    best member of the others that has not migrated there yet, if that is better.

    Args:
        fitness: (n,); what is not finite comes last and is never copied.
        ready: (n,) who may copy.
        draws: (n,) uniform in [0, 1).
        ratios: one for each sub-population, which evolves in turns that are a multiple of it.
        turn: 1 is the first.
        settings: of the copying inside.
    """
    fitness = torch.where(fitness.isfinite(), fitness, torch.nan)
    size, order = len(fitness) // len(ratios), best_first(fitness)
    plan = torch.arange(len(fitness))
    for part, ratio in enumerate(ratios):
        if turn % ratio:
            continue
        rows = torch.arange(part * size, (part + 1) * size)
        plan[rows] = rows[truncation(fitness[rows], ready[rows], draws[rows], settings)]
        recipients, _ = settings.counts(size)
        ranked = rows[best_first(fitness[rows])]
        migrants = [row for row in order.tolist() if row // size != part and not fitness[row].isnan()]
        for row in ranked[size - 2 * recipients : size - recipients].tolist():
            if ready[row] and migrants and not fitness[migrants[0]] <= fitness[row]:  # NaN is below all
                plan[row] = migrants.pop(0)
    return plan


def settle_migrants(evaluated: Population, parents: Population, plan: Tensor, parts: int) -> Population:
    """Return the parents after a copying in which who took in a migrant does not explore.

    Who took it from a sub-population that evolves more often has the hyperparameters of the best of its own.

    Args:
        evaluated: n members, from which `plan` was made.
        parents: the same after `copy_and_mark`.
        plan: (n,).
        parts: sub-populations.
    """
    size = len(plan) // parts
    own, came_from = torch.arange(len(plan)) // size, plan // size
    best = torch.stack([best_first(fitness)[0] for fitness in evaluated.fitness.view(parts, size)])
    settled = parents.with_traits(copied=parents.traits["copied"] & (own == came_from))
    rows = (came_from < own).nonzero()[:, 0].tolist()
    if not rows:
        return settled
    bests = evaluated[[int(own[row] * size + best[own[row]]) for row in rows]]
    return settled.put(rows, settled[rows].with_traits(**bests.only_traits("h.").traits))
