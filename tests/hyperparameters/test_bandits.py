"""TV.EXP3.M against a table worked out by hand, dependent rounding against its probabilities, and what they find."""

import math

import numpy as np
import pytest
from numpy.random import Generator

from evorl.hyperparameters import bandits

WEIGHTS = np.array([10.0, 1, 1, 1])
GAMMA, PLAYS = 0.1, 2


@pytest.fixture
def generator() -> Generator:
    return np.random.default_rng(0)


def test_weights_are_capped_as_by_hand() -> None:
    cut, whole = bandits.capped(WEIGHTS, PLAYS, GAMMA)
    share = (1 / PLAYS - GAMMA / 4) / (1 - GAMMA)
    assert share == pytest.approx(0.5277778, abs=1e-7)
    assert cut.tolist() == pytest.approx([3.352941, 1, 1, 1], abs=1e-6)
    assert cut[0] / cut.sum() == pytest.approx(share)
    assert whole.tolist() == [True, False, False, False]


def test_probabilities_are_those_by_hand() -> None:
    assert bandits.probabilities(WEIGHTS, PLAYS, GAMMA).tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])
    single = bandits.probabilities(np.array([1.0, 2, 4]), 1, 0.2)
    assert single.tolist() == pytest.approx([0.180952, 0.295238, 0.523810], abs=1e-6)


def test_the_update_goes_on_from_the_capped_weights() -> None:
    updated = bandits.reweighted(WEIGHTS, [1, 2], [0.9, 0.4], PLAYS, GAMMA, 1 / 50)
    assert updated.tolist() == pytest.approx([3.439287, 1.230882, 1.148180, 1.086345], abs=2e-6)


def test_from_the_uncapped_weights_it_would_be_another() -> None:
    """What the other reading of the algorithm gives, so that the choice is on record."""
    shares = bandits.probabilities(WEIGHTS, PLAYS, GAMMA)
    growth = np.exp(PLAYS * GAMMA * np.array([0, 0.9, 0.4, 0]) / shares / 4)
    uncapped = WEIGHTS * growth + math.e / 50 / 4 * WEIGHTS.sum()
    assert uncapped.tolist() == pytest.approx([10.176688, 1.321225, 1.238525, 1.176688], abs=2e-6)
    assert not np.allclose(uncapped, bandits.reweighted(WEIGHTS, [1, 2], [0.9, 0.4], PLAYS, GAMMA, 1 / 50))


def test_the_update_keeps_ratios() -> None:
    gamma = bandits.exploration(4, 2, 50)
    raw = bandits.reweighted(WEIGHTS, [1, 2], [0.9, 0.4], 2, gamma, 1 / 50)
    assert bandits.update(WEIGHTS, [1, 2], [0.9, 0.4], 50).tolist() == pytest.approx((raw / raw.sum()).tolist())
    assert bandits.update(7 * WEIGHTS, [1, 2], [0.9, 0.4], 50).tolist() == pytest.approx((raw / raw.sum()).tolist())


def test_the_share_of_uniform_draws() -> None:
    assert bandits.exploration(4, 2, 50) == pytest.approx(0.127027, abs=1e-6)
    assert bandits.exploration(4, 1, 1) == 1
    assert bandits.exploration(1, 1, 9) == 0


@pytest.mark.parametrize("plays", [2, 3, 4])
def test_probabilities_sum_to_the_plays_and_none_exceeds_one(plays: int, generator: Generator) -> None:
    for _ in range(200):
        weights = np.exp(4 * generator.standard_normal(5))
        for gamma in (0.0, 0.05, 0.6, 1.0):
            shares = bandits.probabilities(weights, plays, gamma)
            assert shares.sum() == pytest.approx(plays)
            assert shares.max() <= 1
            assert shares.min() >= plays * gamma / 5 - 1e-12


@pytest.mark.parametrize("shares", [[0.9, 0.6, 0.3, 0.2], [1.0, 0.5, 0.25, 0.25], [0.2] * 5])
def test_rounding_keeps_every_probability_and_always_gives_as_many(shares: list[float], generator: Generator) -> None:
    draws = [bandits.dependent_rounding(np.array(shares), generator) for _ in range(20_000)]
    assert {len(set(arms.tolist())) for arms in draws} == {round(sum(shares))}
    assert {len(arms) for arms in draws} == {round(sum(shares))}
    found = np.bincount(np.concatenate(draws), minlength=len(shares)) / len(draws)
    assert np.abs(found - shares).max() < 0.01


def test_fewer_plays_than_arms_are_different_arms_in_any_order(generator: Generator) -> None:
    draws = [bandits.draw(np.ones(4), 2, 50, generator) for _ in range(300)]
    assert all(len(set(arms.tolist())) == 2 for arms in draws)
    assert {tuple(arms.tolist()) for arms in draws} == {(i, j) for i in range(4) for j in range(4) if i != j}


def test_as_many_plays_as_arms_may_all_be_the_best(generator: Generator) -> None:
    draws = [bandits.draw(np.array([1e6, 1, 1]), 4, 10_000, generator) for _ in range(50)]
    assert all(len(arms) == 4 for arms in draws)
    assert any(set(arms.tolist()) == {0} for arms in draws)


def test_several_single_draws_count_with_their_mean() -> None:
    weights, gamma = np.array([1.0, 2.0]), bandits.exploration(2, 1, 30)
    shares = bandits.probabilities(weights, 1, gamma)
    growth = np.exp(gamma / 2 * np.array([(0.5 + 0.7) / 3 / shares[0], 0.1 / 3 / shares[1]]))
    expected = weights * growth + math.e / 30 / 2 * 3
    found = bandits.update(weights, [0, 1, 0], [0.5, 0.1, 0.7], 30)
    assert found.tolist() == pytest.approx((expected / expected.sum()).tolist())


def test_a_single_arm_is_always_drawn(generator: Generator) -> None:
    assert bandits.draw(np.ones(1), 3, 10, generator).tolist() == [0, 0, 0]
    assert bandits.update(np.ones(1), [0, 0, 0], [0.1, 0.2, 0.3], 10).tolist() == [1]


def test_the_best_arm_is_found_and_found_again_when_it_changes(generator: Generator) -> None:
    weights, rounds = np.ones(4), 600
    plays = np.zeros((4, 4))
    for turn in range(rounds):
        arms = bandits.draw(weights, 1, rounds, generator)
        best = 0 if turn < rounds / 2 else 3
        np.add.at(plays[4 * turn // rounds], arms, 1)
        weights = bandits.update(weights, arms.tolist(), [0.9 if arm == best else 0.1 for arm in arms], rounds)
    assert plays[1].argmax() == 0
    assert plays[3].argmax() == 3


def test_rewards_lie_between_0_and_1() -> None:
    assert bandits.scaled(np.array([-1, 0, np.nan, 3]), -1, 3).tolist() == [0, 0.25, 0, 1]
    assert bandits.scaled(np.array([2, np.nan]), 2, 2).tolist() == [0.5, 0]
