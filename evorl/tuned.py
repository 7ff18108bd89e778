"""Learners that differ in hyperparameters: what PBT and the searches of hyperparameters start from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar, final

import torch
from torch import Tensor

from evorl import learners
from evorl.errors import ConfigError, require_at_least
from evorl.evaluation import Report
from evorl.hyperparameters import Space, SpaceForms, space_for, traits_of
from evorl.learning import WINDOW, A2CConfig, TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.selection import best_of
from evorl.task import Task

_SMALL = NetworkConfig(hidden_sizes=(64, 64))
#: Settings of a first try in a minute.
QUICK: Mapping[str, Any] = {
    "network": _SMALL,
    "learner": TD3Config(critic=_SMALL, batch_size=128),
    "interval": 1_000,
    "window": 5,
    "warmup_steps": 500,
}


def common(members: int) -> Mapping[str, Any]:
    """Return the settings that algorithms share: 10,000 random steps of all members, TD3 of 256-256."""
    return {"warmup_steps": -(-10_000 // members)}


@dataclass(frozen=True, kw_only=True)
class Config(learners.Config):
    """Settings of members that learn under hyperparameters of their own."""

    population_size: int = 10
    """Members, each with its own environment; their steps add up."""
    space: SpaceForms = field(default_factory=dict)
    """What hyperparameters are drawn from, such as tau=log:1e-3:1e-1; if empty, those usual for the learner."""
    fitness: Literal["auto", "training", "fresh"] = "auto"
    """Whether fitness is of returns in training or of fresh episodes; auto: fresh if the space changes exploration."""
    window: int = 10
    """Latest returns in training (10 are kept), or fresh episodes, that fitness is the mean of."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("window", self.window, 1)
        if self.window > WINDOW and not self.fresh_episodes:
            kept = f"the returns in training that are kept, got {self.window}"
            raise ConfigError(f"window must be at most {WINDOW}, {kept}; or take fitness fresh")

    @property
    def hyperparameters(self) -> Space:
        """What hyperparameters are drawn from."""
        return space_for(type(self.learner).__name__.removesuffix("Config").lower(), self.space)

    @property
    def fresh_episodes(self) -> int:
        """Episodes that a member plays for its fitness."""
        fresh = self.fitness == "fresh" or (self.fitness == "auto" and self.hyperparameters.changes_exploration)
        return self.window if fresh else 0


ConfigT = TypeVar("ConfigT", bound=Config)


class TunedLearners(learners.Learners[ConfigT]):
    """Each member acts and learns under hyperparameters that it drew from their priors."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": common(10),
        "quick": QUICK,
    }

    def build(self) -> None:
        """Make the learner and the space."""
        super().build()
        self.starts = "fitness"  # names of the streams of the starts of fresh episodes begin with it
        self.space = self.config.hyperparameters
        if self.task.has_environment:  # else an algorithm's own `learn` is free to read what it likes
            self.space.require_tunable(self.training.tunable, vars(self.config) | vars(self.config.learner))
        share = self.config.total_timesteps // self.config.population_size
        self.require_returns(share, "total_timesteps / population_size")

    def has_learned(self, steps: int) -> bool:
        """Whether the fitness of a member that has taken `steps` steps is of what it learned, not of random actions."""
        if not self.task.has_environment or isinstance(self.config.learner, A2CConfig):
            return True
        random = self.config.warmup_steps
        if self.config.fresh_episodes:
            return steps > random
        limit = self.task.time_limit or 1
        return steps // limit - math.ceil(random / limit) >= self.config.window  # whole episodes, none partly random

    def require_returns(self, steps: int, setting: str) -> None:
        """Raise ConfigError if `steps` of a member, of which `setting` is the length, may be too few for its fitness.

        They are if fitness is of returns in training, and `window` episodes of the task's time limit take longer.
        """
        needed = self.config.window * (self.task.time_limit or 0)
        if not self.config.fresh_episodes and steps < needed:
            episodes = f"window = {self.config.window} episodes of {self.task.time_limit} steps"
            remedy = "or take a smaller window, or fitness fresh"
            raise ConfigError(f"{setting} must be at least {needed}, {episodes}, got {steps}; {remedy}")
        if self.task.has_environment and self.task.time_limit is None and not self.config.fresh_episodes:
            limits = "or --env-kwargs set max_episode_steps"
            raise ConfigError(
                f"fitness must be fresh where episodes may never end, {limits}, got {self.config.fitness}"
            )

    def initialise(self) -> Population:
        """Fresh members with hyperparameters of their own, the same for all algorithms that draw them."""
        members = super().initialise()
        return members.with_traits(**traits_of(self.space.sample(self.streams.rows("prior", range(len(members))))))

    def evaluate(self, candidates: Population) -> Population:
        """The mean of the latest returns in training, or of fresh episodes; the trait `fitness_returns` holds them."""
        returns = candidates.traits["recent_returns"][:, -self.config.window :]
        if self.config.fresh_episodes:
            names = [f"{self.starts} {episode}" for episode in range(self.config.fresh_episodes)]
            returns = torch.stack([self.play_fitness(candidates, starts=name).fitness for name in names], dim=1)
        return candidates.with_traits(fitness_returns=returns).with_fitness(returns.nanmean(dim=1))

    @final
    def evaluate_under(self, candidates: Population, starts: str) -> Population:
        """Return what `evaluate` does of all members, but from other starts than those of a generation's fitness."""
        self.starts, usual = starts, self.starts
        try:
            return self.evaluate(candidates)
        finally:
            self.starts = usual

    def answer(self) -> Population:
        """The best by fitness."""
        return best_of(self.population)

    def report(self, evaluated: Population) -> Report:
        """Return every member's hyperparameters and how far they spread."""
        return self.space.report(evaluated.traits, self.tag)

    def slices(self) -> Sequence[tuple[int, Tensor]]:
        """Return what a model expects along every hyperparameter, to be drawn; by default there is no model.

        A round, and (h, 4, places): values of h, and mean, deviation and upper bound of the improvement there.
        """
        return ()

    @classmethod
    def first_steps(cls, config: ConfigT, task: Task) -> int:
        """Every member takes an interval of steps, and plays its fresh episodes."""
        episodes = config.population_size * config.fresh_episodes
        return super().first_steps(config, task) + episodes * (task.time_limit or 0)
