"""Breeding: who is left alone, who descends from whom, and stock operators of DEAP in place of ours."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from deap import base
from support import same

from evorl.policies import MLP, NetworkConfig
from evorl.population import Identities, Individual, Population
from evorl.selection import elites_and_offspring
from evorl.streams import Streams
from evorl.variation import GeneticConfig, breed, genetic_toolbox

LAYOUT = MLP(2, 2, NetworkConfig(hidden_sizes=(4,))).layout
SIZE = LAYOUT[-1].slice.stop


def parents_of(n: int, elites: int, seed: int, toolbox: base.Toolbox) -> Population:
    """Return n parents after a selection; the trait `mark` is the entry of the genome that only one parent has."""
    params = torch.from_numpy(np.random.default_rng(seed).permutation(n * SIZE).reshape(n, SIZE).astype(np.float32))
    fitness = torch.from_numpy(np.random.default_rng(seed + 1).permutation(n).astype(float))
    fresh = Population.fresh(params, Identities(), "initial", {"mark": params[:, 0].clone()})
    return elites_and_offspring(fresh.with_fitness(fitness), elites, toolbox, Streams(seed))


def toolbox_of(seed: int, **settings: Any) -> base.Toolbox:
    return genetic_toolbox(GeneticConfig(**settings), LAYOUT, np.random.default_rng(seed))


def shift(individual: Individual) -> tuple[Individual]:
    """Mutate so that every gene changes."""
    individual[:] = individual[:] + 1000
    return (individual,)


class Watched:
    """A toolbox whose pairs and mutants are noted by genome, before `mate` and `mutate` run."""

    def __init__(self, toolbox: base.Toolbox) -> None:
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self.alone: list[bool] = []
        self.mutants = 0
        self.mate, self.mutate = toolbox.mate, toolbox.mutate
        toolbox.register("mate", self._mate)
        toolbox.register("mutate", self._mutate)

    def _mate(self, first: Individual, second: Individual) -> Any:
        self.pairs.append((first[:], second[:]))
        self.alone.append(first is second)
        return self.mate(first, second)

    def _mutate(self, individual: Individual) -> Any:
        self.mutants += 1
        return self.mutate(individual)


@pytest.mark.parametrize(("n", "elites"), [(10, 1), (10, 3), (7, 2), (4, 1)])
def test_protected_rows_are_bit_identical_and_keep_their_ids(n: int, elites: int) -> None:
    for seed in range(50):
        toolbox = toolbox_of(seed)
        toolbox.register("mutate", shift)
        parents = parents_of(n, elites, seed, toolbox)
        candidates = breed(parents, 1.0, toolbox, Streams(seed))
        protected = parents.traits["protected"]
        assert protected.sum() == elites
        for name in ("params", "id", "parent"):
            assert torch.equal(getattr(candidates, name)[protected], getattr(parents, name)[protected])
        assert not (candidates.params == parents.params)[~protected].all(1).any(), "all others mutate"


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n", [4, 7, 10])
def test_whatever_changed_has_a_new_id_and_only_that(n: int, probability: float) -> None:
    """With an operator that changes every gene, a row changed if and only if it was filled anew or mutated."""
    for seed in range(50):
        toolbox = toolbox_of(seed)
        toolbox.register("mutate", shift)
        parents = parents_of(n, 1, seed, toolbox)
        candidates = breed(parents, probability, toolbox, Streams(seed))
        changed = (candidates.params != parents.params).any(1)
        assert torch.equal(candidates.id != parents.id, changed)
        assert (candidates.id[changed] > parents.id.max()).all()
        assert len(set(candidates.id.tolist())) == n
        origins = [candidates.origin[row] for row in range(n) if not changed[row]]
        assert origins == [parents.origin[row] for row in range(n) if not changed[row]]


@pytest.mark.parametrize("n", [4, 7, 10])
def test_free_slots_are_filled_by_a_protected_elite_and_an_offspring_which_become_their_parents(n: int) -> None:
    """Without copies in `mate` a child is its donor, bit for bit, with the donor's traits."""
    free_slots = 0
    for seed in range(100):
        toolbox = toolbox_of(seed)
        parents = parents_of(n, 1, seed, toolbox)
        toolbox.register("mate", lambda first, second: (first, second))
        watched = Watched(toolbox)
        candidates = breed(parents, 0.0, toolbox, Streams(seed))
        free = parents.traits["free"].nonzero()[:, 0].tolist()
        free_slots += len(free)
        rows = {int(name): row for row, name in enumerate(parents.id)}
        for slot in free:
            donor = rows[int(candidates.parent[slot])]
            assert torch.equal(candidates.params[slot], parents.params[donor])
            assert candidates.traits["mark"][slot] == parents.traits["mark"][donor]
            assert parents.traits["protected"][donor] or parents.traits["offspring"][donor] > 0
            assert candidates.origin[slot] == "child"
        others = [row for row in range(n) if row not in free]
        assert torch.equal(candidates.params[others], parents.params[others])
        assert torch.equal(candidates.id[others], parents.id[others])
        assert len(watched.pairs) == (len(free) + 1) // 2
        elites = parents.params[parents.traits["protected"]]
        offspring = parents.params[parents.traits["offspring"] > 0]
        for (first, second), alone in zip(watched.pairs, watched.alone, strict=True):
            if not alone:  # an odd slot can be drawn as its own partner
                assert (torch.from_numpy(first) == elites).all(1).any()
            assert (torch.from_numpy(second) == offspring).all(1).any()
    assert free_slots > 100


def test_a_mutant_is_the_child_of_who_it_was_and_a_child_that_mutates_has_one_new_id() -> None:
    for seed in range(50):
        toolbox = toolbox_of(seed)
        toolbox.register("mutate", shift)
        parents = parents_of(10, 1, seed, toolbox)
        candidates = breed(parents, 1.0, toolbox, Streams(seed))
        plain = ~parents.traits["protected"] & ~parents.traits["free"]
        assert torch.equal(candidates.parent[plain], parents.id[plain])
        assert torch.equal(candidates.params[plain], parents.params[plain] + 1000)
        assert {candidates.origin[row] for row in plain.nonzero()[:, 0].tolist()} == {"mutant"}
        free = parents.traits["free"]
        assert {candidates.origin[row] for row in free.nonzero()[:, 0].tolist()} <= {"child"}
        assert set(candidates.parent[free].tolist()) <= set(parents.id.tolist())
        taken = int(candidates.id.max()) - int(parents.id.max())
        assert taken == int((~parents.traits["protected"]).sum())


def test_an_elites_own_slot_is_open_to_mutation() -> None:
    """Only the copies are protected."""
    changed = 0
    for seed in range(50):
        toolbox = toolbox_of(seed)
        toolbox.register("mutate", shift)
        parents = parents_of(10, 1, seed, toolbox)
        best = (parents.params == parents.params[0]).all(1)
        originals = best & ~parents.traits["protected"]
        assert originals.sum() == 1
        changed += int((breed(parents, 1.0, toolbox, Streams(seed)).params != parents.params).any(1)[originals].sum())
    assert changed == 50


def test_each_unprotected_row_mutates_with_the_given_probability() -> None:
    n, mutants, turns = 10, 0, 500
    streams, toolbox = Streams(0), toolbox_of(0)
    watched = Watched(toolbox)
    for seed in range(turns):
        parents = parents_of(n, 2, seed, toolbox)
        breed(parents, 0.3, toolbox, streams)
    mutants = watched.mutants
    open_to = turns * (n - 2)
    assert mutants / open_to == pytest.approx(0.3, abs=4 * (0.21 / open_to) ** 0.5)


def test_fitness_is_unknown_after_breeding_and_what_was_handed_in_is_as_it_was() -> None:
    toolbox = toolbox_of(0)
    parents = parents_of(10, 2, 0, toolbox)
    kept = parents.clone()
    assert not parents.fitness.isnan().any()
    candidates = breed(parents, 0.9, toolbox, Streams(0))
    assert candidates.fitness.isnan().all()
    assert torch.equal(parents.params, kept.params)
    assert torch.equal(parents.fitness, kept.fitness)
    assert torch.equal(parents.id, kept.id)


def test_two_point_crossover_of_deap_conserves_the_genes_of_each_pair() -> None:
    """Every child and its sibling have together the genes of their two donors, each as often, at the same places."""
    crossed = 0
    for seed in range(50):
        toolbox = toolbox_of(seed, mate="deap.tools:cxTwoPoint")
        parents = parents_of(10, 1, seed, toolbox)
        watched = Watched(toolbox)
        afterwards: list[tuple[np.ndarray, np.ndarray]] = []
        mate = toolbox.mate

        def noted(first: Individual, second: Individual, mate: Any = mate, into: Any = afterwards) -> Any:
            mate(first, second)
            into.append((first[:], second[:]))
            return first, second

        toolbox.register("mate", noted)
        candidates = breed(parents, 0.0, toolbox, Streams(seed))
        for before, after in zip(watched.pairs, afterwards, strict=True):
            np.testing.assert_array_equal(np.sort(before, axis=0), np.sort(after, axis=0))
            crossed += int(not np.array_equal(before, after))
        if parents.traits["free"].sum() % 2 == 0:
            born = {tuple(child) for pair in afterwards for child in pair}
            assert {tuple(row.tolist()) for row in candidates.params[parents.traits["free"]]} == born
    assert crossed > 30


def test_stock_operators_work_on_the_members_themselves() -> None:
    names = {
        "mate": "deap.tools:cxUniform:indpb=0.5",
        "mutate": "deap.tools:mutGaussian:mu=0.0,sigma=1.0,indpb=1.0",
        "select": "deap.tools:selRoulette",
    }
    toolbox = toolbox_of(0, **names)
    parents = parents_of(10, 1, 0, toolbox)
    candidates = breed(parents, 1.0, toolbox, Streams(0))
    moved = (candidates.params - parents.params)[~parents.traits["protected"] & ~parents.traits["free"]]
    assert (moved != 0).all()
    assert moved.std().item() == pytest.approx(1.0, rel=0.2)
    assert torch.equal(candidates.params[0], parents.params[0])


@pytest.mark.parametrize("mate", ["rows", "deap.tools:cxTwoPoint"])
def test_nothing_global_is_touched_and_global_states_have_no_influence(mate: str) -> None:
    results = []
    for disturbance in (1, 2):
        random.seed(disturbance)
        np.random.seed(disturbance)  # noqa: NPY002
        torch.manual_seed(disturbance)
        before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        toolbox = toolbox_of(3, mate=mate)
        streams = Streams(3)
        parents = parents_of(10, 1, 3, toolbox)
        results.append([breed(parents, 0.9, toolbox, streams).params for _ in range(3)])
        after = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        assert same(before, after)
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))
    assert not torch.equal(results[0][0], results[0][1])


@pytest.mark.parametrize(("n", "elites"), [(2, 1), (3, 1), (4, 2)])
def test_the_smallest_populations_breed_whoever_wins_the_tournaments(n: int, elites: int) -> None:
    for seed in range(300):
        toolbox = toolbox_of(seed)
        parents = parents_of(n, elites, seed, toolbox)
        candidates = breed(parents, 0.0, toolbox, Streams(seed))
        assert torch.equal(candidates.params[0], parents.params[0])
