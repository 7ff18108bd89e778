"""Who descends from whom, generation by generation: the sink that writes `lineage.jsonl` and draws the family tree."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from evorl.hyperparameters.spaces import PREFIX
from evorl.population import NO_PARENT, Population
from evorl.running.sinks import Sink, TensorBoard, open_at

#: Name of the family tree in TensorBoard.
TAG = "population/lineage"


class LineageLog(Sink):
    """A line of JSON for each member of each generation, from the first on in which one has a parent or an `h`.

    Where members have neither, there is no file.

    Args:
        path: the file; the family tree is drawn beside it at the end.
        tensorboard: where the tree is shown too.
        cut: bytes to keep of an existing file; what a cut run wrote beyond its checkpoint goes.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, tensorboard: TensorBoard, cut: int = 0) -> None:
        self.path, self._tensorboard = path, tensorboard
        self._file: TextIO | None = None
        if cut:
            self._file = open_at(path, cut)
        else:
            path.unlink(missing_ok=True)

    def write_population(self, evaluated: Population, generation: int, steps: int) -> None:
        """Append the members, if there is something to tell of them or was before."""
        if self._file is None:
            has_parents = bool((evaluated.parent != NO_PARENT).any())
            if not has_parents and not any(name.startswith(PREFIX) for name in evaluated.traits):
                return
            self._file = self.path.open("w")
        self._file.writelines(_lines(evaluated, generation, steps))

    def flush(self) -> None:
        """Bring everything to the disk; the length of the file is then the place to cut at."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Draw the family tree."""
        if self._file is None:
            return
        from evorl.running.ancestry import read_lineage
        from evorl.running.family_tree import draw_tree

        self.flush()
        lineage = read_lineage(self.path)
        figure = draw_tree(lineage)
        figure.savefig(self.path.with_suffix(".png"))
        self._tensorboard.show(TAG, figure, int(lineage.steps[-1]))

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


def _lines(members: Population, generation: int, steps: int) -> Iterator[str]:
    named = {name.removeprefix(PREFIX): trait for name, trait in members.traits.items() if name.startswith(PREFIX)}
    values = {name: trait.tolist() for name, trait in named.items()}
    columns = zip(members.id.tolist(), members.parent.tolist(), members.origin, members.fitness.tolist(), strict=True)
    for row, (identity, parent, origin, fitness) in enumerate(columns):
        line = {
            "generation": generation,
            "steps": steps,
            "row": row,
            "id": identity,
            "parent": parent,
            "origin": origin,
            "fitness": _known(fitness),
        }
        h = {"h": {name: _known(value[row]) for name, value in values.items()}} if values else {}
        yield json.dumps({**line, **h}) + "\n"


def _known(value: float) -> float | None:
    """Return the value, None if it is one that JSON does not have."""
    return value if math.isfinite(value) else None
