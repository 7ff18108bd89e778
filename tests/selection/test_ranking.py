"""Ranking against a sort written out."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evorl.population import Identities, Population
from evorl.selection import best_first, best_of

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("fitness", "rows"),
    [
        ([1.0, 3.0, 2.0], [1, 2, 0]),
        ([NAN, -5.0, NAN, 0.0], [3, 1, 0, 2]),
        ([2.0, 2.0, 7.0, 2.0], [2, 0, 1, 3]),
        ([NAN, NAN, NAN], [0, 1, 2]),
        ([-INF, NAN, INF, -1e300, INF, 1e300], [5, 3, 0, 1, 2, 4]),
        ([NAN, -INF], [0, 1]),
        ([0.0, -0.0], [0, 1]),
        ([5.0], [0]),
        ([], []),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_best_come_first_what_is_not_finite_last_and_the_lower_row_of_equals(
    fitness: list[float], rows: list[int], dtype: torch.dtype
) -> None:
    if dtype == torch.float32 and -1e300 in fitness:
        fitness = [value / 1e270 if abs(value) == 1e300 else value for value in fitness]
    assert best_first(torch.tensor(fitness, dtype=dtype)).tolist() == rows


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(-3, 3).map(float), st.sampled_from([NAN, INF, -INF])), max_size=30))
def test_ranking_is_that_of_a_stable_sort(fitness: list[float]) -> None:
    expected = sorted(
        range(len(fitness)),
        key=lambda row: -fitness[row] if math.isfinite(fitness[row]) else INF,
    )
    assert best_first(torch.tensor(fitness, dtype=torch.float64)).tolist() == expected


def test_the_fitness_is_left_alone() -> None:
    fitness = torch.tensor([NAN, 1.0, -INF])
    best_first(fitness)
    assert fitness[0].isnan()
    assert fitness[1:].tolist() == [1.0, -INF]


def test_the_best_is_by_fitness_or_by_what_is_given() -> None:
    members = Population.fresh(torch.arange(8.0).view(4, 2), Identities(), "fresh")
    members = members.with_fitness(torch.tensor([NAN, 1.0, 3.0, 2.0]))
    best, recent = best_of(members), best_of(members, by=torch.tensor([4.0, 4.0, NAN, 1.0]))
    assert (len(best), best.fitness.item(), best.params.tolist()) == (1, 3.0, [[4.0, 5.0]])
    assert (len(recent), recent.params.tolist()) == (1, [[0.0, 1.0]])
