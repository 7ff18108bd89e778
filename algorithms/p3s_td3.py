"""P3S-TD3 (Jung, Park & Sung 2020): learners with one replay, of which the others are pulled towards the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch

from evorl import learners
from evorl.evaluation import Report
from evorl.learning import Guidance, GuidanceConfig, OffPolicy, TD3Config, mean_distances, new_distances
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.selection import NOBODY, adapt_beta, best_first, mean_of_others

_WIDE, _SMALL = NetworkConfig(hidden_sizes=(400, 300)), NetworkConfig(hidden_sizes=(64, 64))
_PAPER = TD3Config(critic=_WIDE, batch_size=100, actor_learning_rate=1e-3, critic_learning_rate=1e-3)
_QUICK = TD3Config(critic=_SMALL, batch_size=128, actor_learning_rate=1e-3, critic_learning_rate=1e-3)


@dataclass(frozen=True, kw_only=True)
class Config(GuidanceConfig, learners.Config):
    """Settings of P3S-TD3; the defaults are those of the authors' code on HalfCheetah."""

    population_size: int = 4
    """Learners, each with its own environment; their replay is one."""
    network: NetworkConfig = field(default_factory=lambda: _WIDE)
    """The policy."""
    learner: TD3Config = field(default_factory=lambda: _PAPER)
    """The updates."""
    interval: int = 250
    """Steps of a learner in a period, M; at its end the best is chosen."""
    updates_per_step: int = 4
    """Updates of a learner for each of its steps: in the authors' code as many as learners, in the paper 1."""
    warmup_steps: int = 2_500
    """Random steps of a learner before it acts and learns."""
    exchange: Literal["pull", "copy"] = "pull"
    """Whether others are pulled towards the best, or those with lower returns become copies of it after a period."""
    identical_start: bool = True
    """Whether all learners begin as copies of the first."""


class P3STD3(learners.Learners[Config]):
    """Every learner but the best also minimises beta times its distance to the best one's policy of a period ago."""

    name = "p3s-td3"
    state = (*learners.Learners.state, "beta", "best", "reference", "spread", "change")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "hopper": {"warmup_steps": 250},
        "walker2d": {"warmup_steps": 250, "minimum_distance": 0.02},
        "ant": {"minimum_distance": 0.02},
        "shared-replay": {"beta": 0.0},
        "re-td3": {"beta": 0.0, "exchange": "copy", "interval": 2_500},
        "common": {"network": NetworkConfig(), "learner": TD3Config(), "updates_per_step": 1},
        "quick": {"network": _SMALL, "learner": _QUICK, "updates_per_step": 1, "warmup_steps": 250},
    }

    def build(self) -> None:
        """Make the learner, an environment in mid-episode for each member, and one replay."""
        self.training: OffPolicy = self.from_replay(self.config.learner, rings=1)
        self.beta, self.best, self.spread, self.change = self.config.beta, NOBODY, torch.nan, torch.nan

    def initialise(self) -> Population:
        """Fresh learners, or as many with the networks of the first; nobody is pulled yet."""
        fresh = super().initialise()
        if self.config.identical_start:
            first = fresh[[0] * len(fresh)]
            fresh = fresh.with_params(first.params).with_traits(**first.traits)
        self.reference = fresh.params[:1]
        return fresh.with_traits(pull=fresh.params.new_zeros(len(fresh)), **new_distances(fresh.params))

    def learn(self, candidates: Population) -> Population:
        """Every learner acts and updates for a period, the others pulled towards the reference."""
        pull = Guidance(self.policy.network, self.reference, self.config.distance, self.config.distance_at == "running")
        begun = candidates.with_traits(**new_distances(candidates.params))
        learned = self.training.act_and_learn(begun, self.config.interval, self.generation, pull)
        if not pull.records and learned.traits["updates"].all():
            rows = self.streams.rows("distance", range(len(learned)))
            batch = self.training.replay.sample(rows, self.config.learner.batch_size)
            replace(pull, records=True)(learned.params, learned.traits, batch.observations)
        return learned

    def evaluate(self, candidates: Population) -> Population:
        """Take the mean of the latest training returns; no step is spent."""
        return candidates.with_fitness(candidates.traits["recent_returns"].nanmean(dim=1))

    def select(self, evaluated: Population) -> Population:
        """Adapt beta, then choose the best among those with a finished episode, then its policy as the reference."""
        config, before, unknown = self.config, self.best, evaluated.fitness.isnan().all()
        self.best = before if unknown else int(best_first(evaluated.fitness)[0])
        if before != NOBODY:
            left_out = before if config.order == "paper" else self.best
            self.spread, self.change = (mean_of_others(means, left_out) for means in mean_distances(evaluated.traits))
            least = config.minimum_distance * (self.task.action_size if config.distance == "sum" else 1)
            self.beta = adapt_beta(self.beta, self.spread, self.change, config.rho, least)
        if self.best == NOBODY:
            return evaluated
        self.reference = evaluated.params[[self.best]]
        worse = (~(evaluated.fitness >= evaluated.fitness[self.best])).nonzero().flatten().tolist()
        if config.exchange == "copy" and worse:  # copies without a return of their own since are as good as the best
            evaluated = evaluated.put(worse, evaluated.descend([self.best] * len(worse), "copy"))
        pull = torch.tensor([self.beta * (row != self.best) for row in range(len(evaluated))])
        return evaluated.with_traits(pull=pull.to(evaluated.params))

    def answer(self) -> Population:
        """The best learner; the first one as long as no episode is finished."""
        return self.population[[max(self.best, 0)]]

    def report(self, evaluated: Population) -> Report:
        """Return the next beta, and the distances that it is from: to the reference, to where the period began."""
        return {"p3s_td3/beta": self.beta, "p3s_td3/spread": self.spread, "p3s_td3/change": self.change}


if __name__ == "__main__":
    from evorl.cli import script

    script(P3STD3.name)
