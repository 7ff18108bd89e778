"""The acquisition: its weight, what a process is shown, the point of highest bound, and slices."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor

from evorl.hyperparameters import Space
from evorl.hyperparameters import acquisition as ucb
from evorl.hyperparameters.gaussian_process import predict, told

Array = NDArray[np.float64]
COLUMNS = ucb.Columns(numbers=(0, 1))
NOTHING = (np.empty(0), np.empty((0, 2)))


def record(m: int = 16, k: int = 2) -> Array:
    """Return intervals in which a first hyperparameter near 0.7 brought most."""
    rng = np.random.default_rng(0)
    points, before = rng.random((m, k)), rng.normal(size=m)
    gain = 1 - 4 * (points[:, 0] - 0.7) ** 2 + 0.05 * rng.normal(size=m)
    return np.column_stack([np.arange(m) // 4, before, before + gain, points])


def surrogate(pending: tuple[Array, Array] = NOTHING, known: Array | None = None) -> ucb.Surrogate:
    known = record() if known is None else known
    process, _ = ucb.fit_improvements(known, COLUMNS, seed=0)
    return ucb.believed(process, known, COLUMNS, 4, 0.5, pending)


@pytest.mark.parametrize("rows", [0, 1, 2, 10, 1_000])
def test_the_weight_of_the_deviation_is_never_negative(rows: int) -> None:
    assert ucb.beta(rows) == pytest.approx(0.2 * math.log(1 + 0.4 * rows))
    assert ucb.beta(rows) >= 0
    assert (ucb.beta(rows) == 0) == (rows == 0)


def test_standardised_values_have_mean_0_and_variance_1_whatever_their_scale() -> None:
    values = np.array([1.0, 2, 4])
    assert ucb.standardised(values).mean() == pytest.approx(0)
    assert ucb.standardised(values).std() == pytest.approx(1)
    np.testing.assert_allclose(ucb.standardised(1e-9 * values - 3e-9), ucb.standardised(values))
    assert np.abs(ucb.standardised(np.full(3, 0.1))).max() < 1e-12


def test_a_process_is_shown_rounds_returns_by_their_range_and_h_with_categories_last() -> None:
    known = np.array([[0, -10, 10, 0.1, 0.5, 0.2], [3, 0, 30, 0.3, 0.9, 0.4]])
    columns = ucb.Columns(numbers=(0, 2), categories=(1,))
    shown = ucb.inputs(known[:, 0], known[:, 1], known[:, 3:], known, columns)
    np.testing.assert_allclose(shown, np.array([[0.0, 0.0, 0.1, 0.2, 0.5], [3.0, 0.25, 0.3, 0.4, 0.9]]))
    context = ucb.inputs(7, np.array([30.0, np.nan]), known[:, 3:], known, columns)
    np.testing.assert_allclose(context[:, :2], np.array([[7.0, 1.0], [7.0, 0.5]]))
    flat = np.array([[0, 2, 2, 0.1, 0.5, 0.2]])
    assert ucb.inputs(0, flat[:, 1], flat[:, 3:], flat, columns)[0, 1] == 0


def test_the_best_point_is_no_worse_than_any_of_a_grid() -> None:
    believed = surrogate()
    axis = np.linspace(0, 1, 41)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    best = believed.best(np.random.default_rng(1).random((10, 2)))
    assert ((best >= 0) & (best <= 1)).all()
    assert believed.bound(best[None])[2][0] >= believed.bound(grid)[2].max() - 1e-6
    assert abs(best[0] - 0.7) < 0.25


def test_the_bound_is_of_completed_mean_and_pending_deviation() -> None:
    pending = (np.array([0.5, 0.1]), np.array([[0.7, 0.5], [0.1, 0.9]]))
    believed = surrogate(pending)
    points = np.random.default_rng(2).random((5, 2))
    at = ucb.inputs(4, np.full(5, 0.5), points, believed.record, COLUMNS)
    mean, deviation, upper = believed.bound(points)
    np.testing.assert_allclose(mean, predict(believed.completed, at)[0])
    known = np.concatenate([believed.completed.X_train_, ucb.inputs(4, *pending, believed.record, COLUMNS)])
    other_labels = GaussianProcessRegressor(believed.completed.kernel_, alpha=0.0, optimizer=None)
    other_labels.fit(known, np.random.default_rng(3).normal(size=len(known)))
    np.testing.assert_allclose(deviation, predict(other_labels, at)[1], err_msg="labels of pending do not matter")
    np.testing.assert_allclose(upper, mean + np.sqrt(ucb.beta(16)) * deviation)


def test_what_is_under_way_is_not_proposed_again() -> None:
    starts = np.random.default_rng(1).random((10, 2))
    first = surrogate().best(starts)
    after = surrogate((np.array([0.5]), first[None]))
    assert after.bound(first[None])[1] < surrogate().bound(first[None])[1]
    assert np.abs(after.best(starts) - first).max() > 0.01


def test_frozen_numbers_and_categories_stay_where_the_starts_have_them() -> None:
    columns = ucb.Columns(numbers=(0, 1), frozen=frozenset({1}))
    process, _ = ucb.fit_improvements(record(), columns, seed=0)
    believed = ucb.believed(process, record(), columns, 4, 0.5, NOTHING)
    assert believed.best(np.array([[0.2, 0.0], [0.8, 0.0]]))[1] == 0
    nothing = ucb.Surrogate(None, None, record(), 4, 0.5, ucb.Columns(numbers=(0,), frozen=frozenset({0})))
    assert nothing.best(np.array([[0.0, 0.25]])).tolist() == [0.0, 0.25]


@pytest.mark.parametrize("m", [1, 2])
def test_one_interval_or_two_are_enough(m: int) -> None:
    best = surrogate(known=record(m)).best(np.random.default_rng(1).random((3, 2)))
    assert np.isfinite(best).all()


def test_slices_go_through_the_point() -> None:
    believed, point = surrogate(), np.array([0.25, 0.75])
    space = Space.parse({"rate": "log:1e-4:1e-2", "count": "int:1:4"})
    cut = ucb.slices(believed, space, point)
    assert cut.shape == (2, 4, ucb.PLACES)
    rates, mean, deviation, upper = cut[0].numpy()
    assert rates[[0, 8, -1]].tolist() == pytest.approx([1e-4, 10**-3.5, 1e-2])
    assert [mean[8], deviation[8], upper[8]] == pytest.approx([float(part[0]) for part in believed.bound(point[None])])
    assert set(cut[1, 0].tolist()) == {1, 2, 3, 4}
    assert len({round(value, 12) for value in cut[1, 3].tolist()}) == 4, "a whole number has one bound"


def test_what_is_told_leaves_the_fit_alone() -> None:
    process, _ = ucb.fit_improvements(record(), COLUMNS, seed=0)
    theta = process.kernel_.theta.copy()
    told(process, np.zeros((1, 4)))
    assert np.array_equal(process.kernel_.theta, theta)
