"""Pictures of hyperparameters: what is drawn where, on which axes."""

from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure

from evorl.hyperparameters import Categorical, Float, Int, Schedule, Space
from evorl.running.ancestry import Lineage
from evorl.running.schedule_figures import draw_acquisition, draw_members, draw_schedule

SPACE = Space({"tau": Float(1e-3, 1, "log"), "discount": Float(0.9, 0.999, "complement")})
#: Two slots of two generations: in the second, slot 0 holds a copy of 1.
LINEAGE = Lineage(
    generation=np.array([1, 1, 2, 2]),
    steps=np.array([20, 20, 40, 40]),
    row=np.array([0, 1, 0, 1]),
    id=np.array([0, 1, 2, 1]),
    parent=np.array([-1, -1, 1, -1]),
    origin=("initial", "initial", "copy", "initial"),
    fitness=np.array([1.0, np.nan, 3, 2]),
    h={"tau": np.array([0.1, 0.2, 0.3, 0.2]), "discount": np.array([0.9, 0.95, 0.99, 0.95])},
)


def ends(collection: LineCollection) -> list[list[list[float]]]:
    return [np.round(np.asarray(segment), 9).tolist() for segment in collection.get_segments()]


def test_members_copies_and_the_winner_are_where_they_belong() -> None:
    figure = draw_members(LINEAGE, SPACE, [1, 2])
    figure.draw_without_rendering()
    tau, discount, scale = figure.axes
    winner, jumps, copies, unknown, known = (c for c in tau.collections if isinstance(c, LineCollection))
    assert ends(winner) == [[[0, 0.2], [20, 0.2]], [[20, 0.3], [40, 0.3]]]
    assert ends(jumps) == ends(copies) == [[[20, 0.2], [20, 0.3]]]
    assert ends(unknown) == [[[0, 0.2], [20, 0.2]]]
    assert ends(known) == [[[0, 0.1], [20, 0.1]], [[20, 0.3], [40, 0.3]], [[20, 0.2], [40, 0.2]]]
    assert np.asarray(known.get_array()).tolist() == [1, 3, 2]
    assert np.asarray(tau.collections[-1].get_offsets()).tolist() == [[20, 0.3]]
    assert [axes.get_title("left") for axes in (tau, discount)] == ["tau", "discount"]
    assert [axes.get_yscale() for axes in (tau, discount)] == ["log", "function"]
    assert scale.get_ylabel() == "fitness"


def test_without_fitness_all_is_grey() -> None:
    nothing = Lineage(**{**vars(LINEAGE), "fitness": np.full(4, np.nan)})
    assert len(draw_members(nothing, SPACE, [1, 2]).axes) == 2, "no scale"


def test_a_schedule_is_a_step_line_over_the_steps_of_the_member() -> None:
    schedule = Schedule(30, (0, 10), {"tau": (0.1, 0.2), "discount": (0.9, 0.9)})
    figure = draw_schedule(schedule, SPACE)
    figure.draw_without_rendering()
    (line,) = figure.axes[0].get_lines()
    assert np.asarray(line.get_xydata()).tolist() == [[0, 0.1], [10, 0.2], [30, 0.2]]
    assert line.get_drawstyle() == "steps-post"
    assert [axes.get_xlim() for axes in figure.axes] == [(0, 30), (0, 30)]


@pytest.mark.parametrize(
    ("values", "scale"),
    [((1e-4, 1e-2), "log"), ((0.9, 0.999), "function"), ((0.1, 0.9), "linear"), ((0.0, 0.0), "linear")],
)
def test_without_a_space_the_values_say_which_axis_they_need(values: tuple[float, ...], scale: str) -> None:
    figure = draw_schedule(Schedule(30, (0, 10), {"x": values}), Space({}))
    figure.draw_without_rendering()
    assert figure.axes[0].get_yscale() == scale


@pytest.mark.parametrize("discounts", [(0.9981, 0.9985), (0.9981, 0.9981), (0.9, 0.97), (0.9, 0.999), (0.0, 0.9999)])
def test_an_axis_of_discounts_has_ticks_to_read_it_by(discounts: tuple[float, ...]) -> None:
    (axes,) = draw_schedule(Schedule(30, (0, 10), {"discount": discounts}), SPACE).axes
    low, high = axes.get_ylim()
    assert 3 <= sum(low <= tick <= high for tick in axes.get_yticks()) <= 16


def test_many_hyperparameters_stand_in_two_columns() -> None:
    columns = dict.fromkeys("abcde", (0.1,))
    figure = draw_schedule(Schedule(30, (0,), columns), Space({}))
    places = [axes.get_subplotspec() for axes in figure.axes]
    assert {(place.rowspan.start, place.colspan.start) for place in places if place is not None} == {
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (2, 0),
    }


def acquisition(turn: int, *values: list[float]) -> tuple[int, np.ndarray]:
    """Return a round's slices (h, 4, places) along `values`: the mean is the round and the place, the bound falls."""
    parts = [[h, turn + np.arange(len(h)), np.arange(len(h)) + 1, -np.arange(len(h))] for h in values]
    return turn, np.array(parts, np.float64)


def test_the_acquisition_is_mean_deviation_and_bound_by_round_with_the_highest() -> None:
    tau, discount = [0.001, 0.01, 0.1, 1.0], [0.9, 0.99, 0.997, 0.999]
    figure = draw_acquisition([acquisition(turn, tau, discount) for turn in (3, 5)], SPACE)
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    panels = np.array(figure.axes[:6]).reshape(2, 3)
    assert [axes.get_title("left") for axes in panels[0]] == ["tau: mean", "tau: deviation", "tau: bound"]
    assert [axes.get_yscale() for axes in panels[:, 0]] == ["log", "function"]
    meshes = [axes.collections[0] for axes in panels[0]]
    drawn: list[Any] = [
        np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan) for mesh in meshes if isinstance(mesh, QuadMesh)
    ]
    empty = [np.nan] * 4
    expected = [[[3, 4, 5, 6], empty, [5, 6, 7, 8]], [[1, 2, 3, 4], empty, [1, 2, 3, 4]]]
    np.testing.assert_array_equal(np.swapaxes(drawn[:2], 1, 2), expected)
    mesh = meshes[0]
    assert isinstance(mesh, QuadMesh)
    corners = np.asarray(mesh.get_coordinates())
    assert corners[0, :, 0].tolist() == [2.5, 3.5, 4.5, 5.5]
    np.testing.assert_allclose(corners[:, 0, 1], 10 ** np.array([-3.5, -2.5, -1.5, -0.5, 0.5]))
    for axes, highest in ((panels[0, 0], 0.001), (panels[1, 2], 0.9)):
        assert np.asarray(axes.get_lines()[0].get_xydata()).tolist() == [[3, highest], [5, highest]]


def test_whole_numbers_are_a_cell_each_and_what_cannot_move_is_left_out() -> None:
    space = Space({"steps": Int(1, 3), "tau": Float(0.1, 0.1), "delay": Int(2, 2)})
    turn, cut = acquisition(7, [1, 1, 2, 2, 3], [0.1] * 5, [2] * 5)
    cut[:, 1:] = cut[:, 1:] * (np.arange(3) == 0)[:, None, None]
    cut[0, 3] = [0, 0, 4, 4, 1]
    figure = draw_acquisition([(turn, cut)], space)
    assert figure is not None
    figure.draw_without_rendering()
    assert [axes.get_title("left") for axes in figure.axes[:3]] == ["steps: mean", "steps: deviation", "steps: bound"]
    mesh = figure.axes[2].collections[0]
    assert isinstance(mesh, QuadMesh)
    assert np.asarray(mesh.get_array()).tolist() == [[0], [4], [1]]
    assert np.asarray(mesh.get_coordinates())[:, 0, 1].tolist() == [0.5, 1.5, 2.5, 3.5]
    assert np.asarray(figure.axes[0].get_lines()[0].get_xydata()).tolist() == [[7, 2]]
    assert draw_acquisition([(turn, 0 * cut)], space) is None


def test_categories_are_equally_high_under_their_values() -> None:
    figure = draw_acquisition([acquisition(1, [0.001, 0.005, 0.05])], Space({"tau": Categorical((0.001, 0.005, 0.05))}))
    assert figure is not None
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert axes.get_ylim() == (-0.5, 2.5)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0.001", "0.005", "0.05"]
