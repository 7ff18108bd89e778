"""`evorl follow RUN`: fresh agents on the schedule of hyperparameters that a run has found."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from evorl.cli.parsing import parse
from evorl.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Follow:
    """Train fresh agents, each a run of its own, on the schedule of a finished run; go on with those interrupted."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished run with a schedule.json."""
    seeds: int = 10
    """How many agents."""
    fixed: Literal["final", "initial"] | None = None
    """Hold the final or the initial hyperparameters throughout: what is left without adaptation."""
    first_seed: int = 1_000
    """Seeds are this and those after it; the run's own must not be among them."""
    runs: Path | None = None
    """Folder that holds the agents' runs; the one that holds RUN if not given."""
    report: bool = False
    """Train on the schedule and on its final hyperparameters, and set them side by side with the winner."""

    def __post_init__(self) -> None:
        if self.report and self.fixed:
            raise ConfigError("--report must be given without --fixed, of which it takes what there is")


def run(words: Sequence[str]) -> None:
    """Print a line for each agent, and the report if it was asked for."""
    asked = parse(Follow, words, "evorl follow", Follow.__doc__ or "")
    from evorl.running.following import followers

    arms = (None, "final") if asked.report else (asked.fixed,)
    agents = [
        agent
        for fixed in arms
        for agent in followers(asked.run, asked.seeds, fixed, asked.first_seed, asked.runs)  # type: ignore[arg-type]
    ]
    for agent in agents:
        print(f"{agent.train(sys.stderr.isatty()):>8}  {agent.folder.path}", flush=True)
    if not asked.report:
        print(f"evorl compare {agents[0].folder.path.parent}")
        return
    from evorl.analysis.following import report

    found = report(asked.run, asked.seeds, asked.first_seed, asked.runs)
    print(found.table())
    print(f"\nwritten: {found.write()}", file=sys.stderr)
