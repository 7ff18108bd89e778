"""What a question found, as a table for reading and as JSON for keeping."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Cell = str | float
#: Between these lines of a page stands what is written by the command.
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass(frozen=True)
class Goal:
    """A number that is hoped for: at least `goal`, or at most where `at_most`."""

    what: str
    goal: float
    measured: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """Whether it is as hoped."""
        return self.measured <= self.goal if self.at_most else self.measured >= self.goal

    @property
    def cells(self) -> list[Cell]:
        """A line of the table of goals."""
        bound = "at most " if self.at_most else ""
        return [self.what, bound + shown(self.goal), self.measured, "yes" if self.reached else "no"]


@dataclass(frozen=True)
class Result:
    """The answer to one question.

    Attributes:
        title: the question.
        compared: what is compared with what, under which conditions.
        columns: heads of the table; units stand there.
        rows: its lines.
        goals: numbers that are hoped for.
    """

    title: str
    compared: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    goals: Sequence[Goal] = ()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Result:
        """Return what `asdict` made plain."""
        return cls(**{**plain, "goals": [Goal(**goal) for goal in plain["goals"]]})


def shown(cell: Cell) -> str:
    """Return a cell as text, numbers with three digits."""
    if isinstance(cell, str):
        return cell
    return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *[[shown(cell) for cell in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(results: Mapping[str, Result]) -> str:
    """Return the goals of all results and then each with its table."""
    goals = [goal.cells for result in results.values() for goal in result.goals]
    parts = [f"### Goals\n\n{table(['what', 'goal', 'measured', 'reached'], goals)}"] if goals else []
    parts += [f"### {one.title}\n\n{one.compared}\n\n{table(one.columns, one.rows)}" for one in results.values()]
    return "\n\n".join(parts) + "\n"


def read(path: Path) -> dict[str, Result]:
    """Return the results that a file holds; none if there is no file."""
    if not path.exists():
        return {}
    return {name: Result.from_plain(plain) for name, plain in json.loads(path.read_text())["results"].items()}


def write(path: Path, machine: Mapping[str, str], results: Mapping[str, Result]) -> None:
    """Write the results, and the machine that they were measured on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: asdict(result) for name, result in results.items()}
    path.write_text(json.dumps({"machine": dict(machine), "results": plain}, indent=1) + "\n")


def put_on_page(page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page.

    Raises:
        ValueError: the page has no such marks.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"page must hold the lines {BEGIN} and {END}, got {page}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
