"""Reading run folders, and putting together the runs that differ only in their seed."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evorl.errors import RunFolderError
from evorl.running.folder import RunFolder
from evorl.running.settings import differences

#: Settings in which the seeds of one group may differ.
FREE = ("seed", "total_timesteps")
#: Columns of `progress.csv` that are read.
READ = ("steps", "test/return", "final/return", "budget/critic_updates", "budget/actor_updates")
#: Folder of the summaries; never read as runs.
SUMMARY = "_summary"


@dataclass(frozen=True)
class Curve:
    """The tests of one finished run.

    Attributes:
        folder: of the run.
        settings: its `config.json`.
        steps: (k,) environment steps of the tests.
        returns: (k,) mean test returns.
        final: mean return of the last test.
        budget: environment steps asked for.
        updates: gradient updates of critics and of actors, for each environment step of the run.
    """

    folder: Path
    settings: dict[str, Any]
    steps: NDArray[np.float64]
    returns: NDArray[np.float64]
    final: float
    budget: int
    updates: tuple[float, float]


@dataclass(frozen=True)
class Group:
    """The seeds of one algorithm, with one setting, on one task.

    Attributes:
        task: name of the task's folder.
        label: algorithm and tag.
        curves: one a seed, by seed.
    """

    task: str
    label: str
    curves: tuple[Curve, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """The `config` of the first seed."""
        found: dict[str, Any] = self.curves[0].settings["config"]
        return found


def read_runs(folders: Iterable[str | Path]) -> tuple[list[Group], list[Path]]:
    """Return the groups of finished runs in `folders` and below, and the unfinished runs, which are left out.

    Raises:
        RunFolderError: there is no finished run, or seeds of one group differ in more than their seed.
    """
    configs = sorted({path for folder in folders for path in Path(folder).rglob("config.json")})
    found = [RunFolder(path.parent) for path in configs if SUMMARY not in path.parts]
    finished = [folder for folder in found if folder.finished]
    if not finished:
        raise RunFolderError(f"runs must hold a finished run, got none in {', '.join(map(str, folders))}")
    curves: dict[tuple[str, str], list[Curve]] = {}
    for folder in finished:
        curve = read_curve(folder)
        tag = curve.settings["running"]["tag"]
        label = f"{curve.settings['name']}-{tag}" if tag else curve.settings["name"]
        curves.setdefault((folder.path.parent.parent.name, label), []).append(curve)
    groups = [Group(task, label, _by_seed(seeds)) for (task, label), seeds in sorted(curves.items())]
    return groups, [folder.path for folder in found if not folder.finished]


def _by_seed(curves: list[Curve]) -> tuple[Curve, ...]:
    """Return the curves by seed, having made sure that nothing else differs."""
    first = curves[0]
    for curve in curves[1:]:
        for found in differences(_fixed(first), _fixed(curve)):
            message = f"{first.folder} and {curve.folder} must differ in their seed only, got {found}"
            raise RunFolderError(f"{message}; --tag keeps settings apart")
    return tuple(sorted(curves, key=lambda curve: int(curve.settings["config"]["seed"])))


def _fixed(curve: Curve) -> dict[str, Any]:
    return {name: value for name, value in curve.settings["config"].items() if name not in FREE}


def read_curve(folder: RunFolder) -> Curve:
    """Return the tests in the `progress.csv` of a finished run.

    Raises:
        RunFolderError: the run was not tested.
    """
    settings = folder.read_config()
    with folder.progress.open(newline="") as file:
        table = np.array([[float(row[tag]) for tag in READ] for row in csv.DictReader(file)])
    tested = table[~np.isnan(table[:, 1])]
    if not len(tested):
        raise RunFolderError(f"{folder.path} must have been tested to be compared, got test_interval 0")
    budget = int(settings["config"]["total_timesteps"])
    steps, _, final, critic, actor = table[-1].tolist()
    return Curve(folder.path, settings, tested[:, 0], tested[:, 1], final, budget, (critic / steps, actor / steps))
