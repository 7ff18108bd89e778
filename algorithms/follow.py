"""Follow: fresh agents that learn under a schedule of hyperparameters which an earlier run has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from evorl import learners
from evorl.evaluation import Report
from evorl.hyperparameters import Schedule, ScheduleFile, traits_of
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population

_SMALL = NetworkConfig(hidden_sizes=(64, 64))
_QUICK = TD3Config(critic=_SMALL, batch_size=128)


@dataclass(frozen=True, kw_only=True)
class Config(learners.Config):
    """Settings of learners on a schedule; without one they are those of the learner alone."""

    schedule: ScheduleFile = field(default_factory=Schedule)
    """A schedule.json: what hyperparameters are from which step of a member on; the last go on beyond its end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.schedule.require_fits(self.interval)


class Follow(learners.Learners[Config]):
    """Every member acts and learns by itself, all under the hyperparameters that a schedule has at their step."""

    name = "follow"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {},
        "quick": {"network": _SMALL, "learner": _QUICK, "warmup_steps": 500},
    }

    def build(self) -> None:
        """Make the learner, which must read what the schedule names."""
        super().build()
        self.config.schedule.require_tunable(self.training.tunable)

    def initialise(self) -> Population:
        """Fresh members under the first piece of the schedule."""
        return self._scheduled(super().initialise())

    def vary(self, parents: Population) -> Population:
        """All go on under what the schedule has from here on."""
        return self._scheduled(parents)

    def _scheduled(self, members: Population) -> Population:
        values = self.config.schedule.at(self.generation * self.config.interval)
        columns = {name: torch.full((len(members),), value, dtype=torch.float64) for name, value in values.items()}
        return members.with_traits(**traits_of(columns))

    def report(self, evaluated: Population) -> Report:
        """Return the hyperparameters of this generation."""
        values = self.config.schedule.at((self.generation - 1) * self.config.interval)
        return {f"{self.name}/{name}": value for name, value in values.items()}


if __name__ == "__main__":
    from evorl.cli import script

    script(Follow.name)
