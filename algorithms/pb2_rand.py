"""PB2-Rand (Parker-Holder et al. 2021): the control of PB2-Mix, which draws categories by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evorl.algorithms import pb2
from evorl.variation import Categories


@dataclass(frozen=True, kw_only=True)
class Config(pb2.Config):
    """Settings of PB2-Rand: those of PB2, whose space may hold categoricals."""


class PB2Rand(pb2.PB2[Config]):
    """A category is drawn anew with probability 1/2; then PB2 the numbers, by a process that sees only these."""

    name = "pb2-rand"
    categories: ClassVar[Categories] = "random"


if __name__ == "__main__":
    from evorl.cli import script

    script(PB2Rand.name)
