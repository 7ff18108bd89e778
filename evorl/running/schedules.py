"""Schedules out of a `lineage.jsonl`: what the weights of a member were trained with, from the first step on."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from evorl import learners
from evorl.errors import EvorlError, RunFolderError
from evorl.evaluation import Report
from evorl.hyperparameters import Schedule, Space
from evorl.population import NO_PARENT
from evorl.running.ancestry import NO_SOURCE, Lineage, best_of_last, read_lineage, sources
from evorl.running.lineage import LineageLog
from evorl.running.sinks import Sink, TensorBoard
from evorl.selection import ORIGINS

#: File in the run folder that holds the winner's schedule.
SCHEDULE = "schedule.json"
#: Names of the pictures in TensorBoard.
MEMBERS_TAG, SCHEDULE_TAG = "population/hyperparameters", "population/schedule"
#: Parts of the budget; after each, TensorBoard is shown the hyperparameters.
MOMENTS = 2


def line_of(lineage: Lineage, identity: int, steps: int) -> int:
    """Return the number of the last line of an individual at or before `steps` of the run; -1 if there is none."""
    found = np.flatnonzero((lineage.id == identity) & (lineage.steps <= steps))
    return int(found[-1]) if len(found) else NO_SOURCE


def trained_path(lineage: Lineage, line: int) -> list[int]:
    """Return the numbers of the lines in which the weights of `line` were trained: one a generation, `line` the last.

    They follow the weights: a copy goes on from its donor, one that took over hyperparameters only from its own slot.

    Raises:
        RunFolderError: the lines do not lead back, generation by generation, to one that was copied from none.
    """
    before, path = sources(lineage), [line]
    at = {place: number for number, place in enumerate(zip(lineage.generation, lineage.row, strict=True))}
    while True:
        now, source = path[-1], int(before[path[-1]])
        if lineage.origin[now] == ORIGINS["h"] and (source == NO_SOURCE or lineage.id[source] != lineage.id[now]):
            source = at.get((lineage.generation[now] - 1, lineage.row[now]), NO_SOURCE)
        if source == NO_SOURCE:
            break
        path.append(source)
    first, jumps = path[-1], np.diff(lineage.generation[path[::-1]])
    begun = lineage.parent[first] == NO_PARENT or lineage.generation[first] == lineage.generation[0]
    if not begun or (jumps != 1).any():
        raise RunFolderError(
            f"lineage must lead from individual {lineage.id[line]} back to one without a parent, a line a generation, "
            f"got {lineage.id[first]}, whose parent is {lineage.parent[first]}"
        )
    return path[::-1]


def schedule_to(lineage: Lineage, line: int, interval: int) -> Schedule:
    """Return the hyperparameters with which the weights of `line` were trained, over the steps of its own line.

    Args:
        lineage: of members with hyperparameters.
        line: number of a line.
        interval: steps of a member in a generation.

    Raises:
        RunFolderError: the lines do not lead back to the beginning.
    """
    path = trained_path(lineage, line)
    return Schedule.of_intervals(interval, {name: column[path].tolist() for name, column in lineage.h.items()})


class Schedules(Sink):
    """At the end, the winner's `schedule.json` and pictures of all hyperparameters, where members have such.

    Args:
        record: the sink before this one, which writes the lineage.
        config: of the run.
        tensorboard: where the pictures are shown too, at the end and on the way.
        answer: returns id and steps of what the run hands back.
        start: environment steps spent already.
    """

    def __init__(
        self,
        record: LineageLog,
        config: learners.Config,
        tensorboard: TensorBoard,
        answer: Callable[[], tuple[int, int]],
        start: int,
    ) -> None:
        self._record, self._config, self._tensorboard = record, config, tensorboard
        self._answer, self._before = answer, start
        self._space: Space = getattr(config, "hyperparameters", Space({}))

    def write(self, record: Report) -> None:
        """Show the hyperparameters in TensorBoard, half-way through the budget."""
        steps, total = int(record["steps"]), self._config.total_timesteps
        parts = [spent * MOMENTS // total for spent in (self._before, steps)]
        self._before = steps
        if parts[0] < parts[1] < MOMENTS and (read := self._read()):
            self._show(read, best_of_last(read))

    def finish(self) -> None:
        """Write the schedule and draw the pictures."""
        if (read := self._read()) and (line := line_of(read, *self._answer())) != NO_SOURCE:
            self._show(read, line, save=True)

    def _read(self) -> Lineage | None:
        """Return the lineage so far; None if members have no hyperparameters."""
        if not self._record.path.exists():
            return None
        self._record.flush()
        read = read_lineage(self._record.path)
        return read if read.h else None

    def _show(self, read: Lineage, line: int, save: bool = False) -> None:
        from evorl.running.schedule_figures import draw_members, draw_schedule

        folder = self._record.path.parent
        try:
            schedule = schedule_to(read, line, self._config.interval)
        except EvorlError as error:
            print(f"{folder}: no {SCHEDULE}: {error}", file=sys.stderr)
            return
        members = draw_members(read, self._space, trained_path(read, line))
        figures = {MEMBERS_TAG: members, SCHEDULE_TAG: draw_schedule(schedule, self._space)}
        for tag, figure in figures.items():
            self._tensorboard.show(tag, figure, int(read.steps[-1]))
            if save:
                figure.savefig(folder / f"{tag.rpartition('/')[2]}.png")
        if save:
            schedule.write(folder / SCHEDULE)
