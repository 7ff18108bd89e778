"""Fresh agents on the schedule that a run has found, each a run of its own: what the schedule alone is worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from evorl import learners
from evorl.algorithms import follow
from evorl.errors import ConfigError, RunFolderError, require_at_least
from evorl.hyperparameters import Fixed, Schedule
from evorl.running import registry
from evorl.running.folder import RunFolder, folder_name
from evorl.running.run import Running
from evorl.running.schedules import SCHEDULE
from evorl.running.settings import decisive, differences, from_plain, to_plain
from evorl.running.training import resume, train

#: Seeds of fresh agents begin here, far from those of tuning.
FIRST_SEED = 1_000


@dataclasses.dataclass(frozen=True)
class Follower:
    """A fresh agent to be trained.

    Attributes:
        config: its settings.
        running: how it is carried out.
        imports: modules that register its environment.
    """

    config: follow.Config
    running: Running
    imports: tuple[str, ...]

    @property
    def folder(self) -> RunFolder:
        """Where it goes."""
        return RunFolder(Path(self.running.runs) / folder_name(self.config, follow.Follow.name, self.running.tag))

    def train(self, progress: bool) -> str:
        """Train it, or go on with it, unless it is finished; return `skipped`, `resumed` or `finished`.

        Raises:
            RunFolderError: the folder holds a run with other settings.
        """
        if self.folder.config.exists():
            asked = {"config": to_plain(self.config), "running": to_plain(self.running)}
            if found := differences(decisive(self.folder.read_config()), decisive(asked)):
                raise RunFolderError(f"{self.folder.path} holds a run with other settings: {'; '.join(found)}")
        if self.folder.finished:
            return "skipped"
        if self.folder.checkpoint.exists():
            resume(self.folder.path, progress=progress)
            return "resumed"
        running = dataclasses.replace(self.running, progress=progress)
        train(self.config, running, imports=self.imports, overwrite=self.folder.config.exists())
        return "finished"


def followers(
    run: str | Path,
    seeds: int = 10,
    fixed: Fixed | None = None,
    first_seed: int = FIRST_SEED,
    runs: str | Path | None = None,
) -> Iterator[Follower]:
    """Yield fresh agents on the schedule of a finished run: its learner, its task, the winner's budget, other seeds.

    Args:
        run: a run folder with a `schedule.json`.
        seeds: how many.
        fixed: hold the final or the initial hyperparameters throughout instead.
        first_seed: the seeds are this and those after it; that of the run must not be among them.
        runs: folder that holds their runs; the one that holds `run` if not given.

    Raises:
        ConfigError: seeds overlap with that of the run, or a setting cannot work.
        RunFolderError: there is no finished run with a schedule.
    """
    folder = RunFolder(Path(run))
    stored, config = folder.read_config(), tuned_config(folder)
    require_at_least("seeds", seeds, 1)
    require_at_least("first_seed", first_seed, 0)
    if first_seed <= config.seed < first_seed + seeds:
        raise ConfigError(f"first_seed must keep the seeds apart from {config.seed}, which tuned, got {first_seed}")
    whole = Schedule.read(folder.path / SCHEDULE)
    schedule = whole if fixed is None else whole.fixed(fixed)
    same = {field.name: getattr(config, field.name) for field in dataclasses.fields(learners.Config)}
    other = {"population_size": 1, "total_timesteps": schedule.steps, "preset": "published", "schedule": schedule}
    began: Running = from_plain(Running, stored["running"])
    place = str(runs or folder.path.resolve().parents[2])
    running = dataclasses.replace(began, runs=place, tag=tag_of(folder, fixed), test_interval=None)
    for seed in range(first_seed, first_seed + seeds):
        yield Follower(follow.Config(**{**same, **other, "seed": seed}), running, tuple(stored["imports"]))


def tuned_config(folder: RunFolder) -> learners.Config:
    """Return the settings of a finished run that left a schedule.

    Raises:
        RunFolderError: it is not finished, or left none.
    """
    stored = folder.read_config()
    folder.require_finished()
    if not (folder.path / SCHEDULE).exists():
        raise RunFolderError(f"run must hold a {SCHEDULE}, which members with hyperparameters leave, got {folder.path}")
    config: learners.Config = from_plain(
        registry.from_path(stored["algorithm"], stored["imports"]).config_type, stored["config"]
    )
    return config


def tag_of(folder: RunFolder, fixed: Fixed | None) -> str:
    """Return the tag of the runs that follow a run, such as `pbt-s0-final`."""
    name = "-".join(folder.path.resolve().parts[-2:])
    return f"{name}-{fixed}" if fixed else name
