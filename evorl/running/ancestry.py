"""Reading `lineage.jsonl`: who goes on from whom, which root each descends from, and how the winner came to be.

A line of the file is one member in one generation; it is called by its number k, counted from 0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evorl.errors import RunFolderError
from evorl.population import NO_PARENT

#: Fields of a line that hold an integer.
INTEGERS = ("generation", "steps", "row", "id", "parent")
#: Source of a line that goes on from none in the file.
NO_SOURCE = -1

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lineage:
    """The lines of a `lineage.jsonl`, K of them, a column each.

    Attributes:
        generation: (K,) from 1, never falling.
        steps: (K,) environment steps of the run at the end of the generation.
        row: (K,) slot.
        id: (K,) of the individual, unique in the run.
        parent: (K,) id of the individual it was copied from, -1 if none.
        origin: (K,) how it came to be.
        fitness: (K,) NaN where unknown.
        h: (K,) hyperparameters by name, NaN where unknown; empty if members have none.
    """

    generation: Integers
    steps: Integers
    row: Integers
    id: Integers
    parent: Integers
    origin: tuple[str, ...]
    fitness: Floats
    h: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.id)


def read_lineage(path: str | Path) -> Lineage:
    """Return the lineage in a file; of a run under way or killed, a last line that is not whole is left out.

    Raises:
        RunFolderError: there is no such file, or it is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise RunFolderError(f"lineage must be a lineage.jsonl, which members with parents or an h leave, got {path}")
    whole = path.read_text().rpartition("\n")[0].splitlines()
    try:
        lines = [json.loads(line) for line in whole]
        names = list(lines[0].get("h", {})) if lines else []
        return Lineage(
            **{key: _integers([line[key] for line in lines]) for key in INTEGERS},
            origin=tuple(line["origin"] for line in lines),
            fitness=_floats([line["fitness"] for line in lines]),
            h={name: _floats([line["h"][name] for line in lines]) for name in names},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{path} is damaged: {error!r}") from error


def _integers(values: list[int]) -> Integers:
    return np.array(values, dtype=np.int64)


def _floats(values: list[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)


def sources(lineage: Lineage) -> Integers:
    """Return the number of the line that each goes on from, (K,), -1 if none.

    An individual that was there before goes on from its own last line, a new one from the last line of its parent in an
    earlier generation or, where offspring are made of fresh copies, in its own. One whose parent has changed, as when
    another's parameters are put into its slot, counts as new.
    """
    found = np.full(len(lineage), NO_SOURCE, dtype=np.int64)
    latest: dict[int, int] = {}
    for lines in _generations(lineage):
        present = {int(lineage.id[line]): int(line) for line in lines}
        for line in lines:
            itself, parent = int(lineage.id[line]), int(lineage.parent[line])
            own = latest.get(itself, NO_SOURCE)
            if own != NO_SOURCE and lineage.parent[own] == parent:
                found[line] = own
            elif parent < itself:  # ids are given in the order of birth
                found[line] = latest.get(parent, present.get(parent, NO_SOURCE))
        latest |= present
    return found


def _generations(lineage: Lineage) -> list[Integers]:
    """Return the numbers of the lines of each generation."""
    starts = np.flatnonzero(np.diff(lineage.generation)) + 1
    return np.split(np.arange(len(lineage)), starts) if len(lineage) else []


def begins_of(lineage: Lineage) -> Floats:
    """Return the steps at which each line's generation began, (K,): where the one before ended."""
    ends, which = np.unique(lineage.steps, return_inverse=True)
    return np.concatenate([[0.0], ends[:-1]])[which]


def path_to(lineage: Lineage, line: int) -> list[int]:
    """Return the numbers of the lines from the root down to `line`, which is the last."""
    before, path = sources(lineage), [line]
    while before[path[-1]] != NO_SOURCE:
        path.append(int(before[path[-1]]))
    return path[::-1]


def roots_of(lineage: Lineage) -> Integers:
    """Return the id of the individual from which each line descends, (K,).

    It is the earliest that is known: one that the file names as a parent without a line of its own, or else the first
    that has one.
    """
    before, found = sources(lineage), np.empty(len(lineage), dtype=np.int64)
    for line in np.lexsort((lineage.id, lineage.generation)):  # within a generation parents come first
        parent = lineage.parent[line]
        own = lineage.id[line] if parent == NO_PARENT else parent
        found[line] = own if before[line] == NO_SOURCE else found[before[line]]
    return found


def surviving_roots(lineage: Lineage) -> Integers:
    """Return the number of different roots of each generation's members, (generations,)."""
    found = roots_of(lineage)
    return np.array([len(np.unique(found[lines])) for lines in _generations(lineage)], dtype=np.int64)


def copies(lineage: Lineage) -> Integers:
    """Return the number of members of each generation that were not in the one before and have a parent."""
    new: list[int] = []
    present = np.empty(0, dtype=np.int64)
    for lines in _generations(lineage):
        came = ~np.isin(lineage.id[lines], present) & (lineage.parent[lines] != NO_PARENT)
        new.append(int(came.sum()))
        present = lineage.id[lines]
    return np.array(new, dtype=np.int64)


def best_of_last(lineage: Lineage) -> int:
    """Return the number of the line of the best of the last generation; NaN is worst, ties go to the lowest row.

    Raises:
        ValueError: there are no lines.
    """
    if not len(lineage):
        raise ValueError("lineage must have lines, got none")
    last = _generations(lineage)[-1]
    fitness = lineage.fitness[last]
    return int(last[np.where(np.isnan(fitness), -np.inf, fitness).argmax()])
