"""The family tree: what is drawn where, and in which colour."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from evorl.running.ancestry import Lineage
from evorl.running.family_tree import UNKNOWN, draw_tree


def lineage(fitness: list[float]) -> Lineage:
    """Return three slots of two generations: 3 is a copy of 2, and 4 of 3 at once; 3 sits in row 0, 4 in row 1."""
    return Lineage(
        generation=np.array([1, 1, 1, 2, 2, 2]),
        steps=np.array([100, 100, 100, 300, 300, 300]),
        row=np.array([0, 1, 2, 0, 1, 2]),
        id=np.array([0, 1, 2, 3, 4, 2]),
        parent=np.array([-1, -1, -1, 2, 3, -1]),
        origin=("initial",) * 3 + ("copy",) * 2 + ("initial",),
        fitness=np.array(fitness),
        h={},
    )


def lines(figure: Figure) -> list[LineCollection]:
    return [found for found in figure.axes[0].collections if isinstance(found, LineCollection)]


def ends(collection: LineCollection) -> list[list[list[float]]]:
    """Return the first and last point of every curve."""
    segments = [np.asarray(segment) for segment in collection.get_segments()]
    return [np.round(segment[[0, -1]], 9).tolist() for segment in segments]


def test_members_arcs_and_the_path_of_the_winner_are_where_they_belong() -> None:
    arcs, path, path_arcs, unknown, known = lines(draw_tree(lineage([1, 2, np.nan, 3, 5, 4])))
    assert ends(arcs) == [[[100, 2], [100, 0]], [[100, 0], [100, 1]]]
    assert ends(path) == [[[0, 2], [100, 2]], [[100, 1], [300, 1]]], "what was copied at once is passed by"
    assert ends(path_arcs) == ends(arcs)
    assert ends(unknown) == [[[0, 2], [100, 2]]]
    assert ends(known) == [
        [[0, 0], [100, 0]],
        [[0, 1], [100, 1]],
        [[100, 0], [300, 0]],
        [[100, 1], [300, 1]],
        [[100, 2], [300, 2]],
    ]


def test_the_colour_is_the_fitness() -> None:
    figure = draw_tree(lineage([1, 2, np.nan, 3, 5, 4]))
    known = lines(figure)[-1]
    assert np.asarray(known.get_array()).tolist() == [1, 2, 3, 5, 4]
    assert known.norm.vmax == 5
    assert figure.axes[1].get_ylabel() == "fitness"


def test_arcs_of_others_than_the_winner_are_thin_and_faint() -> None:
    arcs, path, path_arcs, *_ = lines(draw_tree(lineage([1, 2, 3, 4, 5, 9])))
    assert len(ends(arcs)) == 2
    assert ends(path) == [[[0, 2], [100, 2]], [[100, 2], [300, 2]]]
    assert ends(path_arcs) == []
    assert arcs.get_alpha() == 0.5


def test_without_fitness_all_is_grey() -> None:
    figure = draw_tree(lineage([np.nan] * 6))
    assert len(figure.axes) == 1, "no scale"
    assert lines(figure)[-1].get_colors()[0] == pytest.approx([int(UNKNOWN[1:3], 16) / 255] * 3 + [1])


def test_in_a_long_run_arcs_are_thinner() -> None:
    short = lineage([1, 2, 3, 4, 5, 6])
    long = replace(short, generation=short.generation * 200)
    widths = [[np.ravel(found.get_linewidth())[0] for found in lines(draw_tree(each))] for each in (short, long)]
    assert widths == [[0.8, 6, 2, 3, 3], pytest.approx([0.8 * 60 / 201, 6, 2 * 60 / 201, 3, 3])]


def test_the_title_counts() -> None:
    title = draw_tree(lineage([1, 2, 3, 4, 5, 6])).axes[0].get_title(loc="left")
    assert title == "Family tree: 3 roots, 1 surviving, 2 copies; thick: the path to the best at the end"
