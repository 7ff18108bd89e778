"""TV.EXP3.M: which categories to try when the best ones change (Parker-Holder et al. 2021, algorithm 2 and appendix).

C arms have weights (c,); in a round B < C different ones are played. Where there are as many plays as arms or more,
each is drawn by itself, as in EXP3 (B = 1), so that the best arm can have them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]


def exploration(arms: int, plays: int, rounds: int) -> float:
    """Return gamma, the share of uniform draws, of `plays` < `arms` different arms in each of `rounds`; at most 1."""
    return min(1.0, math.sqrt(arms * math.log(arms / plays) / ((math.e - 1) * plays * rounds)))


def at_once(arms: int, plays: int) -> int:
    """Return how many of `plays` are drawn together, so that they are different arms."""
    return plays if plays < arms else 1


def capped(weights: Array, plays: int, gamma: float) -> tuple[Array, NDArray[np.bool_]]:
    """Return the weights (c,) with the large ones cut, so that no probability exceeds 1, and which were cut (c,).

    The cap a is such that an arm at it has the share `(1 / B - gamma / C) / (1 - gamma)` of what the weights sum to.
    """
    nothing = np.zeros(len(weights), bool)
    if plays == 1 or gamma == 1:  # one play has no probability above 1, and uniform ones have none
        return weights, nothing
    share = (1 / plays - gamma / len(weights)) / (1 - gamma)
    if weights.max() < share * weights.sum():
        return weights, nothing
    order = np.sort(weights)[::-1]
    for cut in range(1, plays):
        cap = share * order[cut:].sum() / (1 - share * cut)
        if order[cut] < cap:  # those above the cap are the `cut` largest, and no others
            break
    return np.minimum(weights, cap), weights >= cap


def probabilities(weights: Array, plays: int, gamma: float) -> Array:
    """Return the probability (c,) of each arm to be among `plays` different ones; they sum to `plays`."""
    cut, _ = capped(weights, plays, gamma)
    shares = plays * ((1 - gamma) * cut / cut.sum() + gamma / len(weights))
    return np.asarray(np.minimum(shares, 1.0))


def dependent_rounding(shares: Array, generator: Generator) -> NDArray[np.int64]:
    """Return different arms, in rising order: each with its probability (c,), and exactly as many as these sum to.

    Gandhi et al. 2006: two fractions move until one is 0 or 1, up or down with the odds that keep both means.
    """
    left = shares.copy()
    open_arms = [arm for arm in generator.permutation(len(left)) if 0 < left[arm] < 1]
    while len(open_arms) > 1:
        i, j = open_arms[:2]
        up, down = min(1 - left[i], left[j]), min(left[i], 1 - left[j])
        step = up if generator.random() < down / (up + down) else -down
        left[i], left[j] = _whole(left[i] + step), _whole(left[j] - step)
        open_arms = [arm for arm in open_arms if 0 < left[arm] < 1]
    return np.flatnonzero(np.round(left))


def draw(weights: Array, plays: int, rounds: int, generator: Generator) -> NDArray[np.int64]:
    """Return the arms (plays,) to try, in random order."""
    together = at_once(len(weights), plays)
    shares = probabilities(weights, together, exploration(len(weights), together, rounds))
    drawn = [dependent_rounding(shares, generator) for _ in range(plays // together)]
    return np.asarray(generator.permutation(np.concatenate(drawn)))


def update(weights: Array, arms: Sequence[int], rewards: Sequence[float], rounds: int) -> Array:
    """Return the weights (c,) after `arms` brought `rewards` in [0, 1]; every arm takes a share 1 / rounds of the rest.

    What is updated are the capped weights, from which the arms were drawn; those that were cut gain only the share.
    Several draws in a round count with their mean.
    """
    together = at_once(len(weights), len(arms))
    gamma = exploration(len(weights), together, rounds)
    updated = reweighted(weights, arms, rewards, together, gamma, 1 / rounds)
    return np.asarray(updated / updated.sum())  # only ratios matter, and they must not overflow


def reweighted(
    weights: Array, arms: Sequence[int], rewards: Sequence[float], together: int, gamma: float, share: float
) -> Array:
    """Return the weights (c,) of `update` before they are made to sum to 1, of `together` arms a draw."""
    count = len(weights)
    estimates = np.zeros(count)
    np.add.at(estimates, list(arms), np.asarray(rewards) * together / len(arms))
    estimates /= probabilities(weights, together, gamma)
    cut, whole = capped(weights, together, gamma)
    growth = np.where(whole, 1.0, np.exp(together * gamma * estimates / count))
    return np.asarray(cut * growth + math.e * share / count * cut.sum())


def scaled(values: Array, low: float, high: float) -> Array:
    """Return rewards in [0, 1]: values (b,) by the least and the largest; 0 where unknown, 1/2 if these are equal."""
    if high <= low:
        return np.where(np.isnan(values), 0.0, 0.5)
    return np.nan_to_num(np.clip((values - low) / (high - low), 0, 1))


def _whole(share: float) -> float:
    """Return a probability, without what rounding left beside 0 and 1."""
    nearest = round(share)
    return float(nearest) if abs(share - nearest) < 1e-12 else share
