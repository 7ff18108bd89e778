"""Populations: rows that keep together, copies that inherit everything, and stock DEAP on the stacked tensor."""

import copy
import io
import pickle
import random
from collections import Counter
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import torch
from deap import base, tools
from hypothesis import given, settings
from hypothesis import strategies as st
from support import same
from torch import Tensor

from evorl.population import NO_PARENT, FitnessMax, Identities, Individual, Population, Transitions
from evorl.streams import Streams


def evaluated(n: int = 5) -> Population:
    """Return members whose every number tells its row."""
    rows = torch.arange(n)
    fresh = Population.fresh(
        torch.stack([rows, 10.0 + rows, 20.0 + rows], dim=1).float(),
        Identities(100),
        "initial",
        {"h.rate": rows.double() / 10, "critic": torch.stack([rows, -rows], dim=1).float(), "updates": 7 * rows},
    )
    return fresh.with_fitness(rows.double() * 2)


def rows_of(population: Population) -> list[int]:
    """Return the original row of each member, after checking that every field agrees about it."""
    rows = population.params[:, 0].long()
    assert torch.equal(population.params, torch.stack([rows, 10.0 + rows, 20.0 + rows], dim=1).float())
    assert torch.equal(population.traits["h.rate"], rows.double() / 10)
    assert torch.equal(population.traits["critic"], torch.stack([rows, -rows], dim=1).float())
    assert torch.equal(population.traits["updates"], 7 * rows)
    found: list[int] = rows.tolist()
    return found


def test_fresh_members_have_new_ids_no_parents_and_no_fitness() -> None:
    identities = Identities()
    first, second = (Population.fresh(torch.zeros(3, 2), identities, "initial") for _ in range(2))
    assert first.id.tolist() + second.id.tolist() == [0, 1, 2, 3, 4, 5]
    assert first.parent.tolist() == [NO_PARENT] * 3
    assert first.fitness.isnan().all()
    assert first.fitness.dtype == torch.float64
    assert first.origin == ("initial",) * 3


def test_no_id_is_given_twice_not_even_after_a_restart() -> None:
    identities = Identities()
    given_out = identities.take(3).tolist() + identities.take(0).tolist() + identities.take(2).tolist()
    restarted = Identities()
    restarted.load_state_dict(identities.state_dict())
    assert given_out + restarted.take(2).tolist() == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (slice(1, 4), [1, 2, 3]),
        (slice(None, None, 2), [0, 2, 4]),
        (slice(-2, None), [3, 4]),
        ([3, 0, 3], [3, 0, 3]),
        ([-1], [4]),
        ([], []),
        ([True, False, False, True, False], [0, 3]),
        (torch.tensor([4, 1]), [4, 1]),
        (torch.tensor([4, 1], dtype=torch.int32), [4, 1]),
        (torch.tensor([False, True, True, False, False]), [1, 2]),
        (np.array([2, 2]), [2, 2]),
    ],
    ids=str,
)
def test_rows_keep_together_however_they_are_named(rows: Any, expected: list[int]) -> None:
    chosen = evaluated()[rows]
    assert rows_of(chosen) == expected
    assert chosen.fitness.tolist() == [2.0 * row for row in expected]
    assert chosen.id.tolist() == [100 + row for row in expected]
    assert chosen.parent.tolist() == [NO_PARENT] * len(expected)
    assert chosen.origin == ("initial",) * len(expected)
    assert len(chosen) == len(expected)


def test_a_row_that_is_not_there_is_an_error() -> None:
    with pytest.raises(IndexError):
        evaluated()[[5]]


def test_descendants_inherit_everything_under_new_ids_and_name_their_donors() -> None:
    parents = evaluated()
    children = parents.descend([4, 4, 1], "copy")
    assert rows_of(children) == [4, 4, 1]
    assert children.fitness.tolist() == [8.0, 8.0, 2.0]
    assert children.parent.tolist() == [104, 104, 101]
    assert children.id.tolist() == [105, 106, 107]
    assert children.origin == ("copy",) * 3
    grandchildren = children.descend(slice(1), "copy")
    assert (grandchildren.parent.tolist(), grandchildren.id.tolist()) == ([105], [108])
    assert parents.id.tolist() == [100, 101, 102, 103, 104]


def test_descendants_do_not_share_memory_with_their_donors() -> None:
    parents = evaluated()
    children = parents.descend([0, 0], "copy")
    children.params[0] += 1
    children.traits["critic"][0] += 1
    assert rows_of(parents) == [0, 1, 2, 3, 4]
    assert rows_of(children[[1]]) == [0]


def test_other_parameters_make_the_fitness_unknown_unless_it_is_given() -> None:
    parents = evaluated()
    assert parents.with_params(parents.params + 1).fitness.isnan().all()
    given_fitness = torch.arange(5).double()
    assert torch.equal(parents.with_params(parents.params, given_fitness).fitness, given_fitness)
    changed = parents.with_params(parents.params + 1)
    assert torch.equal(changed.params, evaluated().params + 1)
    assert torch.equal(changed.id, parents.id)
    assert same(dict(changed.traits), dict(parents.traits))
    assert parents.fitness.tolist() == [0, 2, 4, 6, 8]


def test_a_changed_hyperparameter_makes_the_fitness_unknown_and_another_trait_does_not() -> None:
    parents = evaluated()
    harmless = parents.with_traits(updates=torch.zeros(5), hidden=torch.ones(5))
    assert torch.equal(harmless.fitness, parents.fitness)
    assert harmless.traits["updates"].sum() == 0
    assert torch.equal(harmless.traits["critic"], parents.traits["critic"])
    changed = parents.with_traits(**{"h.rate": torch.ones(5)})
    assert changed.fitness.isnan().all()
    assert rows_of(parents) == [0, 1, 2, 3, 4]
    assert "hidden" not in parents.traits


def test_fitness_is_kept_in_float64() -> None:
    population = evaluated().with_fitness(torch.full((5,), 1 / 3, dtype=torch.float32))
    assert population.fitness.dtype == torch.float64


@pytest.mark.parametrize("field", ["fitness", "id", "parent", "origin", "a trait"])
def test_a_column_with_too_few_or_too_many_rows_is_named(field: str) -> None:
    for length in (4, 6):
        columns: dict[str, Any] = {name: torch.zeros(5) for name in ("params", "fitness", "id", "parent")}
        columns["origin"] = ("x",) * 5
        wrong = torch.zeros(length)
        columns |= {"traits": {field: wrong}} if field == "a trait" else {field: wrong}
        with pytest.raises(ValueError, match=f"^{field} must have a row for each of the 5 members, got {length}$"):
            Population(**columns, identities=Identities())


def test_a_trait_set_later_needs_a_row_for_each_member_too() -> None:
    with pytest.raises(ValueError, match="critic must have a row for each of the 5 members, got 1"):
        evaluated().with_traits(critic=torch.zeros(1, 2))
    with pytest.raises(ValueError, match="fitness must have a row"):
        evaluated().with_fitness(torch.zeros(2))


def test_an_injected_row_cannot_bring_a_trait_that_nobody_has() -> None:
    members = Population.fresh(torch.zeros(2, 3), Identities(), "initial", {"age": torch.zeros(2)})
    donor = Population.fresh(torch.ones(1, 3), Identities(), "agent")
    injected = members.inject(1, donor, "agent", age=torch.ones(1))
    assert injected.traits["age"].tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"^traits must be among \['age'\], got \['from_agent'\]$"):
        members.inject(1, donor, "agent", from_agent=torch.ones(1))


def test_a_clone_may_be_changed_in_place_without_harm_to_the_original() -> None:
    original = evaluated()
    kept = copy.deepcopy(original.state_dict())
    clone = original.clone()
    assert same(clone.state_dict(), kept)
    clone.params.zero_()
    clone.fitness.zero_()
    for trait in clone.traits.values():
        trait.zero_()
    assert same(original.state_dict(), kept)


def test_fields_cannot_be_set() -> None:
    with pytest.raises(FrozenInstanceError):
        evaluated().params = torch.zeros(5, 3)  # type: ignore[misc]


def test_a_population_comes_back_equal_from_a_file_and_takes_the_runs_ids() -> None:
    population = evaluated().descend([1, 3], "copy").with_params(torch.ones(2, 3))
    buffer = io.BytesIO()
    torch.save(population.state_dict(), buffer)
    buffer.seek(0)
    identities = Identities(500)
    restored = Population.from_state(torch.load(buffer, weights_only=True), identities)
    assert same(restored.state_dict(), population.state_dict())
    assert restored.origin == population.origin
    assert restored.descend([0], "copy").id.tolist() == [500]


def test_the_length_of_transitions_is_their_number() -> None:
    one = torch.zeros(6, 2)
    assert len(Transitions(one, one, torch.zeros(6), one, torch.zeros(6))) == 6


# DEAP's view.


def individuals(fitness: list[float]) -> list[Individual]:
    params = torch.arange(3.0 * len(fitness)).view(-1, 3)
    return (
        Population.fresh(params, Identities(), "x")
        .with_fitness(torch.tensor(fitness, dtype=torch.float64))
        .individuals()
    )


def test_individuals_show_the_rows_of_a_copy() -> None:
    population = evaluated()
    some = population.individuals()
    assert [individual.row for individual in some] == [0, 1, 2, 3, 4]
    assert np.array_equal(np.stack([individual.genome for individual in some]), population.params)
    assert [individual.fitness.values for individual in some] == [(0.0,), (2.0,), (4.0,), (6.0,), (8.0,)]
    some[0][:] = [-1.0, -1.0, -1.0]
    assert rows_of(population) == [0, 1, 2, 3, 4]


def test_a_slice_copies_and_an_assignment_writes_through() -> None:
    genome = np.arange(4, dtype=np.float32)
    individual = Individual(genome)
    part = individual[1:3]
    part[:] = 99
    assert genome.tolist() == [0, 1, 2, 3]
    individual[1:3] = [7.0, 8.0]
    individual[0] = 5.0
    assert genome.tolist() == [5, 7, 8, 3]
    assert list(individual) == [5, 7, 8, 3]
    assert (len(individual), individual[-1]) == (4, 3)


def test_an_individual_without_fitness_is_invalid() -> None:
    assert not Individual(np.zeros(2)).fitness.valid
    assert Individual(np.zeros(2), 0, 0.0).fitness.valid


def test_unknown_fitness_becomes_the_worst_at_the_door() -> None:
    """DEAP itself would rank NaN above everything."""
    some = individuals([np.nan, 1.0, -np.inf, -1e300, np.nan])
    assert [individual.fitness.values[0] for individual in some] == [-np.inf, 1.0, -np.inf, -1e300, -np.inf]
    assert tools.selBest(some, 2) == [some[1], some[3]]
    raw = [Individual(np.zeros(1)), Individual(np.ones(1))]
    raw[0].fitness.values, raw[1].fitness.values = (np.nan,), (1.0,)
    assert tools.selBest(raw, 1) == [raw[0]]


def test_individuals_are_equal_by_their_genes_alone() -> None:
    first, second = Individual(np.zeros(2), 0, 1.0), Individual(np.zeros(2), 5, 2.0)
    assert first == second
    assert first != Individual(np.ones(2))
    assert first != [0.0, 0.0]
    with pytest.raises(TypeError, match="unhashable"):
        hash(first)


@pytest.mark.parametrize("way", ["toolbox", "pickle"])
def test_a_clone_of_an_individual_has_genes_and_fitness_of_its_own(way: str) -> None:
    original = individuals([3.0, 4.0])[1]
    clone = base.Toolbox().clone(original) if way == "toolbox" else pickle.loads(pickle.dumps(original))  # noqa: S301
    assert clone == original
    assert (clone.row, clone.fitness.values) == (1, (4.0,))
    clone[0] = -1.0
    del clone.fitness.values
    assert original.genome.tolist() == [3, 4, 5]
    assert original.fitness.values == (4.0,)


def crossed(first: Tensor, second: Tensor, seed: int) -> np.ndarray[Any, Any]:
    pair = Population.fresh(torch.stack([first, second]), Identities(), "x").individuals()
    genomes = [individual.genome for individual in pair]
    with Streams(seed).as_global("mate"):
        children = tools.cxTwoPoint(*pair)
    assert all(child is parent for child, parent in zip(children, pair, strict=True))
    return np.stack(genomes)


genes = st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=12)


@settings(deadline=None, max_examples=100)
@given(genes, st.integers(0, 2**31))
def test_stock_crossover_writes_through_and_conserves_the_genes_of_every_place(row: list[float], seed: int) -> None:
    first = torch.tensor(row)
    second = first + 2_000_000
    children = crossed(first, second, seed)
    for place in range(len(row)):
        assert Counter(children[:, place].tolist()) == Counter([first[place].item(), second[place].item()])
    swapped = children[0] == second.numpy()
    assert np.array_equal(children[1] == first.numpy(), swapped)
    assert swapped.any(), "cxTwoPoint swaps at least one gene"
    assert np.count_nonzero(np.diff(swapped.astype(int))) <= 2


def test_stock_crossover_equals_that_of_lists() -> None:
    """The same draws on plain lists, which DEAP was written for."""
    first, second = torch.arange(10.0), 100 + torch.arange(10.0)
    for seed in range(20):
        lists = first.tolist(), second.tolist()
        with Streams(seed).as_global("mate"):
            tools.cxTwoPoint(*lists)
        assert crossed(first, second, seed).tolist() == list(lists)


def test_stock_tournaments_choose_as_often_as_they_should() -> None:
    """Of ten with NaN twice, the best of 3 draws with replacement is rank r with probability ((r+1)^3 - r^3) / 1000."""
    fitness = [5.0, np.nan, 7.0, 1.0, np.nan, 0.0, 9.0, 8.0, 2.0, 6.0]
    some = individuals(fitness)
    with Streams(0).as_global("select"):
        chosen = tools.selTournament(some, 20_000, tournsize=3)
    counts = Counter(individual.row for individual in chosen)
    by_rank = sorted((row for row in range(10) if not np.isnan(fitness[row])), key=lambda row: fitness[row])
    expected = {row: ((rank + 1) ** 3 - rank**3) / 1_000 for rank, row in enumerate(by_rank, start=2)}
    for row, probability in expected.items():
        assert counts[row] / 20_000 == pytest.approx(probability, abs=4 * (probability / 20_000) ** 0.5)
    assert (counts[1] + counts[4]) / 20_000 == pytest.approx(0.008, abs=0.003)


def test_stock_best_and_worst_are_those_of_the_fitness() -> None:
    some = individuals([5.0, np.nan, 7.0, -1.0])
    assert [individual.row for individual in tools.selBest(some, 4)] == [2, 0, 3, 1]
    assert [individual.row for individual in tools.selWorst(some, 2)] == [1, 3]


def test_a_hall_of_fame_keeps_the_best_seen_and_copies_of_them() -> None:
    hall = tools.HallOfFame(2)
    first, second = individuals([5.0, np.nan, 1.0]), individuals([4.0, 2.0, 3.0])
    for individual in second:
        individual[:] = individual[:] + 100
    hall.update(first)
    hall.update(second)
    hall.update(second)  # the same again enter once
    for individual in first + second:
        individual[:] = -1.0
    assert [individual.fitness.values for individual in hall] == [(5.0,), (4.0,)]
    assert [individual.genome.tolist() for individual in hall] == [[0, 1, 2], [100, 101, 102]]


def test_statistics_of_deap_read_the_fitness() -> None:
    statistics = tools.Statistics(lambda individual: individual.fitness.values)
    statistics.register("max", np.max)
    assert statistics.compile(individuals([5.0, 6.0, 1.0])) == {"max": 6.0}


def test_fitness_is_maximised() -> None:
    assert FitnessMax((2.0,)) > FitnessMax((1.0,))
    assert FitnessMax((2.0,)).dominates(FitnessMax((1.0,)))


def test_crossover_in_the_guard_leaves_the_global_state() -> None:
    before = random.getstate()
    crossed(torch.zeros(4), torch.ones(4), 0)
    assert random.getstate() == before
