"""Costs against sizes are measured and drawn."""

from pathlib import Path

from benchmarks.scaling import POPULATIONS, WIDTHS, draw, measure, updates_of
from benchmarks.setups import Case


def test_work_is_about_the_same_for_every_size() -> None:
    assert updates_of(Case(256, (64, 64), 128)) == 2
    assert updates_of(Case(1, (64, 64), 128)) == 40
    assert all(updates_of(case) % 2 == 0 for case in (*POPULATIONS, *WIDTHS))


def test_the_curves_are_drawn(tmp_path: Path) -> None:
    cases = [Case(1, (4, 4), 128), Case(2, (4, 4), 128), Case(2, (4, 4), 256), Case(2, (8, 8), 256)]
    result = measure(cases, repeats=1, stored=20, work=0)
    assert len(result.rows) == 4
    draw(result, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").stat().st_size > 10_000
