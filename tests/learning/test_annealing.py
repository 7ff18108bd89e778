"""The schedules of the temperature against their formulas and against the decrements of the authors' code."""

import math

import pytest

from evorl.learning.annealing import Annealing, temperature

SHARES = [step / 1_000 for step in range(1_000)]


def test_without_annealing_the_temperature_stays() -> None:
    assert {temperature(7.0, spent, "none") for spent in SHARES} == {7.0}


def test_linear_is_the_decrement_of_the_authors_code() -> None:
    """From iteration 500 of 1,000 on their 10 falls by 0.02 before each iteration, and not below 0.01."""
    theirs = 10.0
    for iteration, spent in enumerate(SHARES):
        assert temperature(10.0, spent, "linear") == pytest.approx(theirs, abs=0.01 + 1e-9)
        if iteration >= 500:
            theirs = max(theirs - 0.02, 0.01)
    assert temperature(10.0, 0.5, "linear") == 10.0
    assert temperature(10.0, 0.75, "linear") == pytest.approx(5.0)
    assert temperature(10.0, 1.0, "linear") == temperature(10.0, 1.2, "linear") == 0.01
    assert temperature(0.001, 0.0, "linear") == 0.001, "it does not rise"


def test_tanh_weighs_the_gradients_by_a_late_step() -> None:
    for spent in SHARES[60:]:
        weight = (math.exp(2 * (5 * spent) ** 10) - 1) / (math.exp(2 * (5 * spent) ** 10) + 1) if spent < 0.3 else 1.0
        assert temperature(10.0, spent, "tanh") == pytest.approx(10.0 / weight, rel=1e-4)
    assert temperature(10.0, 0.2, "tanh") == pytest.approx(10.0 / 0.7615941559557649)


def test_cyclic_begins_anew_with_every_quarter() -> None:
    for spent in (0.2, 0.23, 0.2499):
        expected = 10.0 / (spent / 0.25) ** 10
        for cycle in range(4):
            assert temperature(10.0, spent + 0.25 * cycle, "cyclic") == pytest.approx(expected)
    assert temperature(10.0, 0.2501, "cyclic") == temperature(10.0, 0.0001, "cyclic")


@pytest.mark.parametrize("annealing", ["tanh", "cyclic"])
def test_the_temperature_begins_high_but_finite(annealing: Annealing) -> None:
    temperatures = [temperature(10.0, spent, annealing) for spent in SHARES]
    assert temperatures[0] == max(temperatures) == pytest.approx(1e7)
    assert min(temperatures) == pytest.approx(10.0, rel=0.05)
