"""Bayesian search: trials of fixed hyperparameters, some at a time, that Optuna proposes from how the others ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from evorl import trials, tuned
from evorl.errors import ConfigError, require_at_least, require_installed
from evorl.hyperparameters import Sampler, Values, propose
from evorl.population import Population


@dataclass(frozen=True, kw_only=True)
class Config(trials.Config):
    """Settings of Bayesian search."""

    population_size: int = 4
    """Trials at a time; their steps add up."""
    trials: int = 16
    """Trials in all, of equal length; what remains of the budget goes to the last batch."""
    sampler: Sampler = "tpe"
    """Optuna's tree-structured Parzen estimator or its Gaussian process."""
    startup_trials: int = 10
    """Trials before the sampler proposes, to the end of a batch; they are drawn from the priors, as PBT's first are."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        require_at_least("trials", self.trials, 1)
        require_at_least("startup_trials", self.startup_trials, 1)
        if self.trials % self.population_size:
            n, got = self.population_size, self.trials
            raise ConfigError(f"trials must be a multiple of population_size = {n}, which run at a time, got {got}")


class BayesianSearch(trials.Trials[Config]):
    """A batch of trials at a time, each a fresh member; at its end the results are told and the next is proposed."""

    name = "bayesian-search"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **tuned.TunedLearners.presets,
        "common": tuned.common(4),
        "quick": {**tuned.QUICK, "trials": 8, "startup_trials": 4},
    }
    state = (*trials.Trials.state, "told")

    def build(self) -> None:
        """No trial has ended yet."""
        if self.task.has_environment and self.task.time_limit is None:
            raise ConfigError(
                f"{self.name} needs a time limit to divide its budget; --env-kwargs max_episode_steps=N sets one"
            )
        super().build()
        config, share = self.config, self.config.total_timesteps // self.config.trials
        cost = config.interval + config.fresh_episodes * (self.task.time_limit or 0)
        self.length = share // cost
        steps = self.length * config.interval
        if self.length:
            self.require_returns(steps, "total_timesteps / trials, in whole intervals,")
        if not self.length or not self.has_learned(steps):
            needed = f"interval = {config.interval} with its fresh episodes, and its returns beyond the warm-up"
            raise ConfigError(f"total_timesteps / trials must leave a trial at least one {needed}, got {share}")
        require_installed(self.name, "optuna", "optuna", "tune")
        self.told = {"places": torch.zeros(0, len(self.space)).double(), "fitness": torch.zeros(0).double()}

    def select(self, evaluated: Population) -> Population:
        """When the trials of the batch have their length, tell their results and begin the next."""
        n, ended, total = len(evaluated), len(self.told["fitness"]), self.config.trials
        if ended == total or int(evaluated.traits["age"][0]) < self.length:
            return evaluated
        self.end(evaluated, range(n))
        places = self.space.to_unit(self.space.values_of(evaluated.traits))
        news = {"places": places, "fitness": evaluated.fitness}
        self.told = {name: torch.cat([self.told[name], new]) for name, new in news.items()}
        following = ended + n
        if following == total:  # what is left of the budget is no trial's, and trains others
            return evaluated.descend(range(n), "continued")
        return self.begin(evaluated, range(n), self.proposals(following, n))

    def proposals(self, ended: int, n: int) -> Values:
        """Return the hyperparameters (n,) of the next trials, `ended` trials having ended."""
        rows = range(ended, ended + n)
        drawn = self.space.to_unit(self.space.sample(self.streams.rows("prior", rows)))
        if ended >= self.config.startup_trials:
            seed = self.streams.episode_seed("propose", ended)
            drawn = propose(self.space, self.told["places"], self.told["fitness"], n, self.config.sampler, seed)
        return self.space.from_unit(drawn)


if __name__ == "__main__":
    from evorl.cli import script

    script(BayesianSearch.name)
