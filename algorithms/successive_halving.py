"""Successive halving, asynchronous (Li et al. 2020): poor trials are stopped early, and new draws take their slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from evorl import trials, tuned
from evorl.errors import require_at_least, require_installed
from evorl.hyperparameters import Rung, stopped
from evorl.learning import A2CConfig
from evorl.population import Population
from evorl.task import Task


@dataclass(frozen=True, kw_only=True)
class Config(trials.Config):
    """Settings of successive halving; its rungs are at first_rung * reduction_factor^k generations of a trial."""

    first_rung: int = 2
    """Generations of a trial before it can be stopped."""
    reduction_factor: int = 3
    """Of the trials that come to a rung, the best one in so many goes on."""
    rungs: int = 3
    """Rungs at which a trial can be stopped; at the next one it ends."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        require_at_least("first_rung", self.first_rung, 1)
        require_at_least("reduction_factor", self.reduction_factor, 2)
        require_at_least("rungs", self.rungs, 1)


class SuccessiveHalving(trials.Trials[Config]):
    """What a stopped trial would have cost goes to new ones, until the budget is spent."""

    name = "successive-halving"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = tuned.TunedLearners.presets
    state = (*trials.Trials.state, "reports")

    def build(self) -> None:
        """No trial has come to a rung yet."""
        super().build()
        require_installed(self.name, "optuna", "optuna", "tune")
        self.require_returns(self.config.first_rung * self.config.interval, "first_rung * interval")
        self.reports: list[Rung] = []

    def learn(self, candidates: Population) -> Population:
        """New members warm up; then every member acts and learns for an interval."""
        new = (candidates.traits["age"] == 0).nonzero()[:, 0].tolist()
        return super().learn(self.training.warm_up(candidates, new, self.generation) if new else candidates)

    def select(self, evaluated: Population) -> Population:
        """Judge who has come to a rung; new draws begin in the slots of who is stopped or has come to the end."""
        config, ages = self.config, evaluated.traits["age"].tolist()
        levels = [config.first_rung * config.reduction_factor**level for level in range(config.rungs + 1)]
        judged = [row for row, age in enumerate(ages) if age in levels[:-1]]
        ids, fitness = evaluated.id.tolist(), evaluated.fitness.tolist()
        self.reports = [*self.reports, *((ids[row], ages[row], fitness[row]) for row in judged)]
        verdicts = stopped(self.reports, config.first_rung, config.reduction_factor)[-len(judged) :] if judged else []
        lost = {row for row, verdict in zip(judged, verdicts, strict=True) if verdict}
        rows = [row for row, age in enumerate(ages) if row in lost or age == levels[-1]]
        if not rows:
            return evaluated
        self.end(evaluated, rows)
        return self.begin(evaluated, rows, self.space.sample(self.streams.rows("prior", rows)))

    @classmethod
    def first_steps(cls, config: Config, task: Task) -> int:
        """Every member warms up, takes an interval of steps, and plays its fresh episodes."""
        warm_up = 0 if isinstance(config.learner, A2CConfig) else config.warmup_steps
        return super().first_steps(config, task) + config.population_size * warm_up


if __name__ == "__main__":
    from evorl.cli import script

    script(SuccessiveHalving.name)
