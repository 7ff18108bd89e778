"""The kinds of hyperparameters: how each is drawn, mapped to the unit interval and perturbed.

Values and draws are (n,) float64, one a member; draws are uniform in [0, 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from evorl.errors import ConfigError, require_fields

#: What a perturbed number is multiplied by: the one below 1, or the one above.
Factors = tuple[float, float]


class Kind(Protocol):
    """What a hyperparameter may be; `str` of a kind is its form on the command line."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value."""

    def from_unit(self, unit: Tensor) -> Tensor:
        """Return the values at places (n,) of the unit interval; uniform places give draws from the prior."""

    def to_unit(self, values: Tensor) -> Tensor:
        """Return the places (n,) in the unit interval that `from_unit` maps to the values (n,)."""

    def clip(self, values: Tensor) -> Tensor:
        """Return the nearest values (n,) that are allowed."""

    def perturb(self, values: Tensor, draws: Tensor, factors: Factors) -> Tensor:
        """Return new values (n,) near the old ones, upwards where a draw is at least a half."""


@dataclass(frozen=True)
class Float:
    """A number between bounds, which are included.

    Attributes:
        low: the least value.
        high: the largest; equal to `low`, the hyperparameter is frozen.
        scale: in what the prior is uniform: the number, its logarithm, or the logarithm of its distance from 1. The
            last is for discounts, which are also perturbed by their distance from 1.
    """

    low: float
    high: float
    scale: Literal["linear", "log", "complement"] = "linear"

    def __post_init__(self) -> None:
        require_fields(self)
        _require_bounds(self.low, self.high)
        if self.scale == "log" and not self.low > 0:
            raise ConfigError(f"low must be above 0 on a log scale, got {self.low}")
        if self.scale == "complement" and not self.high < 1:
            raise ConfigError(f"high must be below 1 on a complement scale, got {self.high}")

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value."""
        return self.low, self.high

    def from_unit(self, unit: Tensor) -> Tensor:
        """Return the values at places (n,) of the unit interval."""
        return self.clip(_from_unit(unit, self.low, self.high, self.scale))

    def to_unit(self, values: Tensor) -> Tensor:
        """Return the places (n,) of the values in the unit interval; 0 if frozen."""
        return _to_unit(self.clip(values), self.low, self.high, self.scale)

    def clip(self, values: Tensor) -> Tensor:
        """Return the values moved into the bounds."""
        return values.clamp(self.low, self.high)

    def perturb(self, values: Tensor, draws: Tensor, factors: Factors) -> Tensor:
        """Multiply by one of the factors, or the distance from 1 on a complement scale; zero stays, no sign changes."""
        upwards = draws >= 0.5
        if self.scale == "complement":
            return self.clip(1 - _multiplied(1 - values, ~upwards, factors))
        return self.clip(_multiplied(values, upwards, factors))

    def __str__(self) -> str:
        return f"{'' if self.scale == 'linear' else self.scale + ':'}{self.low}:{self.high}"


@dataclass(frozen=True)
class Int:
    """A whole number between bounds, which are included.

    Attributes:
        low: the least value.
        high: the largest; equal to `low`, the hyperparameter is frozen.
        scale: whether the prior is uniform in the number, or in its logarithm before that is rounded.
    """

    low: int
    high: int
    scale: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        require_fields(self)
        _require_bounds(self.low, self.high)
        if self.scale == "log" and self.low < 1:
            raise ConfigError(f"low must be at least 1 on a log scale, got {self.low}")

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value."""
        return self.low, self.high

    def from_unit(self, unit: Tensor) -> Tensor:
        """Return the values at places (n,) of the unit interval, in which each has a cell of its own."""
        return self.clip(_from_unit(unit, self.low - 0.5, self.high + 0.5, self.scale))

    def to_unit(self, values: Tensor) -> Tensor:
        """Return the places (n,) of the values in their cells."""
        return _to_unit(self.clip(values), self.low - 0.5, self.high + 0.5, self.scale)

    def clip(self, values: Tensor) -> Tensor:
        """Return the values rounded and moved into the bounds."""
        return values.round().clamp(self.low, self.high)

    def perturb(self, values: Tensor, draws: Tensor, factors: Factors) -> Tensor:
        """Multiply by one of the factors and round up or down, by what lies nearer more often; move by one at least.

        The first digit of a draw is the direction, the others are the rounding, so that every number can be reached.
        """
        upwards = draws >= 0.5
        moved = (_multiplied(values, upwards, factors) + (2 * draws) % 1).floor()
        by_one = values + torch.where(upwards, 1.0, -1.0)
        return self.clip(torch.where(moved == values, by_one, moved))

    def __str__(self) -> str:
        return f"int:{'' if self.scale == 'linear' else self.scale + ':'}{self.low}:{self.high}"


@dataclass(frozen=True)
class Categorical:
    """One of some numbers without order: a perturbation draws anew.

    Attributes:
        values: the numbers, all different.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = [value for value in self.values if isinstance(value, int | float) and not isinstance(value, bool)]
        if not self.values or len(numbers) < len(self.values) or not all(map(math.isfinite, numbers)):
            raise ConfigError(f"values must be numbers, which is what learners read, got {self.values}")
        if len(set(numbers)) < len(numbers):
            raise ConfigError(f"values must all be different, got {self.values}")

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value."""
        return min(self.values), max(self.values)

    def from_unit(self, unit: Tensor) -> Tensor:
        """Return the values at places (n,) of the unit interval, of which each has an equal part."""
        size = len(self.values)
        return self._table()[(unit * size).long().clamp(0, size - 1)]

    def to_unit(self, values: Tensor) -> Tensor:
        """Return the middles (n,) of the values' parts of the unit interval."""
        return (self._nearest(values) + 0.5) / len(self.values)

    def clip(self, values: Tensor) -> Tensor:
        """Return the nearest of the values."""
        return self._table()[self._nearest(values)]

    def perturb(self, values: Tensor, draws: Tensor, factors: Factors) -> Tensor:
        """Draw anew, each value as likely as any other."""
        return self.from_unit(draws)

    def _table(self) -> Tensor:
        return torch.tensor(self.values, dtype=torch.float64)

    def _nearest(self, values: Tensor) -> Tensor:
        return (values[:, None] - self._table()).abs().argmin(dim=1)

    def __str__(self) -> str:
        return f"{type(self).__name__.lower()}:{','.join(map(str, self.values))}"


@dataclass(frozen=True)
class Ordinal(Categorical):
    """One of some numbers in order: a perturbation moves to a neighbour."""

    def perturb(self, values: Tensor, draws: Tensor, factors: Factors) -> Tensor:
        """Move to the next value or to the one before; at an end, stay if there is none."""
        places = self._nearest(values) + torch.where(draws >= 0.5, 1, -1)
        return self._table()[places.clamp(0, len(self.values) - 1)]


def _require_bounds(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ConfigError(f"low must not be above high, and both must be finite, got low {low} and high {high}")


def _multiplied(values: Tensor, upwards: Tensor, factors: Factors) -> Tensor:
    """Return the values (n,) multiplied by the factor that moves each in its direction, whatever its sign."""
    return values * torch.tensor(factors, dtype=values.dtype)[(upwards == (values >= 0)).long()]


def _stretch(values: Tensor, scale: str) -> Tensor:
    """Return the quantity, rising with the value, in which the prior of a scale is uniform."""
    if scale == "log":
        return values.log()
    return -torch.log1p(-values) if scale == "complement" else values


def _ends(low: float, high: float, scale: str) -> tuple[Tensor, Tensor]:
    first, last = _stretch(torch.tensor([low, high], dtype=torch.float64), scale).unbind()
    return first, last


def _from_unit(unit: Tensor, low: float, high: float, scale: str) -> Tensor:
    first, last = _ends(low, high, scale)
    place = torch.lerp(first, last, unit.double())
    if scale == "log":
        return place.exp()
    return -torch.expm1(-place) if scale == "complement" else place


def _to_unit(values: Tensor, low: float, high: float, scale: str) -> Tensor:
    first, last = _ends(low, high, scale)
    return torch.zeros_like(values) if low == high else (_stretch(values, scale) - first) / (last - first)
