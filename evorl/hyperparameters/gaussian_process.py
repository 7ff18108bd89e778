"""The Gaussian processes of PB2: scikit-learn's regression, fitted to what is known, and told what is under way.

Inputs are (m, d), targets (m,) with mean 0 and variance 1. A module of its own, since scikit-learn is an extra.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Kernel, WhiteKernel

from evorl.hyperparameters.kernels import Array, Mixed, TimeVarying

#: Standard deviation of the prior of the logarithm of what is fitted.
WIDTH = 1.0
#: Bounds of the variance of the noise; the targets have variance 1.
NOISE = (1e-4, 1.0)
#: Fits from drawn values of what is fitted, beside the first one from the kernel's own.
RESTARTS = 2


def kernel(categories: int = 0) -> Kernel:
    """Return the covariance with noise to begin a fit with; so many of the last columns are categories."""
    function = Mixed(categories) if categories else TimeVarying()
    return function + WhiteKernel(0.1, NOISE)


def fit(inputs: Array, targets: Array, begin: Kernel, seed: int) -> tuple[GaussianProcessRegressor, int]:
    """Return the process that is most likely, and how often there was a warning that a fit had not converged.

    Before there are data, the logarithm of each parameter is normal around that of `begin`, with deviation WIDTH:
    without that, a handful of intervals would be fitted by noise alone, or by no noise.

    Args:
        inputs: (m, d).
        targets: (m,).
        begin: a sum of a covariance and noise; where the first fit begins, too.
        seed: of where the others do.

    Raises:
        numpy.linalg.LinAlgError: there is no fit, or what came is not finite.
    """
    if not (np.isfinite(inputs).all() and np.isfinite(targets).all()):
        raise np.linalg.LinAlgError("inputs and targets must be finite")

    def most_likely(objective: Callable[..., Any], start: Array, bounds: Array) -> tuple[Array, float]:
        def falling(theta: Array) -> tuple[float, Array]:
            value, slope = objective(theta)
            away = (theta - begin.theta) / WIDTH
            return value + away @ away / 2, slope + away / WIDTH

        result = minimize(falling, start, method="L-BFGS-B", jac=True, bounds=bounds)
        if not result.success:
            warnings.warn(result.message, ConvergenceWarning, stacklevel=2)
        return result.x, float(result.fun)

    process = GaussianProcessRegressor(
        begin, alpha=0.0, optimizer=most_likely, n_restarts_optimizer=RESTARTS, random_state=seed
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        process.fit(inputs, targets)
    of_fits = [warning for warning in caught if issubclass(warning.category, ConvergenceWarning)]
    for other in [warning for warning in caught if warning not in of_fits]:
        warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return process, len(of_fits)


def told(process: GaussianProcessRegressor, pending: Array) -> GaussianProcessRegressor:
    """Return the process, not fitted again, as if also (p, d) `pending` inputs were observed: for deviations only.

    What is observed there does not matter to deviations; the process that is returned has no use as a mean.
    """
    known = np.concatenate([process.X_train_, pending])
    return GaussianProcessRegressor(process.kernel_, alpha=0.0, optimizer=None).fit(known, np.zeros(len(known)))


def predict(process: GaussianProcessRegressor, inputs: Array) -> tuple[Array, Array]:
    """Return mean (n,) and standard deviation (n,) of the function itself, without noise, at inputs (n, d)."""
    function = process.kernel_.k1
    covariance = function(inputs, process.X_train_)
    explained = np.square(solve_triangular(process.L_, covariance.T, lower=True)).sum(axis=0)
    return covariance @ process.alpha_, np.sqrt(np.maximum(function.diag(inputs) - explained, 0.0))


def parameters(process: GaussianProcessRegressor) -> dict[str, float]:
    """Return what was fitted, by name; `noise` is a variance."""
    function, noise = process.kernel_.k1, process.kernel_.k2
    found = {parameter.name: float(getattr(function, parameter.name)) for parameter in function.hyperparameters}
    return {**found, "noise": float(noise.noise_level)}
