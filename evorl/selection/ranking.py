"""Ranking."""

from __future__ import annotations

import torch
from torch import Tensor

from evorl.population import Population


def best_first(fitness: Tensor) -> Tensor:
    """Return the rows (n,) by falling fitness (n,): what is not finite last, ties to the lower row."""
    finite = fitness.isfinite()
    by_value = torch.argsort(fitness.where(finite, -torch.inf), descending=True, stable=True)
    return by_value[torch.argsort((~finite)[by_value].int(), stable=True)]


def best_of(members: Population, by: Tensor | None = None) -> Population:
    """Return the first of n members in the order of `best_first`, as a population of one.

    Args:
        members: n of them.
        by: (n,) what they are ranked by; their fitness if not given.
    """
    return members[best_first(members.fitness if by is None else by)[:1]]
