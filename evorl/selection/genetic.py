"""ERL's selection (Khadka & Tumer 2018 and their code `SSNE`): elites copied and protected, tournament, worst last."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from deap import base
from numpy.random import Generator

from evorl.population import Population
from evorl.selection.ranking import best_first
from evorl.streams import Streams


@dataclass(frozen=True)
class Slots:
    """Who is where after selection; slot numbers before it is reordered.

    Attributes:
        donors: (n,) the row whose individual stands in each slot.
        protected: slots that hold a copy of an elite.
        offspring: slots drawn by the tournament, each once, and one twice if they were odd.
        free: slots that are to be filled by crossover.
        worst: the slot that was worst before selection.
    """

    donors: list[int]
    protected: list[int]
    offspring: list[int]
    free: list[int]
    worst: int


def lay_out_slots(order: list[int], winners: list[int], elites: int, generator: Generator) -> Slots:
    """Return the slots after selection.

    Each elite is copied into a random slot that neither the tournament nor elitism kept, or else into that of an
    offspring, or in the smallest populations stays in its own; only these are protected. The worst slot never is, since
    an agent may be injected there: in the authors' code it can be, and the injection then overwrites an elite.

    Args:
        order: rows, best first.
        winners: rows drawn by the tournament.
        elites: how many of the best are copied.
        generator: shuffles.
    """
    best, worst, donors = order[:elites], order[-1], list(range(len(order)))
    offspring = sorted(set(winners))
    if len(offspring) % 2:
        offspring.append(int(generator.choice(offspring)))
    free = [int(row) for row in generator.permutation([r for r in donors if r not in {*offspring, *best}])]
    protected = []
    for elite in best:
        pool = next((slots for slots in (free, offspring) if any(slot != worst for slot in slots)), None)
        slot = elite if pool is None else next(slot for slot in pool if slot != worst)
        if pool is not None:
            pool[:] = [other for other in pool if other != slot]
        donors[slot] = elite
        protected.append(slot)
    return Slots(donors, protected, offspring, free, worst)


def elites_and_offspring(evaluated: Population, elites: int, toolbox: base.Toolbox, streams: Streams) -> Population:
    """Return the next parents: protected copies of the elites first, the slot of the worst last.

    Args:
        evaluated: n members.
        elites: how many of the best are copied.
        toolbox: `select`, which draws n - elites offspring; it may draw from global state.
        streams: `select` shuffles.

    Returns:
        n members with the traits `protected`, `offspring` and `free` that `variation.breed` reads.
    """
    with streams.as_global("select"):
        winners = [winner.row for winner in toolbox.select(evaluated.individuals(), len(evaluated) - elites)]
    slots = lay_out_slots(best_first(evaluated.fitness).tolist(), winners, elites, streams.generator("select"))
    between = [row for row in range(len(evaluated)) if row not in slots.protected and row != slots.worst]
    places = [*slots.protected, *between, slots.worst]
    parents = evaluated[[slots.donors[place] for place in places]]
    copies = list(range(len(slots.protected)))
    if copies:
        parents = parents.put(copies, parents.descend(copies, "elite"))
    return parents.with_traits(
        protected=torch.tensor([place in slots.protected for place in places]),
        offspring=torch.tensor([slots.offspring.count(place) for place in places]),
        free=torch.tensor([place in slots.free for place in places]),
    )
