"""Statistics over seeds against computations written out by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from evorl.analysis.statistics import Reference, equivalence, iqm


def test_the_interquartile_mean_drops_a_quarter_at_each_end() -> None:
    values = np.array([100.0, 1, 2, 3, 4, 5, 6, -100])
    assert iqm(values).value == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_each_column_of_curves_is_averaged_alone() -> None:
    values = np.random.default_rng(0).normal(size=(8, 3))
    together = iqm(values)
    for column in range(3):
        ordered = np.sort(values[:, column])[2:6]
        assert together.value[column] == pytest.approx(ordered.mean())
        assert together.low[column] <= together.value[column] <= together.high[column]


def test_the_interval_is_the_percentile_bootstrap_over_seeds() -> None:
    values = np.random.default_rng(1).normal(100, 15, size=20)
    rng = np.random.default_rng(2)
    resampled = np.sort(values[rng.integers(20, size=(20_000, 20))], axis=1)[:, 5:15].mean(axis=1)
    found = iqm(values)
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.05 * (high - low))
    assert found.high == pytest.approx(high, abs=0.05 * (high - low))


def test_the_interval_of_one_seed_is_unknown_and_the_estimate_is_its_value() -> None:
    found = iqm([7.0])
    assert found.value == 7.0
    assert math.isnan(float(found.low))
    assert math.isnan(float(found.high))


def test_equivalence_is_the_larger_of_two_one_sided_welch_tests() -> None:
    ours = np.random.default_rng(3).normal(10, 2, size=12)
    reference, margin = Reference(11.0, 3.0, 20), 2.5
    variances = ours.var(ddof=1) / 12, 9.0 / 20
    error = math.sqrt(sum(variances))
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 11 + variances[1] ** 2 / 19)
    difference = ours.mean() - reference.mean
    above = stats.t.sf((difference + margin) / error, freedom)
    below = stats.t.cdf((difference - margin) / error, freedom)
    assert equivalence(ours, reference, margin) == pytest.approx(max(above, below), rel=1e-9)


def test_equal_means_are_equivalent_and_far_ones_are_not() -> None:
    ours = np.random.default_rng(4).normal(0, 1, size=50)
    assert equivalence(ours, Reference(0.0, 1.0, 50), 1.0) < 0.001
    assert equivalence(ours, Reference(2.0, 1.0, 50), 1.0) > 0.999
    assert math.isnan(equivalence([1.0], Reference(1.0, 1.0, 5), 1.0))
