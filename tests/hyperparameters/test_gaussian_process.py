"""The Gaussian process: the vectors of a hand computation, plain numpy, scikit-learn, and what a fit finds."""

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel

from evorl.hyperparameters import gaussian_process as gp
from evorl.hyperparameters.kernels import Mixed, TimeVarying

Array = NDArray[np.float64]
X = np.array([[0, 0.1, 0.2], [0.5, 0.4, 0.9], [1, 0.7, 0.3]])
Y = np.array([0.5, -1, 0.3])
AT = np.array([[1, 0.5, 0.5]])
VARIANCE, LENGTH, FORGETTING, NOISE = 1.3, 0.6, 0.2, 0.1


def process(inputs: Array = X, targets: Array = Y) -> GaussianProcessRegressor:
    """Return the process of the vectors, which nothing is fitted of."""
    kernel = TimeVarying(VARIANCE, LENGTH, FORGETTING) + WhiteKernel(NOISE)
    return GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(inputs, targets)


def covariance(one: Array, other: Array) -> Array:
    squares = ((one[:, None, 1:] - other[None, :, 1:]) ** 2).sum(2)
    return np.asarray(VARIANCE * np.exp(-squares / LENGTH) * (1 - FORGETTING) ** (np.abs(one[:, :1] - other[:, 0]) / 2))


def drawn(m: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    inputs = np.column_stack([np.arange(m) // 4, rng.random((m, 2))])
    return inputs, rng.multivariate_normal(np.zeros(m), covariance(inputs, inputs) + NOISE * np.eye(m))


def test_the_vectors() -> None:
    mean, deviation = gp.predict(process(), AT)
    assert mean[0] == pytest.approx(-0.104954, abs=1e-6)
    assert deviation[0] ** 2 == pytest.approx(0.169053, abs=1e-6)
    assert deviation[0] == pytest.approx(0.411161, abs=1e-6)
    assert process().log_marginal_likelihood() == pytest.approx(-3.764065, abs=1e-6)


def test_what_is_pending_lowers_the_deviation_and_leaves_the_mean() -> None:
    told = gp.told(process(), AT)
    assert gp.predict(told, AT)[1][0] ** 2 == pytest.approx(0.062833, abs=1e-6)
    assert told.kernel_ == process().kernel_
    same = gp.told(process(), AT[:0])
    np.testing.assert_allclose(gp.predict(same, X)[1], gp.predict(process(), X)[1])


def test_it_is_the_plain_computation() -> None:
    inputs, targets = drawn(20)
    at = drawn(7, seed=1)[0]
    whole = covariance(inputs, inputs) + NOISE * np.eye(20)
    across = covariance(at, inputs)
    mean, deviation = gp.predict(process(inputs, targets), at)
    np.testing.assert_allclose(mean, across @ np.linalg.solve(whole, targets), rtol=1e-9)
    variance = covariance(at, at) - across @ np.linalg.solve(whole, across.T)
    np.testing.assert_allclose(deviation**2, np.diag(variance), rtol=1e-9)
    likelihood = -(targets @ np.linalg.solve(whole, targets) + np.linalg.slogdet(2 * np.pi * whole)[1]) / 2
    assert process(inputs, targets).log_marginal_likelihood() == pytest.approx(likelihood)


def test_it_is_scikit_learns_prediction_without_the_noise() -> None:
    model = process(*drawn(20))
    at = drawn(7, seed=1)[0]
    mean, total = model.predict(at, return_std=True)
    np.testing.assert_allclose(gp.predict(model, at)[0], mean)
    np.testing.assert_allclose(gp.predict(model, at)[1] ** 2 + NOISE, total**2)


def test_the_slope_of_the_likelihood_agrees_with_finite_differences() -> None:
    model = process(*drawn(20))
    _, slope = model.log_marginal_likelihood(model.kernel_.theta, eval_gradient=True)
    numeric = approx_fprime(model.kernel_.theta, model.log_marginal_likelihood, 1e-6)
    np.testing.assert_allclose(slope, numeric, rtol=1e-4, atol=1e-4)


def test_a_fit_is_more_likely_than_where_it_began_and_finds_what_made_the_data() -> None:
    inputs, targets = drawn(160)
    begin = gp.kernel()
    fitted, _ = gp.fit(inputs, targets, begin, seed=0)
    assert fitted.log_marginal_likelihood(fitted.kernel_.theta) > fitted.log_marginal_likelihood(begin.theta) + 1
    found = gp.parameters(fitted)
    assert set(found) == {"forgetting", "length", "variance", "noise"}
    for name, true in {"length": LENGTH, "forgetting": FORGETTING, "variance": VARIANCE, "noise": NOISE}.items():
        assert true / 2.5 < found[name] < true * 2.5


def test_the_fit_is_at_a_maximum_of_likelihood_and_prior() -> None:
    inputs, targets = drawn(24)
    begin = gp.kernel()
    fitted, _ = gp.fit(inputs, targets, begin, seed=0)

    def posterior(theta: Array) -> float:
        away = (theta - begin.theta) / gp.WIDTH
        return float(fitted.log_marginal_likelihood(theta) - away @ away / 2)

    theta = fitted.kernel_.theta
    inside = (theta > fitted.kernel_.bounds[:, 0] + 1e-3) & (theta < fitted.kernel_.bounds[:, 1] - 1e-3)
    assert inside.any()
    assert np.abs(approx_fprime(theta, posterior, 1e-5)[inside]).max() < 1e-2


def test_a_handful_of_intervals_leaves_the_parameters_near_the_prior() -> None:
    fitted, _ = gp.fit(*drawn(4), gp.kernel(), seed=0)
    assert 0.01 < gp.parameters(fitted)["noise"] < 0.9
    assert 0.03 < gp.parameters(fitted)["length"] < 3


def test_the_seed_decides_and_nothing_global_is_touched() -> None:
    before: Any = np.random.get_state()  # noqa: NPY002
    filters = list(warnings.filters)
    thetas = [gp.fit(*drawn(12), gp.kernel(), seed=seed)[0].kernel_.theta for seed in (3, 3)]
    assert np.array_equal(*thetas)
    after: Any = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(before[1], after[1])
    assert filters == list(warnings.filters)


def test_warnings_of_fits_are_counted_and_others_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = np.column_stack([np.zeros(12), np.linspace(0, 1, 12)])
    monkeypatch.setattr(gp, "WIDTH", 1e3)
    _, warned = gp.fit(inputs, np.sin(40 * inputs[:, 1]), gp.kernel(), seed=0)
    assert warned > 0, "without a prior, something ends at a bound"
    train = GaussianProcessRegressor.fit

    def noisy(self: GaussianProcessRegressor, *data: Array) -> GaussianProcessRegressor:
        warnings.warn("something else", UserWarning, stacklevel=1)
        return train(self, *data)

    monkeypatch.setattr(GaussianProcessRegressor, "fit", noisy)
    with pytest.warns(UserWarning, match="something else"):
        gp.fit(*drawn(8), gp.kernel(), seed=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_cannot_be_fitted(bad: float) -> None:
    with pytest.raises(np.linalg.LinAlgError):
        gp.fit(X, np.array([0, bad, 1]), gp.kernel(), seed=0)


def test_categories_have_a_kernel_of_their_own() -> None:
    inputs = np.column_stack([drawn(12)[0], np.arange(12) % 3])
    fitted, _ = gp.fit(inputs, drawn(12)[1], gp.kernel(1), seed=0)
    assert isinstance(fitted.kernel_.k1, Mixed)
    assert {"mix", "category_variance", "category_forgetting"} < set(gp.parameters(fitted))
