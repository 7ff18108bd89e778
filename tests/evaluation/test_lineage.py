"""Roots and copies, counted by hand."""

import torch

from evorl.evaluation.lineage import describe_lineage
from evorl.population import Identities, Population


def roots(n: int) -> Population:
    fresh = Population.fresh(torch.zeros(n, 2), Identities(), "initial")
    return fresh.with_traits(root=fresh.id)


def test_without_copies_everyone_is_a_root() -> None:
    evaluated = roots(4)
    assert describe_lineage(evaluated, evaluated) == {"population/roots": 4.0, "population/copies": 0.0}


def test_copies_are_counted_when_they_are_made_and_their_root_lives_on_in_them() -> None:
    first = roots(5)
    second = first.put([1, 3], first.descend([0, 0], "copy"))
    assert describe_lineage(first, second) == {"population/roots": 3.0, "population/copies": 2.0}
    assert describe_lineage(second, second) == {"population/roots": 3.0, "population/copies": 0.0}
    third = second.put([0, 2], second.descend([1, 4], "copy"))
    assert describe_lineage(second, third) == {"population/roots": 2.0, "population/copies": 2.0}


def test_newcomers_without_parents_are_no_copies() -> None:
    first = roots(3)
    came = Population.fresh(torch.zeros(1, 2), first.identities, "initial")
    second = first.put([2], came.with_traits(root=came.id))
    assert describe_lineage(first, second) == {"population/roots": 3.0, "population/copies": 0.0}
    assert describe_lineage(first, first[[0, 2]]) == {"population/roots": 2.0, "population/copies": 0.0}
