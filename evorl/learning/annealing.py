"""Annealed temperatures of SVPG: pure functions of the share of the budget that is spent."""

from __future__ import annotations

from math import tanh
from typing import Literal

Annealing = Literal["none", "linear", "tanh", "cyclic"]

#: Where the linear schedule ends.
LOWEST = 0.01
#: Least weight of the gradients in the other two: as good as none beside repulsion, but of a finite temperature.
LEAST_WEIGHT = 1e-6
#: Of the student port: how steep `tanh` is, the power of both, and how often `cyclic` begins anew.
SLOPE, POWER, CYCLES = 5, 10, 4


def temperature(alpha: float, spent: float, annealing: Annealing) -> float:
    """Return the temperature when a share `spent` of the budget, from 0 to 1, is spent.

    - `none`: alpha throughout, the published run of SVPG (Liu et al. 2017).
    - `linear`: alpha for half of the budget, then falling in proportion to what is left, not below 0.01. That is the
      option of the authors' code, 0.02 less at each of the last 500 of 1,000 iterations from 10.
    - `tanh`: alpha over `tanh((5 spent)^10)`: repulsion alone for a tenth of the budget, all of the gradients from a
      quarter on. Default of the Sorbonne students' port (pandroide-svpg), after annealed SVGD (D'Angelo & Fortuin
      2021).
    - `cyclic`: alpha over `(4 spent mod 1)^10`: four times from repulsion to the gradients. From there too.

    Args:
        alpha: temperature without annealing.
        spent: share of the budget.
        annealing: the schedule.
    """
    if annealing == "none":
        return alpha
    if annealing == "linear":
        return max(alpha * min(1.0, 2 * (1 - spent)), min(alpha, LOWEST))
    weight = tanh((SLOPE * spent) ** POWER) if annealing == "tanh" else (CYCLES * spent % 1) ** POWER
    return alpha / max(weight, LEAST_WEIGHT)
