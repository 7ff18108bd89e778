"""The kernels of PB2 and PB2-Mix: hand-computed values, scikit-learn's RBF, and slopes by finite differences."""

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.gaussian_process.kernels import RBF, Kernel

from evorl.hyperparameters.kernels import Mixed, TimeVarying, decay, mixed, overlap

Array = NDArray[np.float64]
#: Time and two hyperparameters.
X = np.array([[0, 0.1, 0.2], [0.5, 0.4, 0.9], [1, 0.7, 0.3]])
K = np.array([[1.3, 0.467625, 0.627586], [0.467625, 1.3, 0.580758], [0.627586, 0.580758, 1.3]])


@pytest.fixture
def generator() -> Generator:
    return np.random.default_rng(0)


def points(generator: Generator, n: int, categories: int = 0) -> Array:
    """Return rounds, three numbers, and categories of three kinds."""
    kinds = generator.integers(3, size=(n, categories))
    return np.column_stack([generator.integers(9, size=n), generator.random((n, 3)), kinds])


def test_covariances_computed_by_hand() -> None:
    np.testing.assert_allclose(TimeVarying(1.3, 0.6, 0.2)(X), K, atol=5e-7)


def test_a_function_that_stays_has_the_covariance_of_scikit_learn(generator: Generator) -> None:
    at, other = points(generator, 6), points(generator, 4)
    theirs = 1.7 * RBF(np.sqrt(0.45 / 2))  # exp(-d^2 / (2 s^2))
    ours = TimeVarying(1.7, 0.45, 0.0)
    np.testing.assert_allclose(ours(at, other), theirs(at[:, 1:], other[:, 1:]), rtol=1e-12)


def test_the_decay_is_of_half_the_lag() -> None:
    assert decay(np.array([0.0, 1.0, 4.0]), 0.36).tolist() == pytest.approx([1, 0.8, 0.8**4])


@pytest.mark.parametrize("forgetting", [0.0, 0.1, 0.5, 0.99])
def test_covariances_are_symmetric_and_not_negative(forgetting: float, generator: Generator) -> None:
    at = points(generator, 30, categories=2)
    for kernel in (TimeVarying(2.0, 0.3, forgetting), Mixed(2, 2.0, 0.3, forgetting, 0.7, forgetting, 0.4)):
        covariance = kernel(at)
        assert np.array_equal(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance).min() > -1e-10
        np.testing.assert_allclose(kernel.diag(at), np.diag(covariance))


@pytest.mark.parametrize("kernel", [TimeVarying(1.3, 0.6, 0.2), Mixed(2, 1.3, 0.6, 0.2, 0.8, 0.3, 0.35)])
def test_slopes_agree_with_finite_differences(kernel: Kernel, generator: Generator) -> None:
    at = points(generator, 7, categories=2)
    _, slopes = kernel(at, eval_gradient=True)
    for column in range(len(kernel.theta)):
        step = np.zeros(len(kernel.theta))
        step[column] = 1e-6
        upper, lower = (kernel.clone_with_theta(kernel.theta + sign * step)(at) for sign in (1, -1))
        np.testing.assert_allclose(slopes[:, :, column], (upper - lower) / 2e-6, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("mix", "value"), [(0, 0.65), (0.5, 0.525), (1, 0.4)])
def test_the_mixture_is_of_sum_and_product(mix: float, value: float) -> None:
    assert mixed(np.array(0.8), np.array(0.5), mix) == pytest.approx(value)


def test_the_overlap_is_the_share_of_equal_categories_whatever_they_are_called() -> None:
    first, second = np.array([[0, 1], [2, 2]]), np.array([[0, 1], [0, 2], [1, 0]])
    assert overlap(first, second).tolist() == [[1, 0.5, 0], [0, 0.5, 0]]
    renamed = np.array([5, 3, 9])
    assert np.array_equal(overlap(renamed[first], renamed[second]), overlap(first, second))


def test_the_mixed_covariance_is_that_of_its_parts(generator: Generator) -> None:
    at = points(generator, 5, categories=2)
    kernel = Mixed(2, 1.3, 0.6, 0.2, 0.8, 0.3, 0.35)
    for i, one in enumerate(at):
        for j, other in enumerate(at):
            lag, square = abs(one[0] - other[0]), ((one[1:4] - other[1:4]) ** 2).sum()
            numbers = 1.3 * np.exp(-square / 0.6) * 0.8 ** (lag / 2)
            categories = 0.8 * (one[4:] == other[4:]).mean() * 0.7 ** (lag / 2)
            expected = 0.65 / 2 * (numbers + categories) + 0.35 * numbers * categories
            assert kernel(at)[i, j] == pytest.approx(expected)
            assert kernel(at, at)[i, j] == pytest.approx(expected)


@pytest.mark.parametrize("kernel", [TimeVarying(), Mixed(2, mix=0.3)])
def test_scikit_learn_can_clone_them(kernel: Kernel) -> None:
    assert clone(kernel).get_params() == kernel.get_params()
    assert kernel.is_stationary()
    assert len(kernel.bounds) == len(kernel.theta)
