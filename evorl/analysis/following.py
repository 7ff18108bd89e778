"""What a schedule is worth: the winner, fresh agents on its schedule and on one piece of it, on the same starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from evorl.analysis.comparison import Comparison, Row, compare, markdown
from evorl.analysis.figures import COLOURS, draw_row
from evorl.analysis.statistics import Estimate, iqm
from evorl.hyperparameters import Fixed, Schedule
from evorl.running.answer import load
from evorl.running.folder import RunFolder
from evorl.running.following import FIRST_SEED, followers, tuned_config
from evorl.running.run import Running
from evorl.running.schedules import SCHEDULE
from evorl.running.settings import from_plain
from evorl.running.testing import test_answer

#: What the agents under each schedule are called.
NAMES: dict[Fixed | None, str] = {None: "followed", "final": "fixed, final", "initial": "fixed, initial"}


@dataclass(frozen=True)
class FollowReport:
    """The winner and its followers.

    Attributes:
        run: folder of the run that found the schedule.
        winner: (seeds,) mean return of the winner on the test starts of each follower's seed.
        comparison: of the followers, a row for each schedule.
        names: what the agents of each row are called, by the row's label.
        tuning_steps: environment steps with which the schedule was found.
        schedule: that was followed.
    """

    run: Path
    winner: NDArray[np.float64]
    comparison: Comparison
    names: dict[str, str]
    tuning_steps: int
    schedule: Schedule

    def name(self, row: Row) -> str:
        """Return what the agents of a row are called."""
        return self.names[row.group.label]

    def table(self) -> str:
        """Return the report as Markdown, with what the numbers mean and do not."""
        heads = ["agents", "trained", "mean", "std", "IQM", "95 % interval"]
        lines = [heads, self._line("winner", "1", self.winner, iqm(self.winner))]
        lines += [self._line(self.name(row), str(len(row.scores)), row.scores, row.iqm) for row in self.comparison.rows]
        return f"{markdown(lines)}\n\n{self._meaning()}\n\n{self._differences()}"

    @staticmethod
    def _line(name: str, trained: str, scores: NDArray[np.float64], middle: Estimate) -> list[str]:
        several = len(scores) > 1
        std = f"{scores.std(ddof=1):.1f}" if several else "-"
        interval = f"{middle.low:.1f} to {middle.high:.1f}" if several else "one seed"
        return [name, trained, f"{scores.mean():.1f}", std, f"{middle.value:.1f}", interval]

    def _meaning(self) -> str:
        tuned = f"The schedule was found with {self.tuning_steps:,} environment steps of all members, which are not"
        agents = f"counted here: each of the others has {self.schedule.steps:,} of its own and fresh seeds."
        reached = {
            self.name(row): f"{(row.scores >= self.winner.mean()).sum()} of {len(row.scores)}"
            for row in self.comparison.rows
        }
        told = "; ".join(f"{name}: {share}" for name, share in reached.items())
        return (
            f"Tuning cost is excluded. {tuned} {agents} A seed's score is the mean return of its final test; the "
            "winner, one policy and chosen as the best of many, plays on the same starts, so that its interval tells "
            "of starts only and not of what another training would bring. Fresh agents at or above the winner's mean: "
            f"{told}."
        )

    def _differences(self) -> str:
        lines = [["agents", "against", "difference", "95 % interval", "p", "p (Holm)", "verdict"]]
        for pair in (pair for task in self.comparison.tasks for pair in self.comparison.pairs(task)):
            found = pair.difference
            cells = [self.name(pair.above), self.name(pair.below), f"{found.value:.1f}"]
            cells += [f"{found.low:.1f} to {found.high:.1f}", f"{found.p:.2g}", f"{pair.p_corrected:.2g}"]
            lines.append([*cells, pair.verdict])
        meaning = "Difference of the means over seeds: Welch's test, two-sided. Undecided is not equal."
        return (
            f"{markdown(lines)}\n\n{meaning}" if len(lines) > 1 else "No test: two schedules of two seeds are needed."
        )

    def draw(self) -> Figure:
        """Return the test curves of the fresh agents over their own steps, and where the winner stands."""
        figure = Figure(figsize=(6.2, 4.2), dpi=130, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for colour, row in zip(COLOURS, sorted(self.comparison.rows, key=self.name, reverse=True), strict=False):
            draw_row(axes, row, colour, self.name(row))
        axes.axhline(self.winner.mean(), color="black", linewidth=1, linestyle="--", label="winner, at its end")
        axes.set_xlabel("environment steps of an agent")
        axes.set_ylabel("test return")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
        figure.legend(frameon=False, loc="outside upper center", ncols=2)
        return figure

    def write(self) -> Path:
        """Write `followed.md` and `followed.png` into the folder of the run; return the former."""
        path = self.run / "followed.md"
        title = f"# The schedule of {'/'.join(self.run.parts[-3:])}, followed"
        path.write_text(f"{title}\n\n{self.table()}\n\n![test curves](followed.png)\n")
        self.draw().savefig(path.with_suffix(".png"))
        return path


def report(
    run: str | Path, seeds: int = 10, first_seed: int = FIRST_SEED, runs: str | Path | None = None
) -> FollowReport:
    """Return the winner of a run beside its followers, which are finished: followed, fixed final and fixed initial.

    Arguments are those with which `followers` were trained; schedules without any are left out.

    Raises:
        RunFolderError: there are no finished followers, or seeds differ in more than their seed.
    """
    folder = RunFolder(Path(run).resolve())
    config, names, paths = tuned_config(folder), {}, []
    for fixed, name in NAMES.items():
        agents = list(followers(folder.path, seeds, fixed, first_seed, runs))
        names[f"{agents[0].folder.path.parent.name}-{agents[0].running.tag}"] = name
        paths += [agent.folder.path for agent in agents if agent.folder.finished]
    comparison = compare(paths)
    protocol: Running = from_plain(Running, folder.read_config()["running"])
    winner = winner_scores(folder, range(first_seed, first_seed + seeds), protocol.final_episodes)
    schedule = Schedule.read(folder.path / SCHEDULE)
    return FollowReport(folder.path, winner, comparison, names, config.total_timesteps, schedule)


def winner_scores(folder: RunFolder, seeds: Sequence[int], episodes: int) -> NDArray[np.float64]:
    """Return the mean return (seeds,) of a run's answer in deterministic episodes on the test starts of other seeds."""
    answer = load(folder.path)
    return np.array([test_answer(replace(answer, seed=seed), episodes).mean() for seed in seeds])
