"""Ranking."""

from __future__ import annotations

import torch
from torch import Tensor


def best_first(fitness: Tensor) -> Tensor:
    """Return the rows (n,) by falling fitness (n,): NaN last, ties to the lower row."""
    known = torch.nan_to_num(fitness, nan=-torch.inf, posinf=torch.inf, neginf=torch.finfo(fitness.dtype).min)
    return torch.argsort(known, descending=True, stable=True)
