"""Grids: every combination once, on the declared scales."""

import pytest

from evorl.hyperparameters import Categorical, Float, Int, Ordinal, Space, grid


def test_every_combination_comes_once_on_its_scale() -> None:
    values = grid(Space({"rate": Float(1e-4, 1e-2, "log"), "kind": Categorical((3, 1)), "x": Float(0, 1)}), 3)
    combined = list(zip(*(value.tolist() for value in values.values()), strict=True))
    expected = [(rate, kind, x) for rate in (1e-4, 1e-3, 1e-2) for kind in (3.0, 1.0) for x in (0.0, 0.5, 1.0)]
    assert combined == [pytest.approx(point) for point in expected]


def test_discounts_are_spaced_by_their_distance_from_one() -> None:
    assert grid(Space({"discount": Float(0.9, 0.999, "complement")}), 3)["discount"].tolist() == pytest.approx(
        [0.9, 0.99, 0.999]
    )


def test_whole_numbers_come_once_lists_whole_and_frozen_numbers_alone() -> None:
    values = grid(Space({"n": Int(1, 3), "o": Ordinal((8, 16)), "frozen": Float(0.3, 0.3)}), 5)
    combined = list(zip(*(value.tolist() for value in values.values()), strict=True))
    assert combined == [(n, o, 0.3) for n in (1.0, 2.0, 3.0) for o in (8.0, 16.0)]


def test_one_point_is_the_middle() -> None:
    assert grid(Space({"rate": Float(1e-4, 1e-2, "log")}), 1)["rate"].tolist() == pytest.approx([1e-3])
