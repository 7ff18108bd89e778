"""`evorl enjoy RUN`: look at what a finished run found."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from evorl.cli.parsing import parse
from evorl.errors import ConfigError, require_at_least


@dataclasses.dataclass(frozen=True)
class Enjoy:
    """Play the first test episodes of a run, deterministically, in a window or into videos."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished run."""
    video: bool = False
    """Record to RUN/videos instead of opening a window; needs no display."""
    episodes: int = 1
    """How many."""
    format: Literal["mp4", "gif"] = "mp4"
    """Of the videos."""
    overwrite: bool = False
    """Replace videos that are there already."""

    def __post_init__(self) -> None:
        require_at_least("episodes", self.episodes, 1)
        if not self.video and (self.format != "mp4" or self.overwrite):
            raise ConfigError("--format and --overwrite must be given together with --video")


def run(words: Sequence[str]) -> None:
    """Print return and length of each episode when it has ended, and where its video is."""
    asked = parse(Enjoy, words, "evorl enjoy", Enjoy.__doc__ or "")
    from evorl.running.enjoying import record, show

    if asked.video:
        played = record(asked.run, asked.episodes, asked.format, asked.overwrite)
    else:
        played = show(asked.run, asked.episodes)
    for enjoyed in played:
        where = f", {enjoyed.video}" if enjoyed.video else ""
        print(
            f"episode {enjoyed.episode}: return {enjoyed.episode_return:.1f}, {enjoyed.steps} steps{where}", flush=True
        )
