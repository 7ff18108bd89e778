"""`evorl compare RUNS`: a table, a figure, and summary runs for TensorBoard."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from evorl.cli.parsing import parse
from evorl.errors import ConfigError, require_above


@dataclasses.dataclass(frozen=True)
class Compare:
    """Compare all finished runs in folders and below, each task at the steps that all its runs reached."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = (Path("runs"),)
    """Run folders, or folders that hold them."""
    out: Path | None = None
    """Where table, figure and csv files go; `_summary` in the first of the folders if not given."""
    reference: tuple[float, float, int] | None = None
    """A published result, mean, standard deviation and seeds, to test every row against for equivalence."""
    margin: float | None = None
    """The largest difference from it that counts as none."""
    outcome: Literal["final", "area"] = "final"
    """What a seed is scored by: its last test, or the area under its test curve, over the steps."""
    column: str = "test/return"
    """Column of progress.csv that curves and scores are of, such as svpg/test_mean."""
    primary: tuple[str, str] | None = None
    """The two algorithms, with their tags, whose difference is the question; p is corrected among the other pairs."""
    paired: bool = False
    """Take differences seed by seed; for groups that begin alike under a seed, as those of a population study do."""

    def __post_init__(self) -> None:
        if (self.reference is None) != (self.margin is None):
            raise ConfigError("--reference and --margin must be given together")
        if self.margin is not None:
            require_above("margin", self.margin, 0)


def run(words: Sequence[str]) -> None:
    """Print the table, and write it, the figure, the csv files and the summary runs."""
    asked = parse(Compare, words, "evorl compare", Compare.__doc__ or "")
    from evorl.analysis import compare
    from evorl.analysis.figures import draw_curves
    from evorl.analysis.statistics import Reference
    from evorl.analysis.summary import write_summaries

    published, margin = asked.reference, asked.margin
    reference = None if published is None or margin is None else Reference(*published, margin)
    comparison = compare(asked.runs, reference, asked.outcome, asked.column, asked.primary or (), asked.paired)
    summaries = write_summaries(comparison, asked.runs[0])
    out = asked.out or summaries
    out.mkdir(parents=True, exist_ok=True)
    (out / "comparison.md").write_text(comparison.table() + "\n")
    comparison.write_csv(out / "scores.csv")
    comparison.write_curves(out / "curves.csv")
    draw_curves(comparison, out / "comparison.png")
    print(comparison.table())
    print(f"\nfigure: {out / 'comparison.png'}", file=sys.stderr)
    print(f"look at the runs: tensorboard --logdir {asked.runs[0]}", file=sys.stderr)
