"""One run, from its config to its answer: generations, tests, checkpoints, sinks."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from evorl.errors import ConfigError, Interrupted, RunFolderError, require_at_least
from evorl.population import Identities, Population
from evorl.running import answer, checkpoint, registry
from evorl.running.folder import RunFolder, folder_name, versions, write_json
from evorl.running.settings import differences, from_plain, to_plain
from evorl.running.sinks import Csv, Progress, Sink, TensorBoard
from evorl.running.testing import Tester
from evorl.template import Config, EvoRL, Report

UNKNOWN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Running:
    """How a run is carried out; none of it but `num_threads` changes what is learned."""

    runs: str = "runs"
    """Folder that holds all runs."""
    tag: str = ""
    """Added to the name of the run folder."""
    test_interval: int | None = None
    """Environment steps between tests; a twentieth of the budget if not given, 0 for no tests at all."""
    test_episodes: int = 10
    """Deterministic episodes of a test."""
    final_episodes: int = 100
    """Deterministic episodes of the last test, whose mean is the result."""
    checkpoint_seconds: float = 60.0
    """Least time between checkpoints."""
    num_threads: int = 1
    """Threads of torch."""
    progress: bool = True
    """Whether to show how the run goes."""

    def __post_init__(self) -> None:
        for name in ("test_episodes", "final_episodes", "num_threads"):
            require_at_least(name, getattr(self, name), 1)
        require_at_least("checkpoint_seconds", self.checkpoint_seconds, 0)
        if self.test_interval is not None:
            require_at_least("test_interval", self.test_interval, 0)
        if "/" in self.tag:
            raise ConfigError(f"tag must not contain '/', got {self.tag!r}")


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        folder: where everything is.
        final_return: mean return of the answer in the last test; NaN if testing was off.
        steps: environment steps at which the answer stood.
    """

    folder: Path
    final_return: float
    steps: int


def train(
    config: Config,
    running: Running | None = None,
    *,
    algorithm: type[EvoRL[Any]] | None = None,
    imports: Sequence[str] = (),
    overwrite: bool = False,
) -> Result:
    """Run an algorithm until its budget is spent.

    Args:
        config: settings of the algorithm.
        running: how to carry it out.
        algorithm: the class, if it is not the installed one of this config.
        imports: modules that a resumed run must import first; they register environments or algorithms.
        overwrite: replace a run that is in the folder already.

    Raises:
        ConfigError: a setting cannot work; nothing was written.
        RunFolderError: a run is in the folder already.
        EnvironmentFault: an environment failed; the last checkpoint stands.
        Interrupted: the user ended the run after a generation; it can be resumed.
    """
    running = running or Running()
    algorithm = algorithm or registry.of_config(config)
    name = folder_name(config.env_id, config.env_kwargs, algorithm.name, config.seed, running.tag)
    folder = RunFolder(Path(running.runs) / name)
    stored = {
        "algorithm": registry.path_of(algorithm),
        "name": algorithm.name,
        "imports": list(imports),
        "config": to_plain(config),
        "running": to_plain(running),
    }
    torch.set_num_threads(running.num_threads)
    began = time.monotonic()
    run = algorithm(config)
    folder.create(stored, overwrite)
    return _Run(run, running, folder, stored, began).go()


def resume(run: str | Path, expected: dict[str, Any] | None = None) -> Result:
    """Go on with the interrupted run in the folder `run`, as if it had never been cut.

    Args:
        run: the run folder.
        expected: what `config.json` must hold under the given keys; None to take it as it is.

    Raises:
        RunFolderError: there is nothing to resume, or it is of another class, version or config, cut or altered.
    """
    folder = RunFolder(Path(run))
    stored = folder.read_config()
    del stored["format"]
    for found in differences({key: stored[key] for key in expected}, expected) if expected else []:
        raise RunFolderError(f"--resume must find the settings it is given, got {found}")
    if folder.finished:
        raise RunFolderError(f"run must be unfinished to be resumed, got {folder.path}, which is finished")
    content = checkpoint.read(folder.checkpoint)
    for found in differences(content["stored"], stored):
        raise RunFolderError(f"{folder.checkpoint} must be of the same run as config.json, got {found}")
    ours = {name: version for name, version in versions().items() if name not in ("commit", "command")}
    for found in differences(content["versions"], ours):
        raise RunFolderError(f"--resume needs the versions the run began with, got {found}")
    algorithm = registry.from_path(stored["algorithm"], stored["imports"])
    config, running = from_plain(algorithm.config_type, stored["config"]), from_plain(Running, stored["running"])
    torch.set_num_threads(running.num_threads)
    began = time.monotonic()
    restored = algorithm(config, content["state"])
    if not restored.exact:
        write_json(folder.versions, {**json.loads(folder.versions.read_text()), "exact": False})
        print(f"{folder.path}: {config.env_id} does not repeat itself; new episodes begin, the run is marked exact: false",
              file=sys.stderr)
    return _Run(restored, running, folder, stored, began, content).go()


class _Run:
    """A run under way."""

    def __init__(
        self,
        algorithm: EvoRL[Any],
        running: Running,
        folder: RunFolder,
        stored: dict[str, Any],
        began: float,
        content: dict[str, Any] | None = None,
    ) -> None:
        self.algorithm, self.running, self.folder, self.stored = algorithm, running, folder, stored
        config, self.ledger = algorithm.config, algorithm.ledger
        self.tester = Tester(algorithm.task, algorithm.policy, config.seed, self.ledger)
        given = running.test_interval
        self.test_interval = max(1, config.total_timesteps // 20) if given is None else given
        self.resumed = content is not None
        self.answer, self.answer_steps, self.final_return = algorithm.answer().clone(), self.ledger.spent, UNKNOWN
        if content is not None:
            self.answer = Population.from_state(content["answer"], Identities())
            self.answer_steps, self.final_return = content["answer_steps"], content["final_return"]
        self.sinks = self._sinks(content["cut"] if content else 0)
        self.clock = began - self.ledger.seconds
        self.saved = time.monotonic()

    def _sinks(self, cut: int) -> list[Sink]:
        steps = self.ledger.spent
        settings = {"algorithm": self.algorithm.name, **self.stored["config"]}
        sinks: list[Sink] = [
            Csv(self.folder.progress, cut),
            TensorBoard(self.folder.path, settings, purge_step=steps + 1 if self.resumed else None),
        ]
        if self.running.progress:
            name = str(self.folder.path.relative_to(self.running.runs))
            sinks.append(Progress(name, self.algorithm.config.total_timesteps, steps))
        return sinks

    def go(self) -> Result:
        """Turn the loop until the budget is spent, then test and save the answer."""
        try:
            if not self.algorithm.finished:
                self._turn()
                self._end()
            answer.save(self.folder, self.stored, self.answer, self.algorithm.task)
            return Result(self.folder.path, self.final_return, self.answer_steps)
        finally:
            for sink in self.sinks:
                sink.close()
            self.tester.close()
            self.algorithm.close()

    def _turn(self) -> None:
        with _interrupts() as interrupted:
            if not self.resumed:
                self._write(self._test({}))
            while not self.algorithm.finished:
                record = self._generation()
                if self.algorithm.finished:
                    self.last_record = record
                    return
                self._write({**record, "final/return": UNKNOWN, "final/return_std": UNKNOWN})
                if interrupted():
                    self._save()
                    where = f"generation {self.algorithm.generation}, {self.ledger.spent} steps"
                    raise Interrupted(f"interrupted after {where}; go on with --resume {self.folder.path}")
                if time.monotonic() - self.saved >= self.running.checkpoint_seconds:
                    self._save()

    def _generation(self) -> Report:
        """Turn the loop once and return what is worth reporting, with a test if one is due."""
        before, clock = self.ledger.spent, time.monotonic()
        report = self.algorithm.step()
        spent, total = self.ledger.spent, self.algorithm.config.total_timesteps
        if spent <= total:
            self.answer, self.answer_steps = self.algorithm.answer().clone(), spent
        self.ledger.seconds = time.monotonic() - self.clock
        seconds = time.monotonic() - clock
        report |= {"time/seconds": self.ledger.seconds, "time/steps_per_second": (spent - before) / seconds}
        crossed = self.test_interval > 0 and spent // self.test_interval > before // self.test_interval
        return self._test(report) if crossed or self.algorithm.finished else {**report, **self._untested(report)}

    def _test(self, report: Report) -> Report:
        """Return the report with the present answer's test on it."""
        if self.test_interval == 0:
            return {**report, **self._untested(report)}
        returns = self.tester.test(self.algorithm.answer(), self.running.test_episodes)
        tested = {**report, **self._untested(report), "test/return": float(returns.mean())}
        tested["test/return_std"] = float(returns.std())
        if "fitness/best" in report:
            tested["fitness/optimism"] = report["fitness/best"] - tested["test/return"]
        return tested | {"budget/test_steps": self.ledger.steps["test"]}

    def _untested(self, report: Report) -> Report:
        unknown = {"test/return": UNKNOWN, "test/return_std": UNKNOWN}
        return unknown | ({"fitness/optimism": UNKNOWN} if "fitness/best" in report else {})

    def _write(self, record: Report) -> None:
        position = {"steps": self.ledger.spent, "generation": self.algorithm.generation}
        for sink in self.sinks:
            sink.write({**position, **record})

    def _end(self) -> None:
        """Test the answer, write the last row and the last checkpoint."""
        final = np.array([UNKNOWN])
        if self.test_interval:
            final = self.tester.test(self.answer, self.running.final_episodes)
        self.final_return = float(final.mean())
        last = {"final/return": self.final_return, "final/return_std": float(final.std())}
        self._write({**self.last_record, **last, "budget/test_steps": self.ledger.steps["test"]})
        self._save()

    def _save(self) -> None:
        """Write a checkpoint; what the sinks took before it is on the disk first."""
        self.ledger.seconds = time.monotonic() - self.clock
        cut = [sink.flush() for sink in self.sinks][0]
        content = {
            "stored": self.stored,
            "versions": {name: v for name, v in versions().items() if name not in ("commit", "command")},
            "state": self.algorithm.state_dict(),
            "answer": self.answer.state_dict(),
            "answer_steps": self.answer_steps,
            "final_return": self.final_return,
            "cut": cut,
        }
        checkpoint.save(self.folder.checkpoint, content)
        self.saved = time.monotonic()


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C only be noted; the second interrupts at once. Yields whether there was one."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)
        print("\nending after this generation; Ctrl-C again ends at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)
