"""ERL's selection: protected copies of the elites first, the slot of the worst last, a tournament among ranks."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import stats

from evorl.policies import MLP, NetworkConfig
from evorl.population import Identities, Individual, Population
from evorl.selection import elites_and_offspring, lay_out_slots
from evorl.streams import Streams
from evorl.variation import GeneticConfig, genetic_toolbox

LAYOUT = MLP(1, 1, NetworkConfig(hidden_sizes=(2,))).layout
SIZE = LAYOUT[-1].slice.stop


def evaluated(fitness: Sequence[float]) -> Population:
    """Return members of distinct parameters, whose first entry is their row."""
    rows = torch.arange(len(fitness), dtype=torch.float32)
    params = rows[:, None] + torch.arange(SIZE) / 100
    fresh = Population.fresh(params, Identities(), "initial", {"mark": rows.clone()})
    return fresh.with_fitness(torch.tensor(fitness, dtype=torch.float64))


def selected(members: Population, elites: int, streams: Streams) -> Population:
    toolbox = genetic_toolbox(GeneticConfig(), LAYOUT, streams.generator("operators"))
    return elites_and_offspring(members, elites, toolbox, streams)


@pytest.mark.parametrize(("n", "elites"), [(10, 1), (10, 3), (7, 2), (5, 2), (4, 1)])
def test_the_elites_are_present_and_their_protected_copies_come_first(n: int, elites: int) -> None:
    streams, rng = Streams(0), np.random.default_rng(0)
    for _ in range(200):
        members = evaluated(rng.permutation(n).astype(float).tolist())
        order = members.fitness.argsort(descending=True)
        parents = selected(members, elites, streams)
        assert parents.traits["protected"].tolist() == [True] * elites + [False] * (n - elites)
        best = order[:elites]
        assert torch.equal(parents.params[:elites], members.params[best])
        assert torch.equal(parents.parent[:elites], members.id[best])
        assert torch.equal(parents.fitness[:elites], members.fitness[best])
        assert torch.equal(parents.traits["mark"], parents.params[:, 0]), "traits come along"
        assert parents.origin[:elites] == ("elite",) * elites
        assert (parents.id[:elites] >= n).all(), "a copy has an id of its own"
        kept = parents.id[elites:].tolist()
        assert set(kept) <= set(range(n)), "whoever was not copied is who it was"
        assert len(set(parents.id.tolist())) == n


def test_the_slot_of_the_worst_is_last_and_never_protected_over_thousands_of_draws() -> None:
    streams, rng = Streams(1), np.random.default_rng(1)
    for turn in range(3_000):
        n = int(rng.integers(2, 11))
        elites = int(rng.integers(1, max(2, n // 2 + 1)))
        order = rng.permutation(n).tolist()
        winners = rng.integers(n, size=n - elites).tolist()
        slots = lay_out_slots(order, winners, elites, streams.generator("select"))
        assert slots.worst == order[-1]
        assert slots.worst not in slots.protected
        assert slots.donors[slots.worst] == slots.worst
        assert len(set(slots.protected)) == len(slots.protected)
        assert not {*slots.protected} & {*slots.offspring, *slots.free}
        assert {slots.donors[slot] for slot in slots.protected} <= set(order[:elites])
        if turn < 500 and n >= 4:
            members = evaluated((-np.argsort(order)).astype(float).tolist())
            parents = selected(members, 1, streams)
            assert torch.equal(parents.params[-1], members.params[order[-1]])
            assert not parents.traits["protected"][-1]


def test_each_elite_has_a_slot_unless_there_is_none_but_the_worst() -> None:
    rng, generator = np.random.default_rng(2), np.random.default_rng(3)
    for _ in range(2_000):
        n, elites = 10, int(rng.integers(1, 5))
        order = rng.permutation(n).tolist()
        slots = lay_out_slots(order, rng.integers(n, size=n - elites).tolist(), elites, generator)
        assert [slots.donors[slot] for slot in slots.protected] == order[:elites]


def test_offspring_are_the_winners_each_once_and_one_twice_if_they_are_odd() -> None:
    generator = np.random.default_rng(0)
    order = list(range(10))
    assert sorted(lay_out_slots(order, [3, 3, 1, 3, 1], 1, generator).offspring) == [1, 3]
    doubled = [sorted(lay_out_slots(order, [5, 3, 5, 1], 1, generator).offspring) for _ in range(600)]
    counts = [sum(d == sorted([1, 3, 5, twice]) for d in doubled) for twice in (1, 3, 5)]
    assert sum(counts) == 600
    assert stats.chisquare(counts).pvalue > 1e-4


def test_free_slots_are_those_of_neither_winners_nor_elites_and_the_copies_take_any_of_them_alike() -> None:
    generator, order = np.random.default_rng(0), [4, 0, 1, 2, 3, 5, 6, 7]  # the best is 4, the worst 7
    taken = []
    for _ in range(2_000):
        slots = lay_out_slots(order, [0, 1], 1, generator)
        assert sorted(slots.free + slots.protected) == [2, 3, 5, 6, 7]
        taken.append(slots.protected[0])
    assert stats.chisquare([taken.count(slot) for slot in (2, 3, 5, 6)]).pvalue > 1e-4
    assert 7 not in taken


def test_without_free_slots_a_copy_takes_that_of_an_offspring_but_not_of_the_worst() -> None:
    slots = lay_out_slots([0, 1, 2, 3], [1, 2, 3, 3], 1, np.random.default_rng(0))
    assert slots.free == []
    assert len(slots.protected) == 1
    assert slots.protected[0] in (1, 2)
    assert slots.protected[0] not in slots.offspring


def test_the_best_of_ten_wins_a_tournament_of_three_as_often_as_its_formula() -> None:
    n, draws = 10, 30_000
    streams, members = Streams(5), evaluated(np.random.default_rng(5).permutation(n).astype(float).tolist())
    toolbox = genetic_toolbox(GeneticConfig(), LAYOUT, streams.generator("operators"))
    with streams.as_global("select"):
        winners = [winner.row for winner in toolbox.select(members.individuals(), draws)]
    order = members.fitness.argsort(descending=True).tolist()
    chances = np.array([(1 - rank / n) ** 3 - (1 - (rank + 1) / n) ** 3 for rank in range(n)])
    assert chances[0] == pytest.approx(1 - (1 - 1 / n) ** 3)
    counts = [winners.count(row) for row in order]
    assert stats.chisquare(counts, chances * draws).pvalue > 1e-4
    assert counts[0] / draws == pytest.approx(0.271, abs=4 * (0.271 * 0.729 / draws) ** 0.5)


def test_n_less_the_elites_are_drawn() -> None:
    asked: list[int] = []
    streams = Streams(0)
    toolbox = genetic_toolbox(GeneticConfig(), LAYOUT, streams.generator("operators"))

    def first(individuals: list[Individual], k: int) -> list[Individual]:
        asked.append(k)
        return [individuals[2]] * k

    toolbox.register("select", first)
    members = evaluated([float(row) for row in range(8)])
    parents = elites_and_offspring(members, 3, toolbox, streams)
    assert asked == [5]
    assert parents.params[parents.traits["offspring"] > 0][:, 0].tolist() == [2]
    assert parents.traits["offspring"].sum() == 2


def test_nan_is_worst_and_never_an_elite_or_a_winner_against_a_number() -> None:
    streams = Streams(0)
    members = evaluated([float("nan"), 1.0, float("nan"), 3.0, 2.0, float("nan")])
    for _ in range(100):
        parents = selected(members, 2, streams)
        assert torch.equal(parents.params[:2, 0], torch.tensor([3.0, 4.0]))
        assert parents.params[-1, 0] == 5, "the last of equals is the worst"


def test_the_population_that_is_handed_in_is_left_alone() -> None:
    members = evaluated([1.0, 4.0, 2.0, 3.0])
    kept = members.clone()
    selected(members, 1, Streams(0))
    assert torch.equal(members.params, kept.params)
    assert torch.equal(members.id, kept.id)
    assert torch.equal(members.fitness, kept.fitness)
    assert set(members.traits) == {"mark"}
