"""Statistics over seeds against computations written out by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from evorl.analysis.statistics import Reference, area, equivalence, holm, iqm, paired_t, welch


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
    margin = 2.5
    reference = Reference(11.0, 3.0, 20, margin)
    variances = ours.var(ddof=1) / 12, 9.0 / 20
    error = math.sqrt(sum(variances))
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 11 + variances[1] ** 2 / 19)
    difference = ours.mean() - reference.mean
    above = stats.t.sf((difference + margin) / error, freedom)
    below = stats.t.cdf((difference - margin) / error, freedom)
    assert equivalence(ours, reference) == pytest.approx(max(above, below), rel=1e-9)


def test_equal_means_are_equivalent_and_far_ones_are_not() -> None:
    ours = np.random.default_rng(4).normal(0, 1, size=50)
    assert equivalence(ours, Reference(0.0, 1.0, 50, 1.0)) < 0.001
    assert equivalence(ours, Reference(2.0, 1.0, 50, 1.0)) > 0.999
    assert math.isnan(equivalence([1.0], Reference(1.0, 1.0, 5, 1.0)))


FIRST = [10.0, 12, 9, 11, 13, 10, 12, 11, 9, 10]
SECOND = [13.0, 15, 9, 14, 16, 12, 15, 13, 10, 14]


def by_hand(first: list[float], second: list[float]) -> tuple[float, float, float]:
    """Return difference, standard error and degrees of freedom of Welch's test."""
    samples = [np.array(first, np.float64), np.array(second, np.float64)]
    variances = [((sample - sample.mean()) ** 2).sum() / (len(sample) - 1) / len(sample) for sample in samples]
    spread = sum(v**2 / (len(sample) - 1) for v, sample in zip(variances, samples, strict=True))
    return samples[0].mean() - samples[1].mean(), math.sqrt(sum(variances)), sum(variances) ** 2 / spread


def test_welch_is_that_of_a_recorded_vector() -> None:
    difference, error, freedom = by_hand(FIRST, SECOND)
    assert -difference / error == pytest.approx(2.915194788645, rel=1e-12)
    assert freedom == pytest.approx(14.71901618305, rel=1e-12)
    found = welch(FIRST, SECOND)
    assert found.p == pytest.approx(0.010829577175, rel=1e-9)
    half = stats.t.ppf(0.975, 14.71901618305) * error
    assert (found.value, found.low, found.high) == pytest.approx((-2.4, -2.4 - half, -2.4 + half), rel=1e-9)


def test_welch_takes_unequal_numbers_and_spreads() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(3, 1, size=4).tolist(), rng.normal(0, 9, size=23).tolist()
    difference, error, freedom = by_hand(first, second)
    found = welch(first, second)
    half = stats.t.ppf(0.975, freedom) * error
    assert found.p == pytest.approx(2 * stats.t.sf(abs(difference) / error, freedom), rel=1e-9)
    assert (found.value, found.low, found.high) == pytest.approx((difference, difference - half, difference + half))


def test_welch_is_the_same_the_other_way_round() -> None:
    there, back = welch(FIRST, SECOND), welch(SECOND, FIRST)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))
    assert back.p == pytest.approx(there.p)


def test_one_of_two_may_be_constant() -> None:
    difference, error, freedom = by_hand([5, 5, 5], [1, 2, 4])
    assert freedom == pytest.approx(2)
    assert welch([5, 5, 5], [1, 2, 4]).p == pytest.approx(2 * stats.t.sf(difference / error, freedom))


@pytest.mark.parametrize("second", [5.0, 6.0])
def test_of_two_constants_only_the_difference_is_known(second: float) -> None:
    found = welch([5.0, 5.0], [second] * 3)
    assert found.value == 5.0 - second
    assert all(math.isnan(value) for value in (found.low, found.high, found.p))


def test_the_interval_holds_the_true_difference_in_nineteen_of_twenty() -> None:
    rng = np.random.default_rng(6)
    found = [welch(rng.normal(2, 1, size=5), rng.normal(0, 3, size=9)) for _ in range(400)]
    assert 0.92 < np.mean([difference.low < 2 < difference.high for difference in found]) < 0.98


def test_pairs_are_tested_by_their_differences_alone() -> None:
    found = paired_t([13.0, 25.0, 31.0, 47.0], [10.0, 21.0, 30.0, 43.0])
    error = math.sqrt(2 / 4)  # differences 3, 4, 1, 4: mean 3, variance 2
    assert found.value == 3
    assert found.p == pytest.approx(2 * stats.t.sf(3 / error, 3))
    reach = stats.t.ppf(0.975, 3) * error
    assert (found.low, found.high) == pytest.approx((3 - reach, 3 + reach))


def test_of_the_same_difference_at_every_seed_only_that_is_known() -> None:
    found = paired_t([3.0, 5.0], [1.0, 3.0])
    assert found.value == 2
    assert all(math.isnan(value) for value in (found.low, found.high, found.p))


def test_holm_multiplies_the_smallest_by_all_the_next_by_one_less_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02]).tolist() == [0.02]
    assert holm([]).tolist() == []
    assert holm([0.5, 0.4]).tolist() == [0.8, 0.8]
    assert holm([0.9, 0.8]).tolist() == [1, 1]


def test_holm_rejects_what_its_steps_reject() -> None:
    rng = np.random.default_rng(7)
    for m in (2, 5, 10):
        p = rng.uniform(0, 0.05, size=m)
        expected = np.zeros(m, bool)
        for step, row in enumerate(np.argsort(p)):
            if p[row] > 0.05 / (m - step):
                break
            expected[row] = True
        assert ((holm(p) <= 0.05) == expected).all()


def test_what_is_unknown_does_not_count_as_a_test() -> None:
    found = holm([math.nan, 0.02, 0.01])
    assert math.isnan(found[0])
    assert found[1:].tolist() == [0.02, 0.02]


def test_five_seeds_miss_two_standard_deviations_one_time_in_four() -> None:
    rng = np.random.default_rng(8)
    missed = np.mean([welch(rng.normal(2, 1, size=5), rng.normal(size=5)).p >= 0.05 for _ in range(1_000)])
    assert missed == pytest.approx(0.25, abs=0.05), "the table says so"


def test_the_area_is_the_integral_over_the_length() -> None:
    steps, values = [0, 10, 30, 70], [2.0, 4.0, -6.0, 1.0]
    for until in (5.0, 10.0, 42.0, 70.0, 90.0):
        pieces = pairwise([0, *(place for place in steps[1:] if place < until), until])
        whole = sum(integrate.quad(np.interp, *ends, (steps, values))[0] for ends in pieces)
        assert area(steps, values, until) == pytest.approx(whole / until, abs=1e-9)
    assert area([0], [3.0], 0) == 3.0


def test_what_was_not_tested_before_its_first_steps_is_taken_as_it_was_then() -> None:
    assert area([2_000, 8_000], [-1_500.0, -150.0], 8_000) == area(
        [0, 2_000, 8_000], [-1_500.0, -1_500.0, -150.0], 8_000
    )
    assert area([2_000, 8_000], [-1_500.0, -150.0], 8_000) == pytest.approx((2 * -1_500 + 6 * -825) / 8)
