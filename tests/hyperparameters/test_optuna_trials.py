"""Optuna on trials kept here: proposals are good, silent and repeatable; halving against its rule in words."""

import logging
import random
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from torch import Tensor

from evorl.hyperparameters import Categorical, Float, Int, Sampler, Space, propose, stopped

SPACE = Space({"x": Float(0, 1), "n": Int(1, 5), "kind": Categorical((7, 8, 9))})
BOTH = pytest.mark.parametrize("sampler", ["tpe", "gp"])


def trials(m: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return points of which the best have x near 0.7 and kind 8, and their values."""
    places = SPACE.to_unit(SPACE.from_unit(torch.from_numpy(np.random.default_rng(seed).random((m, 3)))))
    values = SPACE.from_unit(places)
    return places, -(values["x"] - 0.7).abs() - 1.0 * (values["kind"] != 8)


@BOTH
def test_proposals_are_better_than_draws_from_the_prior(sampler: Sampler) -> None:
    places, fitness = trials(30)
    values = SPACE.from_unit(propose(SPACE, places, fitness, 4, sampler, seed=1))
    assert (values["x"] - 0.7).abs().median() < 0.12, "a draw is 0.29 off on average"
    assert (values["kind"] == 8).double().mean() >= 0.5
    assert all(torch.equal(value, SPACE.clip(values)[name]) for name, value in values.items())


@BOTH
def test_a_batch_is_of_different_points_and_the_seed_decides_it(sampler: Sampler) -> None:
    places, fitness = trials(8)
    batch = propose(SPACE, places, fitness, 2, sampler, seed=1)
    assert batch.shape == (2, 3)
    assert batch.dtype == torch.float64
    assert batch[0, 0] != batch[1, 0]
    assert torch.equal(batch, propose(SPACE, places, fitness, 2, sampler, seed=1))
    assert not torch.equal(batch, propose(SPACE, places, fitness, 2, sampler, seed=2))


def test_proposals_are_those_of_a_study_that_was_asked_and_told_all_along() -> None:
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    distributions: dict[str, optuna.distributions.BaseDistribution]
    distributions = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in space}
    places = torch.from_numpy(np.random.default_rng(3).random((12, 2)))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=5, n_startup_trials=1, multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for x, y in places.tolist():
        study.enqueue_trial({"x": x, "y": y})
        study.tell(study.ask(distributions), -((x - 0.2) ** 2) - y)
    fitness = -((places[:, 0] - 0.2) ** 2) - places[:, 1]
    sampler.reseed_rng()
    sampler._rng.rng.seed(5)
    asked = study.ask(distributions).params
    assert propose(space, places, fitness, 1, "tpe", seed=5)[0].tolist() == [asked["x"], asked["y"]]
    optuna.logging.set_verbosity(optuna.logging.INFO)


@BOTH
def test_nothing_is_printed_or_written_and_no_global_state_is_touched(
    sampler: Sampler, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002
    verbosity, level = optuna.logging.get_verbosity(), logging.getLogger().level
    propose(SPACE, *trials(8), 2, sampler, seed=0)
    stopped([(0, 1, 1.0), (1, 1, 0.0)], 1, 2)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert before == (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist())  # noqa: NPY002
    assert (optuna.logging.get_verbosity(), logging.getLogger().level) == (verbosity, level)


@BOTH
def test_unknown_fitness_counts_as_the_lowest_known(sampler: Sampler) -> None:
    places, fitness = trials(6)
    lowest = fitness.argmin()
    unknown = fitness.index_fill(0, lowest, torch.nan)
    filled = fitness.index_fill(0, lowest, unknown[unknown.isfinite()].min().item())
    assert torch.equal(propose(SPACE, places, unknown, 1, sampler, 1), propose(SPACE, places, filled, 1, sampler, 1))
    propose(SPACE, places, torch.full_like(fitness, torch.nan), 1, sampler, 1)


def by_hand(rungs: list[tuple[int, int, float]], factor: int) -> list[bool]:
    """Return who is stopped, by the rule in words: who is not among the best 1 / factor of its rung, at least one."""
    seen: dict[int, list[float]] = {}
    verdicts = []
    for _, generations, fitness in rungs:
        values = seen.setdefault(generations, [])
        values.append(fitness)
        going_on = sorted(values, reverse=True)[: max(1, len(values) // factor)]
        verdicts.append(fitness < going_on[-1])
    return verdicts


@pytest.mark.parametrize(("first", "factor"), [(1, 3), (2, 2), (3, 4)])
def test_halving_is_that_of_the_rule_in_words(first: int, factor: int) -> None:
    rng = np.random.default_rng(factor)
    rungs: list[tuple[int, int, float]] = []
    alive = dict.fromkeys(range(6), first)
    for _ in range(12):
        before = len(rungs)
        rungs += [(number, level, float(rng.normal())) for number, level in alive.items()]
        verdicts = stopped(rungs, first, factor)
        assert verdicts == by_hand(rungs, factor)
        gone = [number for (number, _, _), verdict in zip(rungs[before:], verdicts[before:], strict=True) if verdict]
        following = max(number for number, _, _ in rungs) + 1
        alive = {number: level * factor for number, level in alive.items() if number not in gone}
        alive |= {following + place: first for place in range(len(gone))}


def test_who_has_no_fitness_is_stopped() -> None:
    assert stopped([(0, 1, float("nan")), (1, 1, 1.0)], 1, 3) == [True, False]
    assert stopped([], 1, 3) == []
