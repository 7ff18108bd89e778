"""Trials: members that end and leave their slot to others; what searches that try one after another start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from evorl import tuned
from evorl.evaluation import Report
from evorl.hyperparameters import Values, traits_of
from evorl.population import Population
from evorl.selection import best_first, best_of


@dataclass(frozen=True, kw_only=True)
class Config(tuned.Config):
    """Settings of trials."""

    interval: int = 5_000
    """Steps of a member in a generation, at whose end its trial may end."""


ConfigT = TypeVar("ConfigT", bound=Config)


class Trials(tuned.TunedLearners[ConfigT]):
    """A member is a trial of hyperparameters that stay; when it ends, a new one begins anew in its slot."""

    state = (*tuned.TunedLearners.state, "incumbent", "begun")

    def build(self) -> None:
        """There is no incumbent yet."""
        super().build()
        self.incumbent: Population | None = None
        self.begun = 0

    def initialise(self) -> Population:
        """Fresh members with hyperparameters from the prior; `age` is in generations."""
        members = super().initialise()
        self.begun = len(members)
        return members.with_traits(age=torch.zeros(len(members), dtype=torch.int64))

    def learn(self, candidates: Population) -> Population:
        """Every member acts and learns for an interval, and is a generation older."""
        return super().learn(candidates).with_traits(age=candidates.traits["age"] + 1)

    def end(self, evaluated: Population, rows: Sequence[int]) -> None:
        """Keep the best of the members of `rows`, whose trials end, if it is better than the incumbent."""
        best = best_of(evaluated[rows])
        if self.incumbent is None or _is_better(best, self.incumbent):
            self.incumbent = best

    def begin(self, evaluated: Population, rows: Sequence[int], values: Values) -> Population:
        """Return the population with new members in the slots `rows`, under the hyperparameters `values` (m,)."""
        self.training.renew(rows)
        self.begun += len(rows)
        replaced = evaluated[rows].traits
        unknown, age = torch.full_like(replaced["fitness_returns"], torch.nan), torch.zeros_like(replaced["age"])
        traits = {**traits_of(values), "fitness_returns": unknown, "age": age}
        return evaluated.put(rows, self.with_learners(self.fresh(rows), rows).with_traits(**traits))

    def answer(self) -> Population:
        """The best by fitness of the trials that have ended and of those that are under way."""
        running = super().answer()
        return running if self.incumbent is None or _is_better(running, self.incumbent) else self.incumbent

    def report(self, evaluated: Population) -> Report:
        """Return all hyperparameters and their spread, and how many trials have begun."""
        return {**super().report(evaluated), f"{self.tag}/trials": float(self.begun)}


def _is_better(one: Population, other: Population) -> bool:
    """Whether the fitness of one row is above that of another, NaN being below all."""
    return int(best_first(torch.cat([other.fitness, one.fitness]))[0]) == 1
