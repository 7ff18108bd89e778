"""The winner once more, out of its record: the population is trained again, and nothing in it is decided anew.

What the record says is done: who goes on from whose weights and under which hyperparameters each member learns. There
is no fitness, no exploit and no explore. The whole population is trained, since a member learns from what is bound to
its slot: the streams, the episode and the replay there go on when another is copied into it. And a row is multiplied to
the last bit alike only in a stack of the same height.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evorl import learners, tuned
from evorl.algorithms import pbt
from evorl.errors import ConfigError, RunFolderError
from evorl.hyperparameters import traits_of
from evorl.learning import OnCopy
from evorl.population import Population
from evorl.running import checkpoint, registry
from evorl.running.ancestry import NO_SOURCE, Integers, Lineage, read_lineage, sources
from evorl.running.folder import RunFolder, library_versions
from evorl.running.schedules import line_of
from evorl.running.settings import differences, from_plain
from evorl.selection import ORIGINS


class Retraced(learners.Learners[tuned.Config]):
    """Members that act and learn as those of a run did, with its streams, environments and replays."""

    @property
    def rings(self) -> int:
        """Replays: one for each member, or one for all, as in the run."""
        shared = isinstance(self.config, pbt.Config) and self.config.replay_on_copy == "shared"
        return 1 if shared else super().rings


def retrace(run: str | Path) -> Population:
    """Return the answer of a finished run with its learner's state, trained again out of its record.

    It is that of the run bit for bit on the machine and the versions that it ran on.

    Raises:
        ConfigError: its copies change their weights.
        RunFolderError: there is no finished run with a lineage of its hyperparameters, or versions differ.
    """
    folder = RunFolder(Path(run))
    stored, lineage = folder.read_config(), read_lineage(folder.lineage)
    content = checkpoint.read(folder.checkpoint)
    if found := differences(content["versions"], library_versions()):
        raise RunFolderError(f"run must be of the versions installed here, got {'; '.join(found)}")
    config = from_plain(registry.from_path(stored["algorithm"], stored["imports"]).config_type, stored["config"])
    line = line_of(lineage, int(content["answer"]["id"][0]), content["answer_steps"])
    return retrace_line(config, lineage, line)


def retrace_line(config: Any, lineage: Lineage, line: int) -> Population:
    """Return the member of a line, one row, trained again out of a lineage.

    Args:
        config: of the run that left it; of PBT or a search of its kind, all of whose members begin together.
        lineage: who descends from whom, and every h.
        line: number of a line.

    Raises:
        ConfigError: copies change their weights, which no record holds.
        RunFolderError: there is no such line, or its members have no hyperparameters.
    """
    if line == NO_SOURCE or not lineage.h:
        raise RunFolderError("lineage must hold the answer and its hyperparameters, got a run that left none")
    if getattr(config, "perturb_weights", 0.0):
        raise ConfigError(f"perturb_weights must be 0 to retrace what was copied, got {config.perturb_weights}")
    run, before = Retraced(config), sources(lineage)
    copied: OnCopy = config.replay_on_copy if isinstance(config, pbt.Config) else "keep"
    members = run.population
    for generation in range(lineage.generation[line]):
        lines = np.flatnonzero(lineage.generation == generation + 1)
        if generation:
            donors, weights = plans(lineage, before, lines)
            run.training.follow(donors, copied)
            members = members[weights]
        h = {name: torch.from_numpy(column[lines]) for name, column in lineage.h.items()}
        members = run.training.act_and_learn(members.with_traits(**traits_of(h)), config.interval, generation)
    run.close()
    return members[[int(lineage.row[line])]]


def plans(lineage: Lineage, before: Integers, lines: Integers) -> tuple[Tensor, Tensor]:
    """Return whom the members of a generation were copied from, and whose weights each goes on with: rows, (n,) each.

    Args:
        lineage: of the run.
        before: (K,) number of the line from which each goes on.
        lines: (n,) numbers of the lines of the generation, by row.

    Raises:
        RunFolderError: a member goes on from one that was not in the generation before.
    """
    source = before[lines]
    if (source == NO_SOURCE).any() or (lineage.generation[source] != lineage.generation[lines] - 1).any():
        raise RunFolderError(
            f"lineage must name the donors of generation {lineage.generation[lines[0]]} in the one before"
        )
    donors, own = lineage.row[source], lineage.row[lines]
    new = lineage.id[source] != lineage.id[lines]
    only_h = new & np.array([lineage.origin[line] == ORIGINS["h"] for line in lines])
    return torch.from_numpy(donors), torch.from_numpy(np.where(only_h, own, donors))
