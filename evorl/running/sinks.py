"""Sinks: where reports go. Only sinks write.

A sink is told of each generation's evaluated population, and of its record, a flat mapping of tags to numbers with
the same tags every time. What depends on the clock is named `time/...`.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import numpy as np
from tqdm import tqdm

from evorl.evaluation import Report
from evorl.population import Population
from evorl.running.folder import require_length
from evorl.template import EvoRL

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

#: More members than this are shown as histograms.
SHOWN_MEMBERS = 16
MEMBERS = "population/members/"


class Sink:
    """What a run reports to; override what you need, the rest does nothing."""

    def check(self, algorithm: type[EvoRL[Any]]) -> None:
        """Be told which algorithm will run, before anything is written.

        Raises:
            ConfigError: it does not give what this sink needs.
        """

    def rewind(self, generation: int) -> None:
        """Forget what was taken after `generation`: the run is resumed there, and what followed comes again."""

    def write_population(self, evaluated: Population, generation: int, steps: int) -> None:
        """Take the candidates of a generation as `select` was handed them, not to be changed.

        Args:
            evaluated: n members; their fitness is NaN where unknown.
            generation: turns of the loop so far, this one included; what `initialise` evaluates is not shown.
            steps: environment steps of the run so far.
        """

    def write(self, record: Report) -> None:
        """Take a record; `steps` and `generation` are among its tags."""

    def flush(self) -> None:
        """Bring everything taken so far to the disk; a checkpoint follows."""

    def finish(self) -> None:
        """Be told that the run has come to its end; everything was written, and a checkpoint follows."""

    def close(self) -> None:
        """Flush and end."""


class Csv(Sink):
    """`progress.csv`: a row a generation.

    Args:
        path: the file.
        cut: bytes to keep of an existing file; what a cut run wrote beyond its checkpoint goes.
        waiting: what a cut run had not written yet.

    Attributes:
        waiting: the record from before the first generation, until the tags of the second are known.
    """

    def __init__(self, path: Path, cut: int = 0, waiting: Sequence[Report] = ()) -> None:
        self.waiting = list(waiting)
        self._file = open_at(path, cut) if cut else path.open("w", newline="")
        self._tags = _header(path) if cut else None

    def write(self, record: Report) -> None:
        """Append a row; the first one, from before the first generation, waits for the tags of the second."""
        if self._tags is None and record["generation"] == 0:
            self.waiting.append(record)
            return
        self._append([*self.waiting, record])
        self.waiting = []

    def _append(self, records: list[Report]) -> None:
        writer = csv.writer(self._file)
        if self._tags is None:
            self._tags = list(records[-1])
            writer.writerow(self._tags)
        for record in records:
            unknown = set(record) - set(self._tags)
            if unknown:
                raise ValueError(f"reports must have the same tags at every generation, got a new {sorted(unknown)[0]}")
            writer.writerow([record.get(tag, float("nan")) for tag in self._tags])

    def flush(self) -> None:
        """Bring everything to the disk; the length of the file is then the place to cut at."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what waits, and close the file."""
        if self.waiting:
            self._append(self.waiting)
        self._file.close()


def open_at(path: Path, cut: int) -> TextIO:
    """Open a file of a cut run where its checkpoint knows it to end; what was written after that goes.

    Raises:
        RunFolderError: it is shorter than that, or missing.
    """
    require_length(path, cut)
    file = path.open("r+", newline="")
    file.truncate(cut)
    file.seek(cut)
    return file


def _header(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return next(csv.reader(file))


class TensorBoard(Sink):
    """Event files: every tag against environment steps, and charts that lay runs and members over each other.

    Args:
        folder: the run folder; the run's name in TensorBoard is its path.
        settings: shown under "HParams".
        purge_step: what an earlier piece of the run logged from this step on is void.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], purge_step: int | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        summaries = hparams(_flat(settings), {"test/return": 0.0, "final/return": 0.0})  # type: ignore[no-untyped-call]
        self._writer = SummaryWriter(str(folder), purge_step=purge_step, max_queue=100, flush_secs=10)
        self._writer.add_custom_scalars(_layout())
        for summary in summaries:  # add_hparams would make a second run folder
            self._writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]

    def write(self, record: Report) -> None:
        """Log a record."""
        steps = int(record["steps"])
        members: dict[str, list[float]] = {}
        for tag, value in record.items():
            if tag.startswith(MEMBERS):
                members.setdefault(tag.rpartition("/")[2], []).append(value)
            elif np.isfinite(value):
                self._writer.add_scalar(tag, value, steps)
        for what, values in members.items():
            known = np.array([value for value in values if np.isfinite(value)])
            if len(values) > SHOWN_MEMBERS and len(known):
                self._writer.add_histogram(f"population/{what}", known, steps)
            elif len(values) <= SHOWN_MEMBERS:
                for row, value in enumerate(values):
                    if np.isfinite(value):
                        self._writer.add_scalar(f"{MEMBERS}{row:02d}/{what}", value, steps)

    def show(self, tag: str, figure: Figure, steps: int) -> None:
        """Log a figure, which must have a canvas of Agg."""
        canvas = cast("FigureCanvasAgg", figure.canvas)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        self._writer.add_image(tag, pixels[..., :3], steps, dataformats="HWC")

    def flush(self) -> None:
        """Bring everything to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


def _layout() -> dict[str, dict[str, list[str | list[str]]]]:
    return {
        "comparison": {
            "test return": ["Multiline", ["test/return$"]],
            "training return": ["Multiline", ["train/return/mean$"]],
        },
        "population": {
            "fitness: mean, worst to best": ["Margin", ["fitness/mean", "fitness/worst", "fitness/best"]],
            "fitness of members": ["Multiline", [rf"{MEMBERS}\d+/fitness$"]],
            "training return of members": ["Multiline", [rf"{MEMBERS}\d+/return$"]],
        },
    }


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    flat: dict[str, bool | int | float | str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat


class Progress(Sink):
    """A progress bar on a terminal; elsewhere a line every ten seconds.

    Args:
        name: what is running.
        total: environment steps of the budget.
        start: steps already spent.
        stream: where to write.
    """

    interval = 10.0

    def __init__(self, name: str, total: int, start: int = 0, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._lines = None if stream.isatty() else stream
        self._total, self._name, self._start = total, name, start
        self._began = self._last = time.monotonic()
        self._bar = tqdm(
            total=total, initial=start, desc=name, unit="step", unit_scale=True, file=stream, disable=bool(self._lines)
        )
        self._shown: dict[str, str] = {}
        self._latest = start

    def write(self, record: Report) -> None:
        """Show steps, generation, best fitness, test return, speed and time left."""
        self._latest = min(int(record["steps"]), self._total)
        self._shown["gen"] = f"{record['generation']:.0f}"
        for label, tag in (("best", "fitness/best"), ("train", "train/return/best"), ("test", "test/return")):
            if np.isfinite(record.get(tag, float("nan"))):
                self._shown[label] = f"{record[tag]:.1f}"
        if self._lines is None:
            self._bar.set_postfix(self._shown, refresh=False)
            self._bar.update(self._latest - self._bar.n)
        elif time.monotonic() - self._last >= self.interval:
            self._line()

    def _line(self) -> None:
        self._last = time.monotonic()
        postfix = ", ".join(f"{label}={value}" for label, value in self._shown.items())
        meter = tqdm.format_meter(
            self._latest,
            self._total,
            self._last - self._began,
            prefix=self._name,
            unit="step",
            unit_scale=True,
            initial=self._start,
            postfix=postfix,
            ncols=0,
        )
        print(meter, file=self._lines, flush=True)

    def close(self) -> None:
        """Show the last state."""
        if self._lines is None:
            self._bar.close()
        else:
            self._line()
