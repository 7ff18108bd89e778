"""`evorl sweep --algorithms A B --env-ids ID --seeds N`: many runs, resumable."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from evorl.cli.parsing import parse
from evorl.cli.train import settle
from evorl.errors import ConfigError, EvorlError, require_at_least
from evorl.running.folder import RunFolder, folder_name
from evorl.running.settings import decisive, to_plain
from evorl.running.sweep import Job, Outcome, grid, sweep


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Every algorithm on every task with every seed. Flags after `--` go to each run."""

    algorithms: tuple[str, ...]
    """Names of algorithms."""
    env_ids: tuple[str, ...]
    """Registered environments."""
    seeds: int = 5
    """Seeds 0 to seeds - 1."""
    total_timesteps: int | None = None
    """Environment steps of each run; the algorithm's own if not given."""
    workers: int = 1
    """Runs at a time, each on one thread unless told otherwise."""
    preset: str | None = None
    """Named settings; `common` for several algorithms, `published` for one, if not given."""
    runs: str = "runs"
    """Folder that holds all runs."""
    tag: str = ""
    """Added to the name of each run folder."""
    import_: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = ()
    """Modules to import first; they register environments and define algorithms."""

    def __post_init__(self) -> None:
        require_at_least("seeds", self.seeds, 1)
        require_at_least("workers", self.workers, 1)


def run(words: Sequence[str]) -> None:
    """Check every run before the first begins, then run them all; exit 1 if one failed."""
    own, further = list(words), []
    if "--" in words:
        cut = list(words).index("--")
        own, further = list(words[:cut]), list(words[cut + 1 :])
    asked = parse(Sweep, own, "evorl sweep", Sweep.__doc__ or "")
    jobs = [_job(asked, further, *point) for point in grid(asked.algorithms, asked.env_ids, asked.seeds)]
    folders = [job.folder.path for job in jobs]
    if shared := [folder for folder in folders if folders.count(folder) > 1]:
        raise ConfigError(f"every run of a sweep must have a folder of its own, got {shared[0]} twice")
    try:
        outcomes = sweep(jobs, asked.workers, _tell)
    except KeyboardInterrupt:
        print("evorl: sweep interrupted; the same command goes on with it", file=sys.stderr)
        sys.exit(130)
    failed = [outcome for outcome in outcomes if outcome.how == "failed"]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} runs are finished; evorl compare {asked.runs}")
    if failed:
        raise Failed(f"{len(failed)} runs failed: {', '.join(str(outcome.job.folder.path) for outcome in failed)}")


class Failed(EvorlError):
    """Some runs of a sweep failed; the others are finished."""

    exit_code = 1


def _job(asked: Sweep, further: list[str], seed: int, env_id: str, algorithm: str) -> Job:
    preset = asked.preset or ("common" if len(asked.algorithms) > 1 else "published")
    imports = ["--import", *asked.import_] if asked.import_ else []  # in front: a choice of learner may follow
    flags = [*imports, "--env-id", env_id, "--seed", str(seed), "--preset", preset]
    flags += ["--runs", asked.runs, "--tag", asked.tag]
    if asked.total_timesteps is not None:
        flags += ["--total-timesteps", str(asked.total_timesteps)]
    flags += further
    found, config, running, _ = settle([algorithm, *flags])
    found.check(config)
    name = folder_name(config, found.name, running.tag)
    settings = decisive({"config": to_plain(config), "running": to_plain(running)})
    return Job(algorithm, RunFolder(Path(running.runs) / name), tuple(flags), settings)


def _tell(outcome: Outcome) -> None:
    print(f"{outcome.how:>8}  {outcome.job.folder.path}  {outcome.line}", flush=True)
