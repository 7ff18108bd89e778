"""The weight beta of P3S-TD3's pull (Jung, Park & Sung 2020): adapted, so that members search around the best."""

from __future__ import annotations

from math import isnan, nan

from torch import Tensor

#: From here on beta is no longer doubled, or halved; the authors' code.
HIGHEST, LOWEST = 1000.0, 1 / 1000
#: The best learner as long as none has finished an episode.
NOBODY = -1


def mean_of_others(values: Tensor, best: int) -> float:
    """Return the mean of values (n,) over all members but the best; NaN for a single member."""
    others = [value for row, value in enumerate(values.tolist()) if row != best]
    return sum(others) / len(others) if others else nan


def adapt_beta(beta: float, spread: float, change: float, rho: float, minimum_distance: float) -> float:
    """Return the beta of the next period: doubled, halved or as it is.

    The others are to stand `max(rho * change, minimum_distance)` away from the best. Beyond 1.5 times that they are
    pulled harder, within a 1.5th of it less. Where a distance is NaN, since nobody is left to measure, beta stays.

    Args:
        beta: of the period that ends.
        spread: mean distance of the others to the best.
        change: mean distance of the others to their own policies of a period ago.
        rho: steps of their own that the others are to stand away.
        minimum_distance: they are to stand away at least.
    """
    if isnan(spread) or isnan(change):
        return beta
    wanted = max(rho * change, minimum_distance)
    if spread > 1.5 * wanted and beta < HIGHEST:
        return 2 * beta
    if spread < wanted / 1.5 and beta > LOWEST:
        return beta / 2
    return beta
