"""Ranking."""

from __future__ import annotations

import torch
from torch import Tensor


def best_first(fitness: Tensor) -> Tensor:
    """Return the rows (n,) by falling fitness (n,): NaN last, ties to the lower row."""
    by_value = torch.argsort(
        fitness.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf), descending=True, stable=True
    )
    return by_value[torch.argsort(fitness[by_value].isnan().int(), stable=True)]
