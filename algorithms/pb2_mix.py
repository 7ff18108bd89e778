"""PB2-Mix (Parker-Holder et al. 2021): PB2 with categories, chosen by bandits, in one process with the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evorl.algorithms import pb2
from evorl.variation import Categories


@dataclass(frozen=True, kw_only=True)
class Config(pb2.Config):
    """Settings of PB2-Mix: those of PB2, whose space may hold categoricals."""


class PB2Mix(pb2.PB2[Config]):
    """TV.EXP3.M chooses the categories of who copied; then PB2 the numbers, by a covariance of both (CoCaBO)."""

    name = "pb2-mix"
    categories: ClassVar[Categories] = "joint"


if __name__ == "__main__":
    from evorl.cli import script

    script(PB2Mix.name)
