"""Breeding: the next candidates of a genetic algorithm from parents whose slots a selection has laid out."""

from __future__ import annotations

import numpy as np
import torch
from deap import base
from numpy.random import Generator

from evorl.population import Population
from evorl.streams import Streams


def breed(parents: Population, mutation_probability: float, toolbox: base.Toolbox, streams: Streams) -> Population:
    """Return the candidates: crossovers of elites and offspring in the free slots, then mutations.

    A pair of free slots gets copies of a random protected member and of a random offspring, which then mate. Every row
    that is not protected mutates with `mutation_probability`. Ids of rows that changed are new.

    Args:
        parents: n rows with the traits `protected` (n,) bool and `offspring` (n,), how often a row was drawn as
            offspring; slots with neither, and whose trait `free` is true, are filled anew.
        mutation_probability: of each unprotected row.
        toolbox: `clone`, `mate` and `mutate`; they may draw from global state.
        streams: `breed` draws pairs, donors and who mutates.
    """
    generator = streams.generator("breed")
    protected, offspring, free = (parents.traits[name].tolist() for name in ("protected", "offspring", "free"))
    elites = [row for row, is_protected in enumerate(protected) if is_protected]
    selected = [row for row, times in enumerate(offspring) for _ in range(times)]
    individuals, donors = parents.individuals(), list(range(len(parents)))
    with streams.as_global("breed"):
        for first, second in _pairs([row for row, is_free in enumerate(free) if is_free], generator):
            for slot, pool in ((first, elites), (second, selected or elites)):
                donors[slot] = int(generator.choice(pool))
                individuals[slot] = toolbox.clone(individuals[donors[slot]])
            toolbox.mate(individuals[first], individuals[second])
        open_to = [row for row in range(len(parents)) if not protected[row]]
        mutated = [row for row in open_to if generator.random() < mutation_probability]
        for row in mutated:
            toolbox.mutate(individuals[row])
    return _born(parents, donors, mutated).with_params(
        torch.from_numpy(np.stack([individual.genome for individual in individuals])).to(parents.params.device)
    )


def _pairs(free: list[int], generator: Generator) -> list[tuple[int, int]]:
    """Return the free slots two by two; one of an odd number is used twice."""
    slots = generator.permutation(free).tolist() if free else []
    if len(slots) % 2:
        slots.append(int(generator.choice(slots)))
    return list(zip(slots[::2], slots[1::2], strict=True))


def _born(parents: Population, donors: list[int], mutated: list[int]) -> Population:
    """Return the parents with new individuals where a slot was filled from another or mutated."""
    crossed = [row for row, donor in enumerate(donors) if donor != row]
    candidates = parents
    if crossed:
        candidates = parents.put(crossed, parents.descend([donors[row] for row in crossed], "child"))
    only_mutated = [row for row in mutated if row not in crossed]
    return candidates.put(only_mutated, candidates.descend(only_mutated, "mutant")) if only_mutated else candidates
