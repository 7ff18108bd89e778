"""The family tree as a figure, drawn without a screen."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from evorl.running.ancestry import (
    NO_SOURCE,
    Floats,
    Integers,
    Lineage,
    begins_of,
    best_of_last,
    copies,
    path_to,
    sources,
    surviving_roots,
)

UNKNOWN = "#C8C8C8"
#: More generations than this have thinner arcs, or these would cover everything.
CROWDED = 60
#: Points of an arc, from the donor's slot to the copy's.
BEND = np.linspace(0, 1, 12)


def draw_tree(lineage: Lineage) -> Figure:
    """Return the family tree: a line a member, an arc a copy, the path to the best of the last generation drawn thick.

    Slots lie below each other over environment steps. The colour of a member's line in a generation is its fitness,
    grey where unknown; an arc leads from the donor's slot to a dot in the slot of its copy, at the moment of the copy.

    Args:
        lineage: of at least one generation.
    """
    slots = int(lineage.row.max()) + 1
    figure = Figure(figsize=(9, 1.8 + 0.24 * min(slots, 40)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    begins, before, path = begins_of(lineage), sources(lineage), path_to(lineage, best_of_last(lineage))
    segments = _segments(lineage, begins)
    moved = np.flatnonzero((before != NO_SOURCE) & (lineage.row != lineage.row[before]))
    on_path = moved[np.isin(moved, path)]
    lived = [line for line, after in zip(path, [*path[1:], None], strict=True) if not _at_once(lineage, line, after)]
    thin = min(1.0, CROWDED / (int(lineage.generation[-1] - lineage.generation[0]) + 1))
    faint = float(np.clip(120 / max(len(moved), 1), 0.06, 0.5))
    _arcs(axes, lineage, begins, before, moved, alpha=faint, linewidth=0.8 * thin)
    axes.add_collection(LineCollection(list(segments[lived]), colors="black", linewidths=6, capstyle="butt"))
    _arcs(axes, lineage, begins, before, on_path, alpha=1, linewidth=2 * thin)
    _members(figure, axes, lineage, segments)
    axes.scatter(begins[moved], lineage.row[moved], s=7 * thin**2, color="black", linewidths=0, zorder=3)
    _label(axes, lineage, slots)
    return figure


def _at_once(lineage: Lineage, line: int, after: int | None) -> bool:
    """Whether `after` was copied from `line` before it lived, as offspring of fresh copies are."""
    return after is not None and bool(lineage.generation[line] == lineage.generation[after])


def _segments(lineage: Lineage, begins: Floats) -> NDArray[np.float64]:
    """Return what each line is drawn as: (K, 2, 2) from (begin, row) to (end, row)."""
    starts = np.stack([begins, lineage.row], axis=1)
    return np.stack([starts, np.stack([lineage.steps, lineage.row], axis=1)], axis=1)


def _arcs(
    axes: Axes, lineage: Lineage, begins: Floats, before: Integers, lines: Integers, alpha: float, linewidth: float
) -> None:
    """Draw an arc for each of `lines` from its source's slot to its own, bent towards the future."""
    donors, own = lineage.row[before[lines]][:, None], lineage.row[lines][:, None]
    width = 0.7 * (lineage.steps - begins)[lines][:, None]
    curves = np.stack([begins[lines][:, None] + width * np.sin(np.pi * BEND), donors + (own - donors) * BEND], axis=2)
    axes.add_collection(LineCollection(list(curves), colors="black", linewidths=linewidth, alpha=alpha))


def _members(figure: Figure, axes: Axes, lineage: Lineage, segments: NDArray[np.float64]) -> None:
    """Draw every line in the colour of its fitness; the few worst share a colour, or they would take all of them."""
    known = ~np.isnan(lineage.fitness)
    axes.add_collection(LineCollection(list(segments[~known]), colors=UNKNOWN, linewidths=3, capstyle="butt"))
    if not known.any():
        return
    fitness = lineage.fitness[known]
    scale = Normalize(*np.quantile(fitness, [0.05, 1]).tolist())
    coloured = LineCollection(list(segments[known]), array=fitness, norm=scale, linewidths=3, capstyle="butt")
    axes.add_collection(coloured)
    figure.colorbar(coloured, ax=axes, label="fitness", extend="min", pad=0.01, aspect=30)


def _label(axes: Axes, lineage: Lineage, slots: int) -> None:
    roots = surviving_roots(lineage)
    told = f"{roots[0]} roots, {roots[-1]} surviving, {copies(lineage).sum()} copies"
    axes.set_title(f"Family tree: {told}; thick: the path to the best at the end", loc="left", fontsize="medium")
    axes.set_xlim(0, lineage.steps[-1])
    axes.set_ylim(slots - 0.4, -0.6)
    axes.set_xlabel("environment steps, all members")
    axes.set_ylabel("slot")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.spines[["top", "right", "left"]].set_visible(False)
