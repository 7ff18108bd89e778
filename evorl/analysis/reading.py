"""Reading run folders, and putting together the runs that differ only in their seed."""

from __future__ import annotations

import csv
import typing
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evorl.errors import ConfigError, RunFolderError
from evorl.running import registry
from evorl.running.folder import RunFolder
from evorl.running.settings import KIND, differences, to_plain
from evorl.template import EvoRL

#: Settings in which the seeds of one group may differ.
FREE = ("seed", "total_timesteps")
#: The column of `progress.csv` that a curve is of, unless another is asked for, and that of its last test.
TESTED, FINAL = "test/return", "final/return"
#: Columns that are read beside these.
UPDATES = ("budget/critic_updates", "budget/actor_updates")
#: Characters that a change of a setting has in a table at most.
LONGEST = 80
#: Folder of the summaries; never read as runs.
SUMMARY = "_summary"


@dataclass(frozen=True)
class Curve:
    """The tests of one finished run.

    Attributes:
        folder: of the run.
        settings: its `config.json`.
        steps: (k,) environment steps of the tests.
        returns: (k,) mean test returns, or another column at these tests.
        final: mean return of the last test; of another column, its last value.
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
    def seeds(self) -> list[int]:
        """The seed of each curve."""
        return [int(curve.settings["config"]["seed"]) for curve in self.curves]

    @property
    def settings(self) -> dict[str, Any]:
        """The `config` of the first seed."""
        found: dict[str, Any] = self.curves[0].settings["config"]
        return found


def read_runs(folders: Iterable[str | Path], column: str = TESTED) -> tuple[list[Group], list[Path]]:
    """Return the groups of finished runs in `folders` and below, and the runs left out: unfinished or not tested.

    Args:
        folders: run folders, or folders that hold them.
        column: of `progress.csv`, which the curves are of.

    Raises:
        RunFolderError: there is no finished run, seeds of one group differ in more than their seed, or a run has no
            such column.
    """
    configs = sorted({path for folder in folders for path in Path(folder).resolve().rglob("config.json")})
    found = [RunFolder(path.parent) for path in configs if SUMMARY not in path.parts]
    read = {folder.path: read_curve(folder, column) for folder in found if folder.finished}
    if not any(read.values()):
        raise RunFolderError(f"runs must hold a finished run with tests, got none in {', '.join(map(str, folders))}")
    curves: dict[tuple[str, str], list[Curve]] = {}
    for curve in filter(None, read.values()):
        tag = curve.settings["running"]["tag"]
        label = f"{curve.settings['name']}-{tag}" if tag else curve.settings["name"]
        curves.setdefault((curve.folder.parent.parent.name, label), []).append(curve)
    groups = [Group(task, label, _by_seed(seeds)) for (task, label), seeds in sorted(curves.items())]
    return groups, [folder.path for folder in found if read.get(folder.path) is None]


def _by_seed(curves: list[Curve]) -> tuple[Curve, ...]:
    """Return the curves by seed, having made sure that nothing else differs."""
    first = curves[0]
    for curve in curves[1:]:
        for found in differences(_fixed(first), _fixed(curve)):
            message = f"{first.folder} and {curve.folder} must differ in their seed only, got {found}"
            raise RunFolderError(f"{message}; --tag keeps settings apart")
    seeds = [curve.settings["config"]["seed"] for curve in curves]
    if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise RunFolderError(f"{first.folder.parent} and others must hold each seed once, got seed {twice[0]} twice")
    return tuple(sorted(curves, key=lambda curve: int(curve.settings["config"]["seed"])))


def _fixed(curve: Curve) -> dict[str, Any]:
    protocol = {name: curve.settings["running"][name] for name in ("test_episodes", "final_episodes")}
    return {**{name: value for name, value in curve.settings["config"].items() if name not in FREE}, **protocol}


def read_curve(folder: RunFolder, column: str = TESTED) -> Curve | None:
    """Return the tests in the `progress.csv` of a finished run; None if it was not tested."""
    if not folder.progress.exists():
        raise RunFolderError(f"{folder.path} must hold {folder.progress.name}, which is missing")
    settings, read = folder.read_config(), ("steps", column, FINAL if column == TESTED else column, *UPDATES)
    with folder.progress.open(newline="") as file:
        lines = csv.DictReader(file)
        if column not in (lines.fieldnames or []):
            raise RunFolderError(f"{folder.progress} must have the column asked for, got none called {column!r}")
        table = np.array([[float(row[tag]) for tag in read] for row in lines])
    tested = table[~np.isnan(table[:, 1])]
    if not len(tested):
        return None
    budget = int(settings["config"]["total_timesteps"])
    steps, _, final, critic, actor = table[-1].tolist()
    return Curve(folder.path, settings, tested[:, 0], tested[:, 1], final, budget, (critic / steps, actor / steps))


def changes(curve: Curve) -> list[str]:
    """Return the settings of a run, `name: preset's -> its own`, that are not those of the preset it is named after."""
    config, algorithm = curve.settings["config"], _algorithm(curve)
    if algorithm is None:
        return ["?"]
    try:
        preset = to_plain(algorithm.preset(config["preset"], env_id=config["env_id"]))
    except ConfigError:  # a name of the user's own
        return ["?"]
    of_the_task = (*FREE, "env_kwargs", "delayed_reward", "backend", "device")
    ours, theirs = ({name: v for name, v in plain.items() if name not in of_the_task} for plain in (preset, config))
    return [_short(change) for change in differences(_known(ours, theirs), theirs)]


def _short(change: str) -> str:
    """Return a change with no more of its values than fits into a table."""
    return change if len(change) <= LONGEST else f"{change[: LONGEST - 3]}..."


def learner_of(curve: Curve) -> str:
    """Return the name of the learner of a run, `none` if it has none."""
    settings = curve.settings["config"].get("learner")
    if settings is None:
        return "none"
    kind = settings.get(KIND)
    if kind is None:  # a choice of several has stored its kind; this one has no choice
        algorithm = _algorithm(curve)
        only: Any = typing.get_type_hints(algorithm.config_type)["learner"] if algorithm else None
        kind = getattr(only, "__name__", "?")
    return str(kind).removesuffix("Config")


def _algorithm(curve: Curve) -> type[EvoRL[Any]] | None:
    """Return the class of a run; None, and a warning, where it cannot be imported, as that of a script cannot."""
    try:
        return registry.from_path(curve.settings["algorithm"], curve.settings["imports"])
    except ConfigError as error:
        warnings.warn(f"settings of {curve.folder} are not compared with a preset's: {error}", stacklevel=2)
        return None


def _known(settings: dict[str, Any], recorded: dict[str, Any]) -> dict[str, Any]:
    """Return those of `settings` that a run has recorded; an older run does not know them all."""
    known = {name: value for name, value in settings.items() if name in recorded}
    nested = {name: value for name, value in known.items() if isinstance(value, dict)}
    return known | {name: _known(value, recorded[name]) for name, value in nested.items()}
