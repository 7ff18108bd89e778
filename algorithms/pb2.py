"""PB2 (Parker-Holder et al. 2020): PBT with few members, which explores where a Gaussian process expects the most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from torch import Tensor

from evorl import tuned
from evorl.algorithms import pbt
from evorl.errors import ConfigError, require_installed
from evorl.evaluation import Report
from evorl.hyperparameters import Categorical, Values
from evorl.population import Population
from evorl.task import Task
from evorl.variation import BayesianExplore, Categories, Explore, explore_by

GAUSSIAN_PROCESS = "gaussian_process"


@dataclass(frozen=True, kw_only=True)
class Config(pbt.Config):
    """Settings of PB2; fractions and population are those of the authors' experiments."""

    population_size: int = 4
    """Members, each with its own environment; their steps add up."""
    explore: str = GAUSSIAN_PROCESS
    """How h changes in who was just copied: `gaussian_process`; or one of PBT's: `perturb`, `resample`, `both`, or a
    mutation of DEAP's conventions."""
    fitness: Literal["auto", "training", "fresh"] = "fresh"
    """Whether fitness is of returns in training or of fresh episodes, which are comparable from interval to interval;
    auto: fresh if the space changes exploration."""
    initial_evaluation: bool = True
    """Whether members play their fresh episodes once before they learn, so that the first interval counts."""
    bottom_fraction: float = 0.25
    """Share of the members, those with the lowest fitness, that copy; 0 for none."""
    donor_fraction: float = 0.25
    """Share of the members, those with the highest fitness, that are copied."""
    burn_in: int = 15_000
    """Progress of a member, random steps included, before it copies at all; the first interval of learning is over."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        if self.perturb_weights:
            raise ConfigError(f"perturb_weights must be 0, as an improvement is of h alone, got {self.perturb_weights}")
        share = self.total_timesteps // self.population_size
        if self.interval > share:
            raise ConfigError(f"interval must be at most {share}, a member's share of the budget, got {self.interval}")


ConfigT = TypeVar("ConfigT", bound=Config)


class PB2(pbt.PBT[ConfigT]):
    """PBT whose explore is a bandit over h: the largest upper bound of how much the return will improve."""

    name = "pb2"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **{name: preset for name, preset in pbt.PBT.presets.items() if name != "paper-factors"},
        "common": tuned.common(4),
        "heuristic": {"explore": "perturb"},
    }
    state = (*pbt.PBT.state, "bayesian")
    #: What becomes of categorical hyperparameters.
    categories: ClassVar[Categories] = "none"

    def make_explore(self) -> Explore:
        """Return what proposes h for who copied."""
        config = self.config
        episodes = config.fresh_episodes * (self.task.time_limit or 0)
        rounds = -(-config.total_timesteps // (config.population_size * (config.interval + episodes)))
        self.bayesian = BayesianExplore(self.space, self.categories, config.interval, rounds, self.streams)
        if config.explore != GAUSSIAN_PROCESS:
            return super().make_explore()
        require_installed(self.name, "sklearn", "scikit-learn", "pb2")
        for name, kind in self.space.items():
            if type(kind) is Categorical and self.categories == "none":
                raise ConfigError(f"space of {name} must be of numbers, or use pb2-mix, got {kind}")
        return explore_by(self.propose, config, self.streams)

    def propose(self, parents: Population, rows: Sequence[int]) -> Values:
        """Return h (m,) of the largest upper confidence bound for `rows`."""
        return self.bayesian.propose(parents, rows, self.generation)

    def initialise(self) -> Population:
        """Fresh members with hyperparameters from the prior, evaluated; `return_before` is that of the weights."""
        members = super().initialise()
        members = self.evaluate_under(members, "initial") if self.config.initial_evaluation else members
        return members.with_traits(return_before=members.fitness)

    def select(self, evaluated: Population) -> Population:
        """Remember what the interval improved, unless nobody learned in it; then exploit."""
        steps = (self.generation + 1) * self.config.interval
        if self.has_learned(steps):
            self.bayesian.observe(evaluated, self.generation)
        return super().select(evaluated.with_traits(return_before=evaluated.fitness))

    def report(self, evaluated: Population) -> Report:
        """Return also the last fit and proposal, what the interval improved, and how often a fit failed."""
        return super().report(evaluated) | {
            f"{self.tag}/{name}": value for name, value in self.bayesian.report().items()
        }

    def slices(self) -> Sequence[tuple[int, Tensor]]:
        """Return the acquisition along every h, for each round with a proposal."""
        return self.bayesian.slices

    @classmethod
    def first_steps(cls, config: ConfigT, task: Task) -> int:
        """The first generation's, and the fresh episodes before it."""
        episodes = config.population_size * config.fresh_episodes * config.initial_evaluation
        return super().first_steps(config, task) + episodes * (task.time_limit or 0)


if __name__ == "__main__":
    from evorl.cli import script

    script(PB2.name)
