"""Grids: every combination of a few values of each hyperparameter."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from evorl.hyperparameters.kinds import Categorical, Kind
from evorl.hyperparameters.spaces import Space


def grid(space: Space, points: int) -> dict[str, Tensor]:
    """Return every combination, (n,) each, the last hyperparameter changing fastest.

    Args:
        space: what the values may be; of a list every value is taken.
        points: values of each number, evenly spaced on its scale, bounds included; 1 is the middle. Whole numbers that
            would come twice come once.
    """
    combined = list(itertools.product(*axes(space, points).values()))
    return dict(zip(space, torch.tensor(combined, dtype=torch.float64).unbind(1), strict=True))


def axes(space: Space, points: int) -> dict[str, list[float]]:
    """Return the values of each hyperparameter of which `grid` makes every combination."""
    return {name: _values(kind, points) for name, kind in space.items()}


def _values(kind: Kind, points: int) -> list[float]:
    if isinstance(kind, Categorical):
        return list(kind.values)
    places = torch.linspace(0, 1, points, dtype=torch.float64) if points > 1 else torch.tensor([0.5])
    return sorted(set(kind.from_unit(places).tolist()))
