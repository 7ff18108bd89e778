"""PB2-Mult (Parker-Holder et al. 2021): PB2 with categories, chosen by bandits, and a process for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evorl.algorithms import pb2
from evorl.variation import Categories


@dataclass(frozen=True, kw_only=True)
class Config(pb2.Config):
    """Settings of PB2-Mult: those of PB2, whose space may hold categoricals."""


class PB2Mult(pb2.PB2[Config]):
    """TV.EXP3.M chooses the categories of who copied; then PB2 the numbers, by what others had with these."""

    name = "pb2-mult"
    categories: ClassVar[Categories] = "apart"


if __name__ == "__main__":
    from evorl.cli import script

    script(PB2Mult.name)
