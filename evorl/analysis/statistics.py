"""Statistics over seeds; the numbers are SciPy's."""

from __future__ import annotations

import math
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


@dataclass(frozen=True)
class Reference:
    """A published result: mean and standard deviation over seeds."""

    mean: float
    std: float
    seeds: int


def equivalence(returns: ArrayLike, reference: Reference, margin: float) -> float:
    """Return the p-value of two one-sided Welch tests that the means differ by less than `margin` (Schuirmann 1987).

    Args:
        returns: (seeds,).
        reference: the published result.
        margin: the largest difference that counts as none; above 0.
    """
    values = np.asarray(returns, np.float64)
    if len(values) < 2:
        return math.nan
    ours: dict[str, Any] = {"std1": values.std(ddof=1), "nobs1": len(values), "equal_var": False}
    theirs: dict[str, Any] = {"mean2": reference.mean, "std2": reference.std, "nobs2": reference.seeds}
    above = stats.ttest_ind_from_stats(values.mean() + margin, **ours, **theirs, alternative="greater").pvalue
    below = stats.ttest_ind_from_stats(values.mean() - margin, **ours, **theirs, alternative="less").pvalue
    return float(max(above, below))
