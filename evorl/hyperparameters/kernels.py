"""Covariances of a function that changes from round to round, for scikit-learn's Gaussian processes.

An input's first column is its time in rounds; what is fitted has bounds here, and scikit-learn fits its logarithm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

Array = NDArray[np.float64]


def decay(lag: Array, forgetting: float) -> Array:
    """Return `(1 - eps)^(|t - t'| / 2)` for lags |t - t'| of any shape (Bogunovic et al. 2016, section 3)."""
    return np.asarray((1 - forgetting) ** (lag / 2))


def mixed(numbers: Array, categories: Array, mix: float) -> Array:
    """Return the covariance of numbers and categories together: CoCaBO's sum and product (Ru et al. 2020, eq. 2)."""
    return (1 - mix) / 2 * (numbers + categories) + mix * numbers * categories


def overlap(first: Array, second: Array) -> Array:
    """Return the shares (n, m) of the categories (n, c) and (m, c) that are the same."""
    return np.asarray((first[:, None] == second[None]).mean(axis=2))


class TimeVarying(Kernel):  # type: ignore[misc]
    """`v exp(-d^2 / l) (1 - eps)^(|t - t'| / 2)`, d the distance in all columns but time (Parker-Holder et al. 2020).

    Args:
        variance: v, of the function.
        length: l, a squared length, the same for all columns.
        forgetting: eps, the share of the function that is new every round; 0 for a function that stays.
    """

    def __init__(self, variance: float = 1.0, length: float = 0.3, forgetting: float = 0.1) -> None:
        self.variance, self.length, self.forgetting = variance, length, forgetting

    hyperparameter_forgetting = Hyperparameter("forgetting", "numeric", (1e-4, 0.99))
    hyperparameter_length = Hyperparameter("length", "numeric", (1e-2, 1e1))
    hyperparameter_variance = Hyperparameter("variance", "numeric", (1e-2, 1e1))

    def __call__(self, X: Array, Y: Array | None = None, eval_gradient: bool = False) -> Any:  # noqa: N803
        """Return the covariances (n, m), with `eval_gradient` also their slopes (n, n, 3) along the logarithms."""
        other = X if Y is None else Y
        lag, squares = np.abs(X[:, :1] - other[:, 0]), cdist(X[:, 1:], other[:, 1:], "sqeuclidean")
        covariance = self.variance * np.exp(-squares / self.length) * decay(lag, self.forgetting)
        if not eval_gradient:
            return covariance
        slopes = [-lag / 2 * self.forgetting / (1 - self.forgetting), squares / self.length, np.ones_like(lag)]
        return covariance, covariance[..., None] * np.stack(slopes, axis=2)  # in scikit-learn's order, by name

    def diag(self, X: Array) -> Array:  # noqa: N803
        """Return the variances (n,)."""
        return np.full(len(X), self.variance)

    def is_stationary(self) -> bool:
        """Whether only differences of inputs matter."""
        return True


class Mixed(Kernel):  # type: ignore[misc]
    """`mixed` of a `TimeVarying` of numbers and of the overlap of categories, which has a decay of its own.

    Args:
        categories: how many columns, the last ones, are categories.
        variance, length, forgetting: of the numbers.
        category_variance: of the part that categories decide.
        category_forgetting: the share of that part that is new every round.
        mix: the weight of the product; the sum has the rest.
    """

    def __init__(
        self,
        categories: int = 1,
        variance: float = 1.0,
        length: float = 0.3,
        forgetting: float = 0.1,
        category_variance: float = 1.0,
        category_forgetting: float = 0.1,
        mix: float = 0.5,
    ) -> None:
        self.categories, self.variance, self.length, self.forgetting = categories, variance, length, forgetting
        self.category_variance, self.category_forgetting, self.mix = category_variance, category_forgetting, mix

    hyperparameter_category_forgetting = Hyperparameter("category_forgetting", "numeric", (1e-4, 0.99))
    hyperparameter_category_variance = Hyperparameter("category_variance", "numeric", (1e-2, 1e1))
    hyperparameter_forgetting = Hyperparameter("forgetting", "numeric", (1e-4, 0.99))
    hyperparameter_length = Hyperparameter("length", "numeric", (1e-2, 1e1))
    hyperparameter_mix = Hyperparameter("mix", "numeric", (1e-2, 0.99))
    hyperparameter_variance = Hyperparameter("variance", "numeric", (1e-2, 1e1))

    def __call__(self, X: Array, Y: Array | None = None, eval_gradient: bool = False) -> Any:  # noqa: N803
        """Return the covariances (n, m), with `eval_gradient` also their slopes (n, n, 6) along the logarithms."""
        other = X if Y is None else Y
        lag = np.abs(X[:, :1] - other[:, 0])
        same = overlap(X[:, -self.categories :], other[:, -self.categories :])
        categories = self.category_variance * same * decay(lag, self.category_forgetting)
        of_numbers = TimeVarying(self.variance, self.length, self.forgetting)
        ours, theirs = X[:, : -self.categories], other[:, : -self.categories]
        if not eval_gradient:
            return mixed(of_numbers(ours, theirs), categories, self.mix)
        numbers, slopes = of_numbers(ours, eval_gradient=True)
        by_numbers = (1 - self.mix) / 2 + self.mix * categories
        by_categories = (1 - self.mix) / 2 + self.mix * numbers
        forgetting, length, variance = np.moveaxis(by_numbers[..., None] * slopes, 2, 0)
        category_forgetting = -lag / 2 * self.category_forgetting / (1 - self.category_forgetting)
        mix = self.mix * (numbers * categories - (numbers + categories) / 2)
        of_categories = by_categories * categories
        gradient = [of_categories * category_forgetting, of_categories, forgetting, length, mix, variance]
        return mixed(numbers, categories, self.mix), np.stack(gradient, axis=2)

    def diag(self, X: Array) -> Array:  # noqa: N803
        """Return the variances (n,)."""
        return np.full(len(X), mixed(np.array(self.variance), np.array(self.category_variance), self.mix))

    def is_stationary(self) -> bool:
        """Whether only differences of inputs matter."""
        return True
