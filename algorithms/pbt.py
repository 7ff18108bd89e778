"""PBT (Jaderberg et al. 2017): members learn under hyperparameters of their own, copy better members, and explore."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from deap import base
from torch import Tensor

from evorl import tuned
from evorl.errors import ConfigError
from evorl.evaluation import Report, describe_lineage
from evorl.learning import DDPGConfig, OnCopy
from evorl.population import Population
from evorl.selection import Exploit, ExploitConfig, best_of, copy_and_mark, make_exploit, never_copied, ready
from evorl.variation import Explore, ExploreConfig, make_explore


@dataclass(frozen=True, kw_only=True)
class Config(ExploitConfig, ExploreConfig, tuned.Config):
    """Settings of PBT; below 20 members the paper finds results unreliable."""

    interval: int = 10_000
    """Steps of a member in a generation, after which it may copy another."""
    replay_on_copy: OnCopy = "keep"
    """What becomes of the replay of who copies: kept, its donor's copied, cleared; or there is one for all."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        self.check_members(self.population_size, self.window)
        if self.replay_on_copy == "clear" and isinstance(self.learner, DDPGConfig):
            raise ConfigError("replay_on_copy must not be clear with ddpg, whose minibatches hold no transition twice")


ConfigT = TypeVar("ConfigT", bound=Config)


class PBT(tuned.TunedLearners[ConfigT]):
    """Every member acts and learns; then the worst copy the best, and change the hyperparameters that they copied.

    Members learn and are evaluated as any that drew their hyperparameters; new is how they are selected and vary. Where
    `describe` says that there is no environment, a subclass brings its own `learn`, `evaluate` and `fresh`.
    """

    name = "pbt"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **tuned.TunedLearners.presets,
        "no-copying": {"bottom_fraction": 0.0},
        "frozen": {"explore": "none"},
        "paper-factors": {"perturb_factors": (0.8, 1.2)},
        "quick": {**tuned.QUICK, "burn_in": 2_000},
    }
    state = (*tuned.TunedLearners.state, "champion")

    def build(self) -> None:
        """Register `exploit` and `explore`; they may be registered anew before the first generation."""
        super().build()
        self.require_returns(self.config.interval, "interval")
        self.champion: Population | None = None
        self.toolbox = base.Toolbox()
        self.toolbox.register("exploit", self.make_exploit())
        self.toolbox.register("explore", self.make_explore())

    def make_exploit(self) -> Exploit:
        """Return who copies whom; a subclass that plans it otherwise returns its own."""
        return make_exploit(self.config, self.streams)

    def make_explore(self) -> Explore:
        """Return how new hyperparameters come about; a subclass that proposes them otherwise returns its own."""
        return make_explore(self.config, self.space, self.streams)

    @property
    def rings(self) -> int:
        """Replays: one for each member, or one for all."""
        return 1 if self.config.replay_on_copy == "shared" else super().rings

    def initialise(self) -> Population:
        """Fresh members with hyperparameters from the prior; `root` is the one that a member's weights descend from."""
        members = super().initialise()
        return members.with_traits(**never_copied(members, self.config), root=members.id.clone())

    def vary(self, parents: Population) -> Population:
        """Who just copied explores."""
        rows = parents.traits["copied"].nonzero()[:, 0].tolist()
        explored: Population = self.toolbox.explore(parents, rows) if rows else parents
        return explored

    def select(self, evaluated: Population) -> Population:
        """Who is ready and poor copies who is good; the best of before is the answer."""
        self.champion = best_of(evaluated)
        steps = (self.generation + 1) * self.config.interval
        may_copy = ready(evaluated, steps, self.config) & self.has_learned(steps)
        return self.follow(evaluated, self.toolbox.exploit(evaluated, may_copy), steps)

    def follow(self, evaluated: Population, plan: Tensor, steps: int) -> Population:
        """Return the members after the copying of a plan (n,), the copies marked, and let their slots go along."""
        self.training.follow(plan, self.config.replay_on_copy)
        return copy_and_mark(evaluated, plan, steps, self.config)

    def answer(self) -> Population:
        """The best by fitness before the last copying."""
        return self.population[[0]] if self.champion is None else self.champion

    def report(self, evaluated: Population) -> Report:
        """Return all hyperparameters and their spread, how many copied, and how many roots have descendants left."""
        return {**super().report(evaluated), **describe_lineage(evaluated, self.population)}


if __name__ == "__main__":
    from evorl.cli import script

    script(PBT.name)
