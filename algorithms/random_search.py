"""Random search: members learn apart, under hyperparameters drawn once from their priors as PBT's first are."""

from __future__ import annotations

from dataclasses import dataclass

from evorl import tuned


@dataclass(frozen=True, kw_only=True)
class Config(tuned.Config):
    """Settings of random search."""

    interval: int = 5_000
    """Steps of a member in a generation."""


class RandomSearch(tuned.TunedLearners[Config]):
    """Every member acts and learns under its own hyperparameters to the end; the best by fitness is the answer."""

    name = "random-search"


if __name__ == "__main__":
    from evorl.cli import script

    script(RandomSearch.name)
