"""Sweeps: algorithms x tasks x seeds, each run a process of its own, skipped when finished and resumed when cut."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from evorl.errors import RunFolderError
from evorl.running.folder import RunFolder
from evorl.running.settings import decisive, differences


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        algorithm: its name.
        folder: where it goes.
        flags: what `evorl train ALGORITHM` is given to begin it.
        settings: what its figures depend on, see `decisive`.
    """

    algorithm: str
    folder: RunFolder
    flags: tuple[str, ...]
    settings: dict[str, Any]

    def words(self) -> list[str]:
        """Return the command line that begins the run, or goes on with it."""
        begin = [sys.executable, "-m", "evorl", "train", self.algorithm]
        if self.folder.checkpoint.exists():
            return [*begin, "--resume", str(self.folder.path)]
        return [*begin, *self.flags, *(["--overwrite"] if self.folder.config.exists() else [])]


@dataclass(frozen=True)
class Outcome:
    """What became of a job: `begun`, then `skipped`, `finished`, `resumed` or `failed`, and a line to go with it."""

    job: Job
    how: str
    line: str


def grid(algorithms: Sequence[str], env_ids: Sequence[str], seeds: int) -> Iterator[tuple[int, str, str]]:
    """Yield seed, task and algorithm; all of one seed come before the next, so that a cut sweep is balanced."""
    return product(range(seeds), env_ids, algorithms)


def sweep(jobs: Sequence[Job], workers: int, tell: Callable[[Outcome], None]) -> list[Outcome]:
    """Run all jobs, `workers` at a time, and return how each ended; one that fails does not stop the others.

    Args:
        jobs: what to run.
        workers: processes at a time.
        tell: called when a job begins, and with its outcome when it is there.
    """
    outcomes = []
    with ThreadPoolExecutor(workers) as threads:
        futures = [threads.submit(_run, job, tell) for job in jobs]
        try:
            for future in as_completed(futures):
                outcomes.append(future.result())
                tell(outcomes[-1])
        except KeyboardInterrupt:
            threads.shutdown(cancel_futures=True)
            raise
    return outcomes


def _run(job: Job, tell: Callable[[Outcome], None]) -> Outcome:
    if job.folder.config.exists():
        try:
            found = differences(decisive(job.folder.read_config()), job.settings)
        except RunFolderError as error:
            return Outcome(job, "failed", str(error))
        if found:
            return Outcome(job, "failed", f"the folder holds a run with other settings: {'; '.join(found)}")
    if job.folder.finished:
        return Outcome(job, "skipped", "finished already")
    words = job.words()
    how = "resumed" if "--resume" in words else "finished"
    job.folder.path.parent.mkdir(parents=True, exist_ok=True)
    log = log_of(job)
    tell(Outcome(job, "begun", f"follow it in {log}"))
    with log.open("a") as file:
        process = subprocess.run(words, stdout=file, stderr=file, stdin=subprocess.DEVNULL, check=False)
    lines = log.read_text().strip().splitlines() or [""]
    line = lines[-1].removeprefix(f"{job.folder.path}: ")
    return Outcome(job, how if process.returncode == 0 else "failed", line)


def log_of(job: Job) -> Path:
    """Return the file that takes what the run prints; beside its folder, which the run itself makes."""
    return job.folder.path.with_name(f"{job.folder.path.name}.log")
