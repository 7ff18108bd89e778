"""Hyperparameters over time as figures, drawn without a screen: of all members, of the winner, and how PB2 saw them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from evorl.hyperparameters import Categorical, Kind, Schedule, Space
from evorl.running.ancestry import NO_SOURCE, Floats, Integers, Lineage, begins_of, sources
from evorl.running.family_tree import UNKNOWN

#: More panels than this stand in two columns.
STACKED = 3
#: Factor between the ends of values from which on, if nothing else is known, their axis is logarithmic.
WIDE = 20
#: Ticks of an axis on which the distance from 1 is logarithmic.
COMPLEMENTS = [0, 0.5, 0.8, *(1 - share * 10.0**-power for power in range(1, 6) for share in (1, 0.5, 0.2))]
#: Of a schedule; the first of Okabe and Ito's colours.
COLOUR = "#0072B2"
#: Parts of an acquisition.
BELIEFS = ("mean", "deviation", "bound")
#: Less than this is no difference along a slice: the model does not see the hyperparameter, or it has one value.
FLAT = 1e-9


def draw_members(lineage: Lineage, space: Space, path: Sequence[int]) -> Figure:
    """Return the hyperparameters of every member over environment steps, a panel each.

    A member's line has the colour of its fitness in each generation, grey where unknown. A dot is a copy, joined to
    what its donor had; the winner's line is thick.

    Args:
        lineage: of members with hyperparameters.
        space: what they were drawn from; it says which axes are logarithmic.
        path: numbers of the lines in which the winner's weights were trained, the last one its own.
    """
    begins, before = begins_of(lineage), sources(lineage)
    figure, panels = _panels(lineage.h)
    copied = np.flatnonzero((before != NO_SOURCE) & (lineage.id != lineage.id[before]))
    coloured = None
    for name, axes in panels.items():
        h = lineage.h[name]
        held = np.stack([np.stack([begins, h], 1), np.stack([lineage.steps, h], 1)], 1)
        on = np.array(path)
        axes.add_collection(LineCollection(list(held[on]), colors="black", linewidths=5, capstyle="butt"))
        jumps = [[(begins[now], h[last]), (begins[now], h[now])] for last, now in pairwise(path)]
        axes.add_collection(LineCollection(jumps, colors="black", linewidths=1.6))
        joined = [[(begins[line], h[before[line]]), (begins[line], h[line])] for line in copied]
        faint = float(np.clip(60 / max(len(copied), 1), 0.15, 0.6))
        axes.add_collection(LineCollection(joined, colors="black", linewidths=0.6, alpha=faint))
        coloured = _by_fitness(axes, held, lineage.fitness) or coloured
        axes.scatter(begins[copied], h[copied], s=5, color="black", linewidths=0, zorder=3)
        _scale(axes, name, space.get(name), h)
        axes.set_xlim(0, lineage.steps[-1])
    if coloured is not None:
        figure.colorbar(coloured, ax=list(panels.values()), label="fitness", extend="min", pad=0.01, aspect=40)
    told = "Hyperparameters of all members; dot: a copy; thick: the winner's"
    figure.suptitle(told, x=0.01, ha="left", fontsize="medium")
    figure.supxlabel("environment steps, all members", fontsize="medium")
    return figure


def draw_schedule(schedule: Schedule, space: Space) -> Figure:
    """Return the winner's schedule over the steps of a member, a panel a hyperparameter.

    Args:
        schedule: of one hyperparameter or more.
        space: it says which axes are logarithmic.
    """
    figure, panels = _panels(schedule.values)
    for name, axes in panels.items():
        column = [*schedule.values[name], schedule.values[name][-1]]
        axes.step([*schedule.starts, schedule.steps], column, where="post", color=COLOUR, linewidth=2)
        _scale(axes, name, space.get(name), np.array(schedule.values[name]))
        axes.set_xlim(0, schedule.steps)
    figure.suptitle("The winner's schedule", x=0.01, ha="left", fontsize="medium")
    figure.supxlabel("steps of the member", fontsize="medium")
    return figure


def draw_acquisition(slices: Sequence[tuple[int, ArrayLike]], space: Space) -> Figure | None:
    """Return how an acquisition moved along every hyperparameter: its mean, its deviation, and their upper bound.

    A row is a hyperparameter, the others being at that round's proposal, and a dot is where the bound was highest. A
    column has one scale of colours; rounds without a proposal are empty.

    Args:
        slices: at least one; a round, rising, and (h, 4, places): values of h, mean, deviation and bound there.
        space: of the h hyperparameters.

    Returns:
        The figure; None if no hyperparameter was free to move, or the model saw none.
    """
    rounds = np.array([turn for turn, _ in slices])
    cuts = np.stack([np.asarray(cut, np.float64) for _, cut in slices])
    shown = [row for row in range(len(space)) if np.ptp(cuts[:, row, 1:], axis=-1).max() > FLAT]
    if not shown:
        return None
    figure = Figure(figsize=(13, 1.6 + 2.1 * len(shown)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(shown), len(BELIEFS), squeeze=False, sharex=True, sharey="row")
    names = list(space)
    for part, what in enumerate(BELIEFS):
        colours = Normalize(float(cuts[:, shown, part + 1].min()), float(cuts[:, shown, part + 1].max()))
        for axes, row in zip(panels[:, part], shown, strict=True):
            mesh = _draw_slice(axes, rounds, cuts[:, row], part + 1, colours, space[names[row]])
            axes.set_title(f"{names[row]}: {what}", loc="left", fontsize="medium")
        axes.set_xlabel("round")
        figure.colorbar(mesh, ax=list(panels[:, part]), label=what, location="bottom", pad=0.02, aspect=40)
    told = "What was expected to improve, in deviations of the improvements known; dot: the highest bound"
    figure.suptitle(told, x=0.01, ha="left", fontsize="medium")
    return figure


def _draw_slice(axes: Axes, rounds: Integers, cut: Floats, part: int, colours: Normalize, kind: Kind) -> QuadMesh:
    """Draw one part of the slices (r, 4, places) along a hyperparameter as a column of cells a round."""
    values, first = np.unique(cut[0, 0], return_index=True)
    apart = isinstance(kind, Categorical)  # equally high, whatever their values
    levels = np.arange(float(len(values))) if apart else values
    highest = levels[cut[:, -1, first].argmax(axis=1)]
    _scale(axes, "", kind, levels)
    if apart:
        axes.set_yticks(levels, [f"{value:.6g}" for value in values])
    forward = axes.yaxis.get_transform()
    places = forward.transform(levels)
    middles = (places[1:] + places[:-1]) / 2
    edges = np.concatenate([2 * places[:1] - middles[:1], middles, 2 * places[-1:] - middles[-1:]])
    every = np.arange(rounds[0], rounds[-1] + 2)
    cells = np.full((len(values), len(every) - 1), np.nan)
    cells[:, rounds - rounds[0]] = cut[:, part, first].T
    mesh = axes.pcolormesh(every - 0.5, forward.inverted().transform(edges), cells, norm=colours, rasterized=True)
    (dots,) = axes.plot(rounds, highest, "o", color="white", markeredgecolor="black", markersize=4, clip_on=False)
    dots.set(markeredgewidth=0.8, zorder=3)
    axes.set_ylim(*forward.inverted().transform(edges[[0, -1]]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False)
    return mesh


def _panels(names: Iterable[str]) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with axes for each name: one below the other or, if there are many, in two columns."""
    names = list(names)
    columns = 1 if len(names) <= STACKED else 2
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(9 if columns == 1 else 13, 0.9 + 2.2 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, {name: figure.add_subplot(rows, columns, place) for place, name in enumerate(names, start=1)}


def _by_fitness(axes: Axes, held: NDArray[np.float64], fitness: Floats) -> LineCollection | None:
    """Draw lines (K, 2, 2) in the colours of their fitness; the few worst share one, or they would take all of them."""
    known = ~np.isnan(fitness)
    axes.add_collection(LineCollection(list(held[~known]), colors=UNKNOWN, linewidths=2, capstyle="projecting"))
    if not known.any():
        return None
    scale = Normalize(*np.quantile(fitness[known], [0.05, 1]).tolist())
    coloured = LineCollection(list(held[known]), array=fitness[known], norm=scale, linewidths=2, capstyle="projecting")
    axes.add_collection(coloured)
    return coloured


def _scale(axes: Axes, name: str, kind: Kind | None, values: Floats) -> None:
    """Lay out the axis of a hyperparameter in the scale of its kind or, without one, in what its values ask for."""
    least, most = float(np.nanmin(values)), float(np.nanmax(values))
    scale = getattr(kind, "scale", "linear") if kind is not None else _guessed(least, most)
    if scale == "log":
        axes.set_yscale("log")
        axes.set_ylim(least / 1.15, most * 1.15)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if most < WIDE * least else (1,)))
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-"))
        )
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif scale == "complement":
        axes.set_yscale("function", functions=(lambda x: -np.log10(np.maximum(1 - x, 1e-9)), lambda y: 1 - 10.0**-y))
        axes.set_ylim(1 - (1 - least) * 1.15, 1 - (1 - most) / 1.15)
        axes.yaxis.set_major_locator(FixedLocator(COMPLEMENTS) if 1 - least > WIDE * (1 - most) else MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    else:
        margin = 0.06 * (most - least) or 0.05 * abs(most) or 0.05
        axes.set_ylim(least - margin, most + margin)
    axes.set_title(name, loc="left", fontsize="medium")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)


def _guessed(least: float, most: float) -> str:
    if least > 0 and most > WIDE * least:
        return "log"
    return "complement" if least >= 0 and most < 1 and 1 - least > WIDE * (1 - most) else "linear"
