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
    combined = list(itertools.product(*(_values(kind, points) for kind in space.values())))
    return dict(zip(space, torch.tensor(combined, dtype=torch.float64).unbind(1), strict=True))


def _values(kind: Kind, points: int) -> list[float]:
    if isinstance(kind, Categorical):
        return list(kind.values)
    places = torch.linspace(0, 1, points, dtype=torch.float64) if points > 1 else torch.tensor([0.5])
    return sorted(set(kind.from_unit(places).tolist()))
