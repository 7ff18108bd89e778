"""Ranking."""

from __future__ import annotations

import torch
from torch import Tensor


def best_first(fitness: Tensor) -> Tensor:
    """Return the rows (n,) by falling fitness (n,): what is not finite last, ties to the lower row."""
    finite = fitness.isfinite()
    by_value = torch.argsort(fitness.where(finite, -torch.inf), descending=True, stable=True)
    return by_value[torch.argsort((~finite)[by_value].int(), stable=True)]
