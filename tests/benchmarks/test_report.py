"""Results survive being written, and stand on a page between its marks."""

from pathlib import Path

import pytest

from benchmarks.machine import describe
from benchmarks.report import BEGIN, END, Goal, Result, markdown, put_on_page, read, shown, write

RESULT = Result("A question", "This with that.", ("what", "ms"), [["one", 1.23456], ["two", 1234.5]], [Goal("g", 2, 3)])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "results.json"
    assert read(path) == {}
    write(path, {"cores": "2"}, {"question": RESULT})
    assert markdown(read(path)) == markdown({"question": RESULT})


def test_the_tables() -> None:
    text = markdown({"question": RESULT})
    assert "| one | 1.23 |" in text
    assert "| two | 1,234 |" in text or "| two | 1,235 |" in text
    assert "| g | 2 | 3 | yes |" in text


@pytest.mark.parametrize(
    ("goal", "reached"),
    [(Goal("", 2, 2), True), (Goal("", 2, 1.9), False), (Goal("", 2, 2.1, at_most=True), False)],
)
def test_a_goal_is_reached_from_its_side(goal: Goal, reached: bool) -> None:
    assert goal.reached is reached


def test_numbers_have_three_digits() -> None:
    assert [shown(number) for number in (0.012345, 2.0, 99.94, 12345.6)] == ["0.0123", "2", "99.9", "12,346"]


def test_a_page_is_filled_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_on_page(page, "new\n")
    put_on_page(page, "newer\n")
    assert page.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"
    page.write_text("no marks\n")
    with pytest.raises(ValueError, match="must hold the lines"):
        put_on_page(page, "new\n")


def test_the_machine_is_described_without_a_name_of_its_own() -> None:
    import platform

    assert {"processor", "cores", "torch"} <= set(describe())
    assert platform.node() not in " ".join(describe().values())
