"""PBT-ES: PBT whose explore is an evolution step, over the hyperparameters of all members and not of one alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from evorl.algorithms import pbt
from evorl.variation import Evolution, EvolutionConfig, Explore, explore_by


@dataclass(frozen=True, kw_only=True)
class Config(EvolutionConfig, pbt.Config):
    """Settings of PBT-ES; of `explore` only none is read here, and no `perturb_factors`."""


class PBTES(pbt.PBT[Config]):
    """Who copies takes over weights and hyperparameters; these then breed with those of members that stayed."""

    name = "pbt-es"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **{name: settings for name, settings in pbt.PBT.presets.items() if name != "paper-factors"},
        "cma": {"evolution": "cma"},
    }
    state = (*pbt.PBT.state, "evolution_step")

    def make_explore(self) -> Explore:
        """Return the evolution step, unless `explore` is none."""
        config = self.config
        self.evolution_step = Evolution(
            config, self.space, config.population_size, config.resample_probability, self.streams
        )
        if config.explore == "none":
            return super().make_explore()
        return explore_by(self.evolution_step.propose, config, self.streams)


if __name__ == "__main__":
    from evorl.cli import script

    script(PBTES.name)
