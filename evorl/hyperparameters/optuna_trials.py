"""Optuna's samplers and its pruner on trials that are kept here: a study is rebuilt for each question, from a seed.

So nothing hidden is kept between two questions. Optuna is an extra; it prints nothing, and writes nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from evorl.hyperparameters.kinds import Categorical, Kind, Ordinal
from evorl.hyperparameters.spaces import Space

if TYPE_CHECKING:
    import optuna

Sampler = Literal["tpe", "gp"]
#: A trial's number, the generations it has had, and its fitness then.
Rung = tuple[int, int, float]


def propose(space: Space, places: Tensor, fitness: Tensor, n: int, sampler: Sampler, seed: int) -> Tensor:
    """Return n points (n, k) of the unit cube at which to try next, those before them in the batch being under way.

    Args:
        space: of k hyperparameters; categories are told as such, everything else by its place in the unit interval.
        places: (m, k) of the trials so far.
        fitness: (m,); what is not finite counts as the lowest that is.
        n: how many.
        sampler: the tree-structured Parzen estimator, multivariate, or the Gaussian process.
        seed: of the sampler.
    """
    import optuna

    known = fitness[fitness.isfinite()]
    worst = known.min().item() if len(known) else 0.0
    values = torch.where(fitness.isfinite(), fitness, worst).tolist()
    samplers = optuna.samplers
    with _quiet():
        made: Any = (
            samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True, constant_liar=True)
            if sampler == "tpe"
            else samplers.GPSampler(seed=seed, n_startup_trials=1)
        )
        study = optuna.create_study(direction="maximize", sampler=made)
        distributions = {name: _distribution(kind) for name, kind in space.items()}
        for point, value in zip(places.tolist(), values, strict=True):
            params = {name: _told(kind, place) for (name, kind), place in zip(space.items(), point, strict=True)}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
        asked = [study.ask(distributions).params for _ in range(n)]
    return torch.tensor(
        [[_place(kind, params[name]) for name, kind in space.items()] for params in asked], dtype=torch.float64
    )


def stopped(rungs: Sequence[Rung], first: int, factor: int) -> list[bool]:
    """Return for each report at a rung, in their order, whether successive halving stopped the trial there.

    Args:
        rungs: of all trials so far, at the generations `first`, `first * factor`, and so on.
        first: generations before a trial is judged for the first time.
        factor: of the trials that have come to a rung, the best one in `factor` goes on.
    """
    import optuna

    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=factor)
    trials: dict[int, Any] = {}
    decisions = []
    with _quiet():
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner)
        for number, generations, fitness in rungs:
            if number not in trials:
                trials[number] = study.ask()
            trials[number].report(fitness, generations)
            decisions.append(bool(trials[number].should_prune()))
    return decisions


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Optuna say nothing, and restore how it speaks."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _is_category(kind: Kind) -> bool:
    return isinstance(kind, Categorical) and not isinstance(kind, Ordinal)


def _distribution(kind: Kind) -> optuna.distributions.BaseDistribution:
    import optuna

    if isinstance(kind, Categorical) and _is_category(kind):
        return optuna.distributions.CategoricalDistribution(range(len(kind.values)))
    return optuna.distributions.FloatDistribution(0.0, 1.0)


def _told(kind: Kind, place: float) -> float:
    """Return what Optuna knows a place in the unit interval as: the number of a category, or itself."""
    return int(place * len(kind.values)) if isinstance(kind, Categorical) and _is_category(kind) else place


def _place(kind: Kind, told: float) -> float:
    return (told + 0.5) / len(kind.values) if isinstance(kind, Categorical) and _is_category(kind) else told
