"""GA: the genetic algorithm of ERL without its agent, the control of ERL (Khadka & Tumer 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from evorl import template
from evorl.errors import require_at_least
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.selection import best_of, elites_and_offspring
from evorl.task import Task
from evorl.template import EvoRL
from evorl.variation import GeneticConfig, breed, genetic_toolbox

ACTOR = NetworkConfig(hidden_sizes=(128, 128), activation="tanh", layer_norm="unbiased")
_TUNED = ("elite_fraction", "episodes_per_member")
# Of the paper and its code; all other settings are the same for all tasks.
TASKS: Mapping[str, Mapping[str, Any]] = {
    task: dict(zip(_TUNED, values, strict=True))
    for task, values in {
        "halfcheetah": (0.1, 1),
        "swimmer": (0.1, 1),
        "reacher": (0.2, 5),
        "ant": (0.3, 1),
        "hopper": (0.3, 5),
        "walker2d": (0.2, 3),
    }.items()
}


@dataclass(frozen=True, kw_only=True)
class Config(GeneticConfig, template.Config):
    """Settings of GA; the defaults are those of ERL's 2018 code on HalfCheetah."""

    network: NetworkConfig = field(default_factory=lambda: ACTOR)
    """The members' policy."""
    episodes_per_member: int = 1
    """Episodes in a fitness."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("population_size", self.population_size, 2)
        require_at_least("episodes_per_member", self.episodes_per_member, 1)


ConfigT = TypeVar("ConfigT", bound=Config)


class GA(EvoRL[ConfigT]):
    """Evaluate actors, keep the elites, draw offspring by tournament, cross and mutate."""

    name = "ga"
    state = (*EvoRL.state, "champion")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {"network": NetworkConfig()},
        "quick": {"network": NetworkConfig(hidden_sizes=(32, 32))},
        **TASKS,
    }

    def build(self) -> None:
        """Register `select`, `mate`, `mutate`, `clone`; a subclass may register others behind it."""
        self.elites = self.config.elites(self.config.population_size)
        self.toolbox = genetic_toolbox(self.config, self.policy.network.layout, self.streams.generator("operators"))

    def initialise(self) -> Population:
        """Generation 0 is evaluated and selected as any other."""
        fresh = self.fresh(range(self.config.population_size))
        return self.select(self.play_fitness(fresh, self.config.episodes_per_member, starts="initial"))

    def vary(self, parents: Population) -> Population:
        """Cross elites with offspring, mutate all that is unprotected."""
        return breed(parents, self.config.mutation_probability, self.toolbox, self.streams)

    def evaluate(self, candidates: Population) -> Population:
        """Play whole episodes without noise; where there is a replay, every step is stored."""
        return self.play_fitness(candidates, self.config.episodes_per_member)

    def select(self, evaluated: Population) -> Population:
        """Elites first, copied and protected; a tournament; the slot of the worst last."""
        self.champion = best_of(evaluated)
        return elites_and_offspring(evaluated, self.elites, self.toolbox, self.streams)

    def answer(self) -> Population:
        """The champion of the last evaluated generation."""
        return self.champion

    @classmethod
    def first_steps(cls, config: ConfigT, task: Task) -> int | None:
        """The episodes of all members, once to begin with and once more."""
        whole = super().first_steps(config, task)
        return None if whole is None else 2 * whole * config.episodes_per_member


if __name__ == "__main__":
    from evorl.cli import script

    script(GA.name)
