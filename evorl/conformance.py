"""The contract of an algorithm as a test that users run on their own subclass."""

from __future__ import annotations

import copy
import io
import pickle
import random
from typing import Any

import numpy as np
import torch

from evorl.population import Population
from evorl.template import Config, EvoRL

#: Generations that are watched.
GENERATIONS = 2


class ConformanceError(AssertionError):
    """A subclass of EvoRL breaks the contract of the loop; the message says which rule."""


def check_algorithm(algorithm: type[EvoRL[Any]], config: Config) -> None:
    """Run an algorithm for a few generations and check that it keeps the contract of the loop.

    Checked: the loop is not overridden; `vary` returns `population_size` rows; `learn` and `evaluate` keep rows and
    ids; `select` returns at least one row; no part changes what it was handed; ids are unique; reports hold plain
    numbers under the same tags; `answer()` is one row and steps nothing; a generation changes only
    what `state` names; a state saved, loaded and gone on with equals the run that was not cut; global random states
    are not touched.

    Args:
        algorithm: the class.
        config: its settings; choose a small task and network, and a budget of three generations or more.

    Raises:
        ConformanceError: a rule is broken.
    """
    before = _global_states()
    for name in ("step", "state_dict", "load_state_dict", "__init__"):
        _require(getattr(algorithm, name) is getattr(EvoRL, name), f"{name} must be EvoRL's own, not overridden")
    run = algorithm(config)
    _require("generation" in run.state and "population" in run.state, "state must extend EvoRL.state")
    tags = None
    for _ in range(GENERATIONS):
        _check_parts(run)
        outside = _digest_outside_state(run)
        report = run.step()
        after = _digest_outside_state(run)
        changed = [name for name in after if not _equal(outside.get(name), after[name])]
        _require(not changed, f"state must name every attribute that a generation changes, {changed} is missing")
        _require(tags is None or set(report) == tags, "report must have the same tags at every generation")
        _require(all(isinstance(value, int | float) for value in report.values()), "report must hold plain numbers")
        tags = set(report)
    _require(_equal(before, _global_states()), "global random states must not be touched; use self.streams")
    _check_answer(run)
    _check_resume(algorithm, config, run)
    run.close()


def _require(kept: bool, rule: str) -> None:
    if not kept:
        raise ConformanceError(rule)


def _check_parts(run: EvoRL[Any]) -> None:
    """Turn the loop once by hand on a copy of the state, watching what each part takes and returns."""
    trial = type(run)(run.config, copy.deepcopy(run.state_dict()))
    n = run.config.population_size
    handed = trial.population
    for name in ("vary", "learn", "evaluate", "select"):
        parents, kept = trial.population, copy.deepcopy(handed.state_dict())
        returned = getattr(trial, name)(handed)
        _require(isinstance(returned, Population), f"{name} must return a Population, got {type(returned).__name__}")
        _require(_equal(kept, handed.state_dict()), f"{name} must not change the population that it is handed")
        _require(trial.population is parents, f"{name} must not set self.population; the loop does")
        _require(len(set(returned.id.tolist())) == len(returned), f"{name} must return rows with different ids")
        if name == "vary":
            _require(len(returned) == n, f"vary must return population_size = {n} rows, got {len(returned)}")
        elif name == "select":
            _require(len(returned) >= 1, "select must return at least one row, got none")
        else:
            _require(len(returned) == len(handed), f"{name} must keep the rows, got {len(returned)} of {len(handed)}")
            _require(torch.equal(returned.id, handed.id), f"{name} must keep the ids and their order")
        handed = returned
    trial.close()


def _check_answer(run: EvoRL[Any]) -> None:
    spent = dict(run.ledger.steps)
    answer = run.answer()
    _require(isinstance(answer, Population) and len(answer) == 1, "answer must return a Population of one row")
    _require(spent == run.ledger.steps, "answer must not step an environment")
    fresh = type(run)(run.config)
    _require(len(fresh.answer()) == 1, "answer must work from construction on")
    fresh.close()


def _check_resume(algorithm: type[EvoRL[Any]], config: Config, run: EvoRL[Any]) -> None:
    resumed = algorithm(config, {name: _saved_and_read(name, state) for name, state in run.state_dict().items()})
    run.step()
    resumed.step()
    ours, theirs = run.state_dict(), resumed.state_dict()
    for state in (ours, theirs):
        state["ledger"]["steps"].pop("restored")
        state["ledger"].pop("seconds")
    different = [name for name in ours if not _equal(ours[name], theirs[name])]
    _require(not different, f"a resumed run must equal the one that was not cut, {different} differ")
    resumed.close()


def _saved_and_read(name: str, state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    try:
        return torch.load(file, weights_only=True)
    except pickle.UnpicklingError as error:
        rule = f"state must be of tensors and plain values, {name!r} is not: a checkpoint of it could not be read"
        raise ConformanceError(rule) from error


def _digest_outside_state(run: EvoRL[Any]) -> dict[str, Any]:
    """Return a copy of the data in every attribute that `state` does not name."""
    return {name: copy.deepcopy(_data(value)) for name, value in vars(run).items() if name not in run.state}


def _data(value: Any) -> Any:
    """Return what a checkpoint would have to hold of `value`; collaborators without data count by identity."""
    if isinstance(value, Population) or hasattr(value, "state_dict"):
        return value.state_dict()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, dict):
        return {key: _data(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_data(inner) for inner in value]
    plain = value is None or isinstance(value, int | float | str | bytes | torch.Tensor | np.ndarray)
    return value if plain else id(value)


def _equal(first: Any, second: Any) -> bool:
    """Whether two nested states are the same to the last bit, NaN being equal to NaN."""
    if isinstance(first, dict) and isinstance(second, dict):
        return set(first) == set(second) and all(_equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    if isinstance(first, torch.Tensor | np.ndarray):
        one, other = np.asarray(first), np.asarray(second)
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(first == second) or (first != first and second != second)  # noqa: PLR0124  NaN


def _global_states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
