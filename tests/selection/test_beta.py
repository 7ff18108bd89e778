"""The rule of beta at its boundaries, and whom it leaves out."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evorl.selection.beta import adapt_beta, mean_of_others

NAN = math.nan


@pytest.mark.parametrize(
    ("spread", "change", "factor"),
    [
        (0.31, 0.1, 2.0),  # beyond 1.5 * max(2 * 0.1, 0.04)
        (0.25, 0.1, 1.0),
        (0.13, 0.1, 0.5),  # within 0.2 / 1.5
        (0.05, 0.0, 1.0),  # the least distance holds where nothing changed
        (0.07, 0.0, 2.0),
        (0.02, 0.0, 0.5),
    ],
)
def test_the_others_are_drawn_towards_the_distance_wanted(spread: float, change: float, factor: float) -> None:
    assert adapt_beta(1.0, spread, change, rho=2.0, minimum_distance=0.04) == factor


@pytest.mark.parametrize(("change", "wanted"), [(0.1, 0.2), (0.0, 0.04), (0.02, 0.04)])
def test_beta_stays_on_the_boundaries_and_moves_one_number_beyond(change: float, wanted: float) -> None:
    high, low = wanted * 1.5, wanted / 1.5
    for spread, factor in (
        (high, 1.0),
        (low, 1.0),
        (math.nextafter(high, 1), 2.0),
        (math.nextafter(low, 0), 0.5),
    ):
        assert adapt_beta(1.0, spread, change, rho=2.0, minimum_distance=0.04) == factor


@pytest.mark.parametrize(("spread", "end"), [(9.0, 1024.0), (0.0, 2.0**-10)])
def test_beta_stays_within_its_bounds(spread: float, end: float) -> None:
    beta = 1.0
    for _ in range(30):
        beta = adapt_beta(beta, spread, 0.1, rho=2.0, minimum_distance=0.04)
    assert beta == end


@settings(deadline=None)
@given(spread=st.floats(0, 10), change=st.floats(0, 10), beta=st.floats(0.01, 100))
def test_beta_is_doubled_halved_or_kept_as_the_paper_says(spread: float, change: float, beta: float) -> None:
    search = max(2 * change, 0.05)
    doubled, halved = spread > search * 1.5, spread < search / 1.5
    expected = 2 * beta if doubled else beta / 2 if halved else beta
    assert adapt_beta(beta, spread, change, rho=2.0, minimum_distance=0.05) == expected


@pytest.mark.parametrize(("spread", "change"), [(NAN, NAN), (NAN, 0.1), (9.0, NAN), (0.0, NAN)])
def test_beta_stays_where_nothing_was_measured(spread: float, change: float) -> None:
    assert adapt_beta(4.0, spread, change, rho=2.0, minimum_distance=0.05) == 4.0


def test_the_best_is_left_out_of_the_mean() -> None:
    values = torch.tensor([1.0, 100.0, 2.0, 6.0], dtype=torch.float64)
    assert mean_of_others(values, best=1) == 3.0
    assert mean_of_others(values[[3, 0, 1, 2]], best=2) == 3.0
    assert math.isnan(mean_of_others(values[:1], best=0))
