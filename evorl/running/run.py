"""A run under way, and how it is to be carried out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evorl import learners
from evorl.errors import ConfigError, Interrupted, require_at_least, require_fields
from evorl.evaluation import Report
from evorl.population import Identities, Population
from evorl.running import answer, checkpoint
from evorl.running.acquisition import Acquisition
from evorl.running.folder import RunFolder, library_versions
from evorl.running.interrupts import interrupts
from evorl.running.lineage import LineageLog
from evorl.running.schedules import Schedules
from evorl.running.segments import Segments
from evorl.running.sinks import Csv, Progress, Sink, TensorBoard
from evorl.running.testing import Tester
from evorl.template import EvoRL
from evorl.tuned import TunedLearners

UNKNOWN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Running:
    """How a run is carried out; none of it but `num_threads` changes what is learned."""

    runs: str = "runs"
    """Folder that holds all runs."""
    tag: str = ""
    """Added to the name of the run folder."""
    test_interval: int | None = None
    """Environment steps between tests; a twentieth of the budget if not given, 0 (or no environment) for none."""
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
        require_fields(self)
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


class Run:
    """A run under way: turns the loop, tests, tells the sinks, writes checkpoints.

    Args:
        algorithm: as begun, or as restored.
        running: how to carry it out.
        folder: where everything goes.
        stored: what `config.json` holds.
        began: `time.monotonic()` when this piece of the run began.
        content: the checkpoint it goes on from; None to begin.
        sinks: the user's own, beside those of the run folder.
    """

    def __init__(
        self,
        algorithm: EvoRL[Any],
        running: Running,
        folder: RunFolder,
        stored: dict[str, Any],
        began: float,
        content: dict[str, Any] | None = None,
        sinks: Sequence[Sink] = (),
    ) -> None:
        self.algorithm, self.running, self.folder, self.stored = algorithm, running, folder, stored
        config, self.ledger = algorithm.config, algorithm.ledger
        self.tester = Tester(algorithm.task, algorithm.policy, config.seed, self.ledger)
        given = running.test_interval
        self.test_interval = max(1, config.total_timesteps // 20) if given is None else given
        self.test_interval *= algorithm.task.has_environment
        self.resumed = content is not None
        self.answer, self.answer_steps, self.final_return = algorithm.answer().clone(), self.ledger.spent, UNKNOWN
        if content is not None:
            self.answer = Population.from_state(content["answer"], Identities())
            self.answer_steps, self.final_return = content["answer_steps"], content["final_return"]
        self.last: Report | None = content["last"] if content is not None else None
        cut, lineage_cut = (content["cut"], content.get("lineage_cut", 0)) if content is not None else (0, 0)
        self.csv = Csv(folder.progress, cut, content.get("waiting", ()) if content is not None else ())
        self.segments = Segments(folder.journals, content["journals"] if content is not None else None)
        self.sinks = [*self._sinks(lineage_cut), *sinks]
        self.clock = began - self.ledger.seconds
        self.saved = time.monotonic()

    def _sinks(self, lineage_cut: int) -> list[Sink]:
        steps = self.ledger.spent
        settings = {"algorithm": self.algorithm.name, **self.stored["config"]}
        written = self.algorithm.generation > 0 and self.last is None  # else the record of these steps is still to come
        after = steps + 1 if written else steps
        tensorboard = TensorBoard(self.folder.path, settings, purge_step=after if self.resumed else None)
        lineage = LineageLog(self.folder.lineage, tensorboard, lineage_cut)
        sinks: list[Sink] = [self.csv, tensorboard, lineage]
        if isinstance(self.algorithm.config, learners.Config):
            sinks.append(Schedules(lineage, self.algorithm.config, tensorboard, self._found, steps))
        if isinstance(self.algorithm, TunedLearners):
            sinks.append(Acquisition(self.folder.path, self.algorithm.space, self.algorithm.slices, tensorboard))
        if self.running.progress:
            name = "/".join(self.folder.path.parts[-3:])
            sinks.append(Progress(name, self.algorithm.config.total_timesteps, steps))
        return sinks

    def _found(self) -> tuple[int, int]:
        """Return the id of the answer, and the environment steps at which it stood."""
        return int(self.answer.id[0]), self.answer_steps

    def go(self) -> Result:
        """Turn the loop until the budget is spent, then test and save the answer."""
        try:
            with interrupts() as interrupted:
                if not (self.resumed and self.algorithm.finished):
                    self.last = self._turn(interrupted)
                    self._save()
                if self.last is not None:
                    self._end(self.last)
            answer.save(self.folder, self.stored, self.answer, self.algorithm.task)
            return Result(self.folder.path, self.final_return, self.answer_steps)
        finally:
            for sink in self.sinks:
                sink.close()
            self.tester.close()
            self.algorithm.close()

    def _turn(self, interrupted: Callable[[], bool]) -> Report:
        """Turn the loop until the budget is spent; return the last record, which is not written yet."""
        if self.algorithm.generation == 0:
            if not self.resumed:
                self._save()
            self._write(self._test({}))
        while True:
            record = self._generation()
            if self.algorithm.finished:
                return record
            self._write({**record, "final/return": UNKNOWN, "final/return_std": UNKNOWN})
            if interrupted():
                self._save()
                command = f"evorl train {self.algorithm.name} --resume {self.folder.path}"
                raise Interrupted(f"interrupted at {self.ledger.spent} steps; go on with: {command}")
            if time.monotonic() - self.saved >= self.running.checkpoint_seconds:
                self._save()

    def _generation(self) -> Report:
        """Turn the loop once and return what is worth reporting, with a test if one is due."""
        before, clock = self.ledger.spent, time.monotonic()
        report = self.algorithm.step(self._show)
        spent, total = self.ledger.spent, self.algorithm.config.total_timesteps
        if spent <= total:
            self.answer, self.answer_steps = self.algorithm.answer().clone(), spent
        self.ledger.seconds = time.monotonic() - self.clock
        seconds = time.monotonic() - clock
        report |= {"time/seconds": self.ledger.seconds, "time/steps_per_second": (spent - before) / seconds}
        crossed = self.test_interval > 0 and spent // self.test_interval > before // self.test_interval
        return self._test(report) if crossed or self.algorithm.finished else {**report, **self._untested(report)}

    def _show(self, evaluated: Population) -> None:
        for sink in self.sinks:
            sink.write_population(evaluated, self.algorithm.generation, self.ledger.spent)

    def _test(self, report: Report) -> Report:
        """Return the report with the answer's test on it; a generation beyond the budget has not changed the answer."""
        if self.test_interval == 0:
            return {**report, **self._untested(report)}
        returns = self._returns(self.answer, self.running.test_episodes)
        tested = {**report, **self._untested(report), "test/return": float(returns.mean())}
        tested["test/return_std"] = float(returns.std())
        if "fitness/best" in report and self.answer_steps == self.ledger.spent:
            tested["fitness/optimism"] = report["fitness/best"] - tested["test/return"]
        for tag, members in self.algorithm.tested().items():
            each = [self._returns(members[[row]], self.running.test_episodes) for row in range(len(members))]
            tested[tag] = float(np.mean(each))
        return tested | {"budget/test_steps": self.ledger.steps["test"]}

    def _returns(self, member: Population, episodes: int) -> NDArray[np.float64]:
        return self.algorithm.stopwatch.timed("test", self.tester.test, member, episodes)

    def _untested(self, report: Report) -> Report:
        unknown = dict.fromkeys(["test/return", "test/return_std", *self.algorithm.tested()], UNKNOWN)
        return unknown | ({"fitness/optimism": UNKNOWN} if "fitness/best" in report else {})

    def _write(self, record: Report) -> None:
        position = {"steps": self.ledger.spent, "generation": self.algorithm.generation}
        times = self.algorithm.stopwatch.read()
        for sink in self.sinks:
            sink.write({**position, **record, **times})

    def _end(self, record: Report) -> None:
        """Test the answer, write the last record and the last checkpoint."""
        final = np.array([UNKNOWN])
        if self.test_interval:
            final = self._returns(self.answer, self.running.final_episodes)
        self.final_return = float(final.mean())
        last = {"final/return": self.final_return, "final/return_std": float(final.std())}
        self._write({**record, **last, "budget/test_steps": self.ledger.steps["test"]})
        for sink in self.sinks:
            sink.finish()
        self.last = None
        self._save()

    def _save(self) -> None:
        """Write a checkpoint; what the sinks took before it is on the disk first.

        Once the budget is spent nothing will learn any more, and what was replayed is left out.
        """
        self.algorithm.stopwatch.timed("checkpoint", self._write_checkpoint)
        self.saved = time.monotonic()

    def _write_checkpoint(self) -> None:
        self.ledger.seconds = time.monotonic() - self.clock
        for sink in self.sinks:
            sink.flush()
        content = {
            "stored": self.stored,
            "versions": library_versions(),
            "state": self.algorithm.state_dict(),
            "answer": self.answer.state_dict(),
            "answer_steps": self.answer_steps,
            "final_return": self.final_return,
            "last": self.last,
            "waiting": self.csv.waiting,
            "cut": self.folder.progress.stat().st_size,
            "lineage_cut": self.folder.lineage.stat().st_size if self.folder.lineage.exists() else 0,
        }
        content = self.segments.write(content, needed=not self.algorithm.finished)
        checkpoint.save(self.folder.checkpoint, content)
        self.segments.commit()
