"""`evorl test RUN`: test episodes with the answer of a finished run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from evorl.cli.parsing import parse
from evorl.errors import require_at_least


@dataclasses.dataclass(frozen=True)
class Test:
    """Play deterministic episodes with what a run found, on the run's own test starts."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished run."""
    episodes: int = 100
    """How many."""

    def __post_init__(self) -> None:
        require_at_least("episodes", self.episodes, 1)


def run(words: Sequence[str]) -> None:
    """Print mean, standard deviation, least and largest return."""
    asked = parse(Test, words, "evorl test", Test.__doc__ or "")
    from evorl.running import load
    from evorl.running.testing import test_answer

    returns = test_answer(load(asked.run), asked.episodes)
    spread = f"std {returns.std():.1f}, min {returns.min():.1f}, max {returns.max():.1f}"
    print(f"{asked.run}: mean return {returns.mean():.1f} over {asked.episodes} episodes ({spread})")
