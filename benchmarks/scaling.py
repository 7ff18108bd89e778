"""What does an update of a member cost as the population and the networks grow?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Cell, Result
from benchmarks.setups import Case
from benchmarks.update import time_case

POPULATIONS = tuple(Case(n, (64, 64), 128) for n in (1, 4, 16, 64, 256))
WIDTHS = tuple(Case(10, (width, width), 256) for width in (32, 64, 128, 256, 512))
#: Multiply-adds that one measurement of a case does about as many of.
WORK = 2e9
COLUMNS = ("members", "width", "batch", "stacked, ms", "loop, ms", "products, ms", "loop / stacked")


def updates_of(case: Case, work: float = WORK) -> int:
    """Return how many updates make a measurement: two at least, so that the actors take part."""
    each = case.members * case.batch * case.hidden[0] * (case.hidden[1] + 24) * 14
    return 2 * max(1, min(20, round(work / each / 2)))


def measure(
    cases: Sequence[Case] = (*POPULATIONS, *WIDTHS), repeats: int = 3, stored: int = 2_000, work: float = WORK
) -> Result:
    """Time an update for every size."""
    rows: list[list[Cell]] = []
    for case in cases:
        updates = updates_of(case, work)
        timings = time_case(case, updates, repeats, stored)
        stacked, loop, products = (timings[name].best for name in ("stacked", "loop", "products"))
        each = 1e3 / (updates * case.members)
        sizes = (float(case.members), float(case.hidden[0]), float(case.batch))
        rows.append([*sizes, stacked * each, loop * each, products * each, loop / stacked])
    compared = (
        "Milliseconds of one TD3 update of one member, as in the first table: two hidden layers of the given width, "
        f"{stored:,} transitions a member. Medians of {repeats} rounds by turns, each at its better number of threads."
    )
    return Result("Cost against population and width", compared, COLUMNS, rows)


def draw(result: Result, path: Path) -> None:
    """Draw both curves of a result into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, LogLocator

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    numbers = [[float(cell) for cell in row] for row in result.rows]
    population = [row for row in numbers if row[2] == POPULATIONS[0].batch]
    width = [row for row in numbers if row[2] == WIDTHS[0].batch]
    for panel, rows, column, label in (
        (panels[0], population, 0, "members (width 64, batch 128)"),
        (panels[1], width, 1, "width of both layers (10 members, batch 256)"),
    ):
        sizes = [row[column] for row in rows]
        for name, place, style in (
            ("loop over modules", 4, "s--"),
            ("stacked", 3, "o-"),
            ("its matrix products", 5, "^:"),
        ):
            panel.plot(sizes, [row[place] for row in rows], style, label=name)
        panel.set(xscale="log", yscale="log", xlabel=label, ylabel="ms an update of a member")
        panel.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
        panel.minorticks_off()
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        panel.grid(visible=True, alpha=0.3)
    panels[1].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
