"""The comparison: every group of a task at equal environment steps."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evorl.analysis.reading import TESTED, Curve, Group, changes, learner_of, read_runs
from evorl.analysis.statistics import Difference, Estimate, Reference, area, equivalence, holm, iqm, paired_t, welch
from evorl.errors import ConfigError, RunFolderError, nearest

#: What a seed is scored by: its last test, or the area under its curve over the common steps.
Outcome = Literal["final", "area"]
#: Points of the common grid on which curves are compared.
POINTS = 61
#: A pair whose corrected p is below this is told apart.
LEVEL = 0.05


@dataclass(frozen=True)
class Row:
    """One group in the table.

    Attributes:
        group: its runs.
        steps: environment steps at which all groups of the task are compared.
        scores: (seeds,) the score of each seed.
        mean: of the scores.
        std: of the scores, as a sample.
        iqm: of the scores.
        grid: (p,) environment steps.
        curve: of the test returns on the grid, (p,).
        ended: whether all runs of the task ended at these steps, so that scores are those of their final tests.
        p_equivalent: of the two one-sided tests against the reference; NaN without one.
    """

    group: Group
    steps: int
    scores: NDArray[np.float64]
    mean: float
    std: float
    iqm: Estimate
    grid: NDArray[np.float64]
    curve: Estimate
    ended: bool
    p_equivalent: float = float("nan")


@dataclass(frozen=True)
class Pair:
    """Two groups of a task, each of two seeds or more.

    Attributes:
        above: the one with the higher mean.
        below: the other.
        difference: of their means.
        p_corrected: of the difference, for the number of pairs of the task; its own if it is the primary one.
    """

    above: Row
    below: Row
    difference: Difference
    p_corrected: float

    @property
    def verdict(self) -> str:
        """Whether the means are told apart, given all pairs of the task."""
        if np.isnan(self.p_corrected):
            return "no spread"
        return "above" if self.p_corrected < LEVEL else "undecided"


@dataclass(frozen=True)
class Comparison:
    """All rows, task by task, best first, the runs that were left out, and what was compared of which column.

    `primary` are the labels of the one pair that was named before the runs, and is not among those corrected for; with
    `paired` differences are taken seed by seed.
    """

    rows: tuple[Row, ...]
    left_out: tuple[Path, ...]
    outcome: Outcome = "final"
    column: str = TESTED
    primary: frozenset[str] = frozenset()
    paired: bool = False

    @property
    def tasks(self) -> list[str]:
        """The tasks, in alphabetical order."""
        return sorted({row.group.task for row in self.rows})

    def of(self, task: str) -> list[Row]:
        """Return the rows of a task, best first."""
        return [row for row in self.rows if row.group.task == task]

    def pairs(self, task: str) -> list[Pair]:
        """Return every two rows of a task that have two seeds or more."""
        seeded = [row for row in self.of(task) if len(row.scores) > 1]
        pairs = list(combinations(seeded, 2))
        test = paired_t if self.paired else welch
        differences = [test(above.scores, below.scores) for above, below in pairs]
        corrected = np.array([difference.p for difference in differences])
        others = [{above.group.label, below.group.label} != self.primary for above, below in pairs]
        corrected[others] = holm(corrected[others])
        return [Pair(*pair, *found) for pair, *found in zip(pairs, differences, corrected.tolist(), strict=True)]

    def table(self) -> str:
        """Return the table as Markdown, with what the numbers mean below it."""
        heads = ["task", "algorithm", "seeds", "steps", "mean", "std", "IQM", "95 % interval"]
        referred = any(not np.isnan(row.p_equivalent) for row in self.rows)
        lines = [[*heads, "p (equivalent)"] if referred else heads]
        for row in self.rows:
            interval = f"{row.iqm.low:.1f} to {row.iqm.high:.1f}" if len(row.scores) > 1 else "one seed"
            cells = [row.group.task, row.group.label, str(len(row.scores)), f"{row.steps:,}", f"{row.mean:.1f}"]
            std = f"{row.std:.1f}" if len(row.scores) > 1 else "-"
            cells += [std, f"{row.iqm.value:.1f}", interval]
            lines.append([*cells, f"{row.p_equivalent:.2g}"] if referred else cells)
        left_out = "".join(f"\nLeft out, unfinished or not tested: {path}" for path in self.left_out)
        return f"{markdown(lines)}\n\n{self._meaning()}\n\n{self._differences()}{self._settings()}{left_out}"

    def _differences(self) -> str:
        """Return a line for each pair, and what it means; nothing where there is no pair."""
        heads = ["task", "algorithm", "against", "difference", "95 % interval", "p", "p (Holm)", "verdict", "seeds"]
        lines = [heads]
        for task in self.tasks:
            for pair in self.pairs(task):
                found, seeds = pair.difference, f"{len(pair.above.scores)}, {len(pair.below.scores)}"
                cells = [task, pair.above.group.label, pair.below.group.label, f"{found.value:.1f}"]
                cells += [f"{found.low:.1f} to {found.high:.1f}", f"{found.p:.2g}", f"{pair.p_corrected:.2g}"]
                lines.append([*cells, pair.verdict, seeds])
        named = f", but for {' and '.join(sorted(self.primary))}, named before the runs" if self.primary else ""
        test = "Welch's test over seeds"
        warning = ": five seeds each miss a difference of two standard deviations one time in four"
        if self.paired:
            test, warning = "the paired t-test, seed by seed", ""
        meaning = (
            f"Difference of the means: {test}, two-sided, each pair's interval and p its own; p (Holm) "
            f'is corrected for all pairs of the task{named}, and the verdict is "above" where it is below {LEVEL}. '
            f"Undecided is not equal{warning}."
        )
        return f"{markdown(lines)}\n\n{meaning}\n\n" if len(lines) > 1 else ""

    def _settings(self) -> str:
        """Return what the algorithms were compared with: a line for each."""
        heads = ["task", "algorithm", "preset", "changed in it", "learner", "network"]
        lines = [[*heads, "critic updates a step", "actor updates"]]
        for row in self.rows:
            config, changed = row.group.settings, "; ".join(changes(row.group.curves[0])) or "-"
            network, learner = config["network"], learner_of(row.group.curves[0])
            shape = f"{'-'.join(map(str, network['hidden_sizes']))} {network['activation']}"
            shape = config.get("actor") or shape
            updates = np.mean([curve.updates for curve in row.group.curves], axis=0)
            cells = [row.group.task, row.group.label, config["preset"], changed, learner, shape]
            lines.append([*cells, *(f"{update:.2f}" for update in updates)])
        return markdown(lines)

    def _meaning(self) -> str:
        what = "mean return" if self.column == TESTED else self.column
        final = f"the {what} of the final test"
        at_common = f"the {what} of the last test at or before the common steps"
        under = f"the area under the curve of the tests' {what} up to these steps, over the steps"
        last = {task: final if self.of(task)[0].ended else at_common for task in self.tasks}
        scores = "; ".join(f"{task}: {under if self.outcome == 'area' else last[task]}" for task in self.tasks)
        return (
            f"A seed's score is, on {scores}. Steps are environment steps of all members together. IQM: interquartile "
            "mean over seeds, with its bootstrap interval."
        )

    def write_csv(self, path: Path) -> None:
        """Write a line for each seed: task, algorithm, preset, seed, steps, score."""
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["task", "algorithm", "preset", "seed", "steps", "score"])
            for row in self.rows:
                for curve, score in zip(row.group.curves, row.scores, strict=True):
                    config = curve.settings["config"]
                    label, preset = row.group.label, config["preset"]
                    writer.writerow([row.group.task, label, preset, config["seed"], row.steps, round(score, 3)])

    def write_curves(self, path: Path) -> None:
        """Write a line for each test of each seed: task, algorithm, seed, steps, return."""
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["task", "algorithm", "seed", "steps", "test_return"])
            for row in self.rows:
                for curve in row.group.curves:
                    at = [row.group.task, row.group.label, curve.settings["config"]["seed"]]
                    tests = zip(curve.steps, curve.returns, strict=True)
                    writer.writerows([*at, int(steps), round(value, 3)] for steps, value in tests)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return a table, its first line the heads, with aligned columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {padded[0]} |", f"|{rule}|", *(f"| {line} |" for line in padded[1:])])


def compare(
    folders: Iterable[str | Path],
    reference: Reference | None = None,
    outcome: Outcome = "final",
    column: str = TESTED,
    primary: Collection[str] = (),
    paired: bool = False,
) -> Comparison:
    """Compare all finished runs in `folders` and below, each task at the steps that all its runs reached.

    Args:
        folders: run folders, or folders that hold them.
        reference: a published result to test every row against.
        outcome: what a seed is scored by.
        column: of `progress.csv`, which the curves are of.
        primary: labels of the two groups whose difference is the question, if one was named before the runs.
        paired: whether differences are taken seed by seed, as they may be where a seed gives all groups the same start.

    Raises:
        ConfigError: a label of `primary` is of no group, or groups of a task have other seeds and are to be paired.
        RunFolderError: there is no finished run, seeds of one group differ in more than their seed, or a run has no
            such column.
    """
    groups, left_out = read_runs(list(folders), column)
    _require_labels(primary, {group.label for group in groups})
    rows = []
    for task in sorted({group.task for group in groups}):
        of_task = [group for group in groups if group.task == task]
        if paired:
            _require_same_seeds(of_task)
        curves = [curve for group in of_task for curve in group.curves]
        reached = min(min(curve.budget, int(curve.steps[-1])) for curve in curves)
        _require_tests(curves, reached)
        ended = all(curve.budget == reached for curve in curves)
        scores = ([_score(curve, reached, ended, outcome) for curve in group.curves] for group in of_task)
        found = (_row(*pair, reached, ended, reference) for pair in zip(of_task, scores, strict=True))
        rows += sorted(found, key=lambda row: -row.mean)
    return Comparison(tuple(rows), tuple(left_out), outcome, column, frozenset(primary), paired)


def _require_labels(primary: Collection[str], labels: Collection[str]) -> None:
    for label in primary:
        if label not in labels:
            needed = f"two of {', '.join(sorted(labels))}"
            raise ConfigError(f"primary must be {needed}, got {label!r}{nearest(label, labels)}")


def _require_same_seeds(groups: Sequence[Group]) -> None:
    first = groups[0]
    for group in groups[1:]:
        if group.seeds != first.seeds:
            held = " and ".join(f"{one.label} with {', '.join(map(str, one.seeds))}" for one in (first, group))
            raise ConfigError(f"paired needs the same seeds in all groups of {first.task}, got {held}")


def _require_tests(curves: list[Curve], reached: int) -> None:
    for curve in curves:
        if curve.steps[0] > reached:
            shortest = min(curves, key=lambda one: min(one.budget, int(one.steps[-1])))
            tested = f"{curve.folder} was first tested at {curve.steps[0]:,.0f} steps"
            raise RunFolderError(
                f"runs of a task must have tests in common, got {shortest.folder}, which ends at "
                f"{reached:,}, and {tested}"
            )


def _score(curve: Curve, steps: int, ended: bool, outcome: Outcome) -> float:
    if outcome == "area":
        return area(curve.steps, curve.returns, steps)
    return curve.final if ended else float(curve.returns[curve.steps <= steps][-1])


def _row(group: Group, scored: list[float], steps: int, ended: bool, reference: Reference | None) -> Row:
    grid = np.linspace(0, steps, POINTS)
    returns = np.stack([np.interp(grid, curve.steps, curve.returns) for curve in group.curves])
    scores = np.array(scored)
    std = float(scores.std(ddof=1)) if len(scores) > 1 else float("nan")
    tested = equivalence(scores, reference) if reference else float("nan")
    return Row(group, steps, scores, float(scores.mean()), std, iqm(scores), grid, iqm(returns), ended, tested)
