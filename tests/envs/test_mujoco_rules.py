"""Functions of rows against the same of one row, or of one number, to the last bit."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evorl.envs.mujoco_rules import joined, lengths, scalar_squares, sum_of_squares, survived, within


@pytest.mark.parametrize("size", [1, 3, 6, 8, 17, 84])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_sum_over_rows_has_the_order_of_a_sum_of_one(size: int, kind: type[np.floating[Any]]) -> None:
    values = np.random.default_rng(0).normal(size=(50, size)).astype(kind)
    np.testing.assert_array_equal(sum_of_squares(values), [np.sum(np.square(row)) for row in values])


def test_lengths_and_squares_are_those_of_one_vector_and_one_number() -> None:
    vectors = np.random.default_rng(0).normal(size=(2_000, 3))
    np.testing.assert_array_equal(lengths(vectors), [np.linalg.norm(vector) for vector in vectors])
    np.testing.assert_array_equal(scalar_squares(vectors[:, 0]), [number**2 for number in vectors[:, 0]])


def test_parts_are_joined_flat_and_become_float32() -> None:
    parts = np.arange(6.0).reshape(2, 3), np.arange(8.0).reshape(2, 2, 2) / 3
    whole = joined(*parts)
    assert whole.dtype == np.float32
    expected = [np.concatenate([first.ravel(), second.ravel()]) for first, second in zip(*parts, strict=True)]
    np.testing.assert_array_equal(whole, np.array(expected, np.float32))


def test_bounds_are_not_within_and_nan_is_not_either() -> None:
    assert within(np.array([0.0, 0.1, 1.0, np.nan]), (0.0, 1.0)).tolist() == [False, True, False, False]


@pytest.mark.parametrize(("version", "paid"), [(4, [3.0, 3.0]), (5, [3.0, 0.0])])
def test_the_old_version_pays_for_health_at_a_terminal_step_too(version: int, paid: list[float]) -> None:
    env = SimpleNamespace(_healthy_reward=3.0, _terminate_when_unhealthy=True)
    reward, over = survived(env, np.array([True, False]), version)
    assert (reward.tolist(), over.tolist()) == (paid, [False, True])
