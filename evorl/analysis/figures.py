"""Figures, drawn without a screen."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from evorl.analysis.comparison import Comparison, Row
from evorl.analysis.reading import TESTED

#: Okabe and Ito's colours, told apart by everyone.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")


def draw_curves(comparison: Comparison, path: Path) -> None:
    """Draw the test curves of every task, a panel each: the interquartile mean and its 95 % interval."""
    tasks = comparison.tasks
    figure = Figure(figsize=(5.2 * len(tasks) + 0.4, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    height = "test return" if comparison.column == TESTED else comparison.column
    labels = sorted({row.group.label for row in comparison.rows})
    for column, task in enumerate(tasks, start=1):
        axes = figure.add_subplot(1, len(tasks), column)
        for row in comparison.of(task):
            draw_row(axes, row, COLOURS[labels.index(row.group.label) % len(COLOURS)], row.group.label)
        axes.set_title(task, loc="left", fontweight="bold")
        axes.set_xlabel("environment steps, all members")
        axes.set_ylabel(height if column == 1 else "")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.legend(frameon=False, loc="best")
    figure.savefig(path, dpi=150)


def draw_row(axes: Axes, row: Row, colour: str, label: str) -> None:
    """Draw the curves of a row: every seed thin, their interquartile mean and its 95 % interval."""
    n = len(row.scores)
    for curve in row.group.curves:
        axes.plot(curve.steps, curve.returns, color=colour, alpha=0.18, linewidth=0.7)
    seeds = f"{n} seed{'s' if n > 1 else ''}"
    axes.plot(row.grid, row.curve.value, color=colour, linewidth=2, label=f"{label}  ({seeds})")
    if n > 1:
        axes.fill_between(row.grid, row.curve.low, row.curve.high, color=colour, alpha=0.2, linewidth=0)
    axes.set_xlim(0, row.grid[-1])
