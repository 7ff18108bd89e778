"""Grid search: members learn apart, under every combination of a few values of each hyperparameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

from evorl import tuned
from evorl.errors import ConfigError, require_at_least
from evorl.hyperparameters import SpaceForms, axes, grid, traits_of
from evorl.population import Population

_RATES = {"actor_learning_rate": "log:3e-5:3e-3", "critic_learning_rate": "log:3e-5:3e-3"}


@dataclass(frozen=True, kw_only=True)
class Config(tuned.Config):
    """Settings of grid search; the default grid is of the two learning rates of a learner from a replay."""

    population_size: int = 9
    """Members, as many as the grid has points; their steps add up."""
    interval: int = 5_000
    """Steps of a member in a generation."""
    space: SpaceForms = field(default_factory=lambda: dict(_RATES))
    """What the grid spans; if empty, the hyperparameters usual for the learner."""
    points: int = 3
    """Values of each number, evenly spaced on its scale, bounds included; of a list every value is taken."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        require_at_least("points", self.points, 1)
        counts = axes(self.hyperparameters, self.points)
        shape = " x ".join(f"{len(values)} of {name}" for name, values in counts.items())
        size, got = prod(len(values) for values in counts.values()), self.population_size
        if got != size:
            raise ConfigError(f"population_size must be {size}, one for each point of the grid ({shape}), got {got}")


class GridSearch(tuned.TunedLearners[Config]):
    """Every member acts and learns at its point of the grid to the end; the best by fitness is the answer."""

    name = "grid-search"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **tuned.TunedLearners.presets,
        "common": tuned.common(9),
        "quick": {**tuned.QUICK, "points": 2, "population_size": 4},
    }

    def initialise(self) -> Population:
        """Fresh members, one at each point of the grid."""
        return super().initialise().with_traits(**traits_of(grid(self.space, self.config.points)))


if __name__ == "__main__":
    from evorl.cli import script

    script(GridSearch.name)
