"""Statistics over seeds; the numbers are SciPy's."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

#: Resamples of a bootstrap, and the seed that makes its interval repeatable.
RESAMPLES, SEED = 2_000, 1


@dataclass(frozen=True)
class Estimate:
    """An estimate and its 95 % interval: three numbers, or three arrays of one shape."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def iqm(returns: ArrayLike) -> Estimate:
    """Return the interquartile mean over seeds with its percentile bootstrap interval (Agarwal et al. 2021).

    Args:
        returns: (seeds, ...); the first axis is averaged over. The interval of a single seed is NaN.
    """
    values = np.asarray(returns, np.float64)
    middle = _trimmed_mean(values, axis=0)
    if len(values) < 2:
        unknown = np.full_like(middle, np.nan)
        return Estimate(middle, unknown, unknown)
    found = stats.bootstrap(
        (values,),
        _trimmed_mean,
        axis=0,
        vectorized=True,
        method="percentile",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Estimate(middle, np.asarray(found.low), np.asarray(found.high))


def _trimmed_mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.asarray(stats.trim_mean(values, 0.25, axis=axis))


def area(steps: ArrayLike, values: ArrayLike, until: float) -> float:
    """Return the area under a curve that is linear between its points, from 0 to `until`, over that length.

    Args:
        steps: (k,) increasing, from 0 or more on, the first at most `until`.
        values: (k,) at these steps.
        until: where the area ends; before the first point and beyond the last one the curve is constant.
    """
    places, heights = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    inside = places < until
    ends = np.concatenate([[0.0], places[inside], [until]])
    curve = np.concatenate([heights[:1], heights[inside], [np.interp(until, places, heights)]])
    return float(np.trapezoid(curve, ends) / until) if until else float(curve[-1])


@dataclass(frozen=True)
class Difference:
    """By how much one mean is above another.

    Attributes:
        value: the first mean less the second.
        low, high: its 95 % interval.
        p: two-sided, that the means are equal.
    """

    value: float
    low: float
    high: float
    p: float


def welch(first: ArrayLike, second: ArrayLike) -> Difference:
    """Return the difference of two means over seeds with Welch's test (Welch 1947; Colas et al. 2019).

    Args:
        first: (seeds,); two or more.
        second: (seeds,); two or more.

    Returns:
        The difference; interval and p are NaN if neither varies, which the test says nothing of.
    """
    ours, theirs = np.asarray(first, np.float64), np.asarray(second, np.float64)
    difference = float(ours.mean() - theirs.mean())
    if not np.ptp(ours) and not np.ptp(theirs):
        return Difference(difference, math.nan, math.nan, math.nan)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)  # one of them may be constant
        found = stats.ttest_ind(ours, theirs, equal_var=False)
    interval = found.confidence_interval(0.95)
    return Difference(difference, float(interval.low), float(interval.high), float(found.pvalue))


def paired_t(first: ArrayLike, second: ArrayLike) -> Difference:
    """Return the mean difference of two groups seed by seed, with the paired t-test (Student 1908).

    Args:
        first: (seeds,); two or more.
        second: (seeds,); those of the same seeds, in the same order.

    Returns:
        The difference; interval and p are NaN if it is the same at every seed, which the test says nothing of.
    """
    ours, theirs = np.asarray(first, np.float64), np.asarray(second, np.float64)
    differences = ours - theirs
    if not np.ptp(differences):
        return Difference(float(differences.mean()), math.nan, math.nan, math.nan)
    found = stats.ttest_rel(ours, theirs)
    interval = found.confidence_interval(0.95)
    return Difference(float(differences.mean()), float(interval.low), float(interval.high), float(found.pvalue))


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p-values (m,) corrected for their number: the step-down procedure of Holm (1979).

    A hypothesis whose corrected p is below a level is rejected with that level as the chance of any false rejection
    among the m. NaN stays NaN and does not count.
    """
    values = np.asarray(p, np.float64)
    corrected = np.full_like(values, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    rising = known[np.argsort(values[known], kind="stable")]
    scaled = np.arange(len(rising), 0, -1) * values[rising]
    corrected[rising] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected


@dataclass(frozen=True)
class Reference:
    """A published result, and what counts as equal to it.

    Attributes:
        mean, std: over its seeds.
        seeds: how many.
        margin: the largest difference of means that counts as none; above 0.
    """

    mean: float
    std: float
    seeds: int
    margin: float


def equivalence(returns: ArrayLike, reference: Reference) -> float:
    """Return the p-value of two one-sided Welch tests that the means differ by less than the margin (Schuirmann 1987).

    Args:
        returns: (seeds,).
        reference: the published result.
    """
    values = np.asarray(returns, np.float64)
    if len(values) < 2:
        return math.nan
    ours: dict[str, Any] = {"std1": values.std(ddof=1), "nobs1": len(values), "equal_var": False}
    theirs: dict[str, Any] = {"mean2": reference.mean, "std2": reference.std, "nobs2": reference.seeds}
    above = stats.ttest_ind_from_stats(values.mean() + reference.margin, **ours, **theirs, alternative="greater").pvalue
    below = stats.ttest_ind_from_stats(values.mean() - reference.margin, **ours, **theirs, alternative="less").pvalue
    return float(max(above, below))
