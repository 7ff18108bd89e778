"""Multi-frequency PBT (Doulazmi et al. 2025): sub-populations evolve at different frequencies; migrants join them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from evorl import tuned
from evorl.algorithms import pbt
from evorl.population import Population
from evorl.selection import Exploit, FrequencyConfig, multi_frequency, settle_migrants


@dataclass(frozen=True, kw_only=True)
class Config(FrequencyConfig, pbt.Config):
    """Settings of multi-frequency PBT; the defaults are those of the authors' code, with fewer sub-populations."""

    population_size: int = 16
    """Members of all sub-populations, which are of one size."""
    exploit: Literal["truncation"] = "truncation"
    """Who copies whom inside a sub-population."""
    bottom_fraction: float = 0.25
    """Share of a sub-population that copies; the next worse, as many again, are where migrants come in."""
    donor_fraction: float = 0.25
    """Share of a sub-population that is copied inside it."""
    pairing: Literal["uniform", "matched", "best"] = "matched"
    """Which donor a member copies: any, the one of its own place in its group, or the best."""
    copy: Literal["both"] = "both"
    """What a copy takes over inside a sub-population; migrants bring hyperparameters only to who evolves more often."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        self.check_ratios(self.population_size, self)


class MFPBT(pbt.PBT[Config]):
    """Who evolves rarely is judged late and so not greedily; what is good migrates, but not its short-sighted h."""

    name = "mf-pbt"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **{name: preset for name, preset in pbt.PBT.presets.items() if name != "frozen"},  # migrants change h
        "common": tuned.common(16),
    }

    def make_exploit(self) -> Exploit:
        """Return the exploit of sub-populations."""
        return self.plan

    def plan(self, evaluated: Population, ready: Tensor) -> Tensor:
        """Return who copies whom in this generation."""
        draws = self.streams.rows("exploit", range(len(evaluated))).uniform(0, 1).double()
        return multi_frequency(evaluated.fitness, ready, draws, self.config.ratios, self.generation + 1, self.config)

    def follow(self, evaluated: Population, plan: Tensor, steps: int) -> Population:
        """Copy; migrants keep or change their hyperparameters by where they come from, and do not explore."""
        return settle_migrants(evaluated, super().follow(evaluated, plan, steps), plan, len(self.config.ratios))


if __name__ == "__main__":
    from evorl.cli import script

    script(MFPBT.name)
