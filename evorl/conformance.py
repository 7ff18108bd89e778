"""The contract of an algorithm as a test that users run on their own subclass."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import io
import json
import pickle
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from evorl.envs import MemberEnvs
from evorl.errors import ConfigError
from evorl.population import Population
from evorl.running.settings import from_plain, to_plain
from evorl.running.testing import Tester
from evorl.state import equal
from evorl.step_counts import CountingEnvs, Elsewhere
from evorl.streams import Streams
from evorl.template import Config, EvoRL

#: Generations that are watched.
GENERATIONS = 2
#: A task whose episodes end in the middle of a generation of members that act on their own.
SMALL_TASK = {"env_id": "Pendulum-v1", "env_kwargs": {"max_episode_steps": 7}, "total_timesteps": 10_000}
#: What settings of these names are at most, wherever they stand in a config.
SMALL: dict[str, Any] = {"population_size": 4, "hidden_sizes": (8, 8), "minibatches": 2, "epochs": 2}
SMALL |= {"warmup_steps": 5, "start_steps": 5, "batch_size": 5, "interval": 10, "rollout_length": 10, "burn_in": 10}
SMALL |= {"window": 1, "ratios": (1,)}


class ConformanceError(AssertionError):
    """A subclass of EvoRL breaks the contract of the loop; the message says which rule."""


def check_algorithm(algorithm: type[EvoRL[Any]], config: Config | None = None) -> None:
    """Run an algorithm for a few generations and check that it keeps the contract of the loop.

    Checked: the loop is not overridden; the config can be written and read; `vary` returns `population_size` rows;
    `learn` and `evaluate` keep rows and ids; `select` returns at least one row; no part changes what it was handed; ids
    are unique; reports hold plain numbers under the same tags; a generation changes only what `state` names; the ledger
    counts what environments count, and no others are stepped; the seed decides everything, and global random states are
    neither touched nor used; `answer()` is one row and steps nothing; a state saved, loaded and gone on with equals the
    run that was not cut; tests in between change nothing; members whose fitness is NaN are survived, and are not taken
    for the best.

    Args:
        algorithm: the class.
        config: its settings; choose a small task and network, and a budget of three generations or more. If None, the
            preset `quick`, where there is one, is made small.

    Raises:
        ConformanceError: a rule is broken.
        ConfigError: no config was given, and the small one cannot work.
    """
    before = _global_states()
    _check_loop(algorithm)
    config = small_config(algorithm) if config is None else config
    _check_config(algorithm, config)
    elsewhere = Elsewhere()
    watched = _counting(algorithm, elsewhere)
    with elsewhere.counted():
        run = watched(config)
        begun = _comparable(run)
        _check_generations(run)
    _require(equal(before, _global_states()), "global random states must not be touched; use self.streams")
    _check_ledger(run, elsewhere)
    _check_answer(run)
    _check_beginning(watched(config), begun)
    saved = {name: _saved_and_read(name, state) for name, state in run.state_dict().items()}
    run.step()
    resumed, tested = (watched(config, copy.deepcopy(saved)) for _ in range(2))
    _check_end(resumed, run, "a resumed run must equal the one that was not cut")
    _check_end(tested, run, "tests must not influence training", episodes=int(run.task.has_environment))
    with Streams(1).as_global("others"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        repeated = watched(config, copy.deepcopy(saved))
        _check_end(repeated, run, "the seed must decide everything, and global random states nothing; use self.streams")
    run.close()
    _check_unknown_fitness(algorithm, config, saved)
    _require(equal(before, _global_states()), "global random states must not be touched; use self.streams")


def small_config(algorithm: type[EvoRL[Any]]) -> Config:
    """Return settings with which a generation of `algorithm` takes no time; ConfigError if they cannot work."""
    preset = "quick" if "quick" in algorithm.presets else "published"
    shrunk: Config = _shrunk(algorithm.preset(preset, **SMALL_TASK))
    return shrunk


def _shrunk(settings: Any) -> Any:
    held = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    small = {name: min(held[name], most) for name, most in SMALL.items() if name in held}
    parts = {name: _shrunk(value) for name, value in held.items() if dataclasses.is_dataclass(value)}
    return dataclasses.replace(settings, **small, **parts)


def _counting(algorithm: type[EvoRL[Any]], elsewhere: Elsewhere) -> type[EvoRL[Any]]:
    """Return the algorithm on environments that count."""

    def make_envs(self: EvoRL[Any], n: int) -> MemberEnvs:
        counting = CountingEnvs(EvoRL.make_envs(self, n), elsewhere)
        self._envs[-1] = counting
        return counting

    return _with(algorithm, make_envs=make_envs)


def _with(algorithm: type[EvoRL[Any]], **methods: Any) -> type[EvoRL[Any]]:
    return type(algorithm.__name__, (algorithm,), {"name": algorithm.name, "__doc__": algorithm.__doc__, **methods})


def _stepped(run: EvoRL[Any]) -> int:
    return sum(envs.steps for envs in run._envs if isinstance(envs, CountingEnvs))


def _require(kept: bool, rule: str) -> None:
    if not kept:
        raise ConformanceError(rule)


def _require_equal(ours: Mapping[str, Any], theirs: Mapping[str, Any], rule: str) -> None:
    different = [name for name in ours if not equal(ours[name], theirs.get(name))]
    _require(not different, f"{rule}, {different} differ")


def _check_loop(algorithm: type[EvoRL[Any]]) -> None:
    for name, own in vars(EvoRL).items():
        function = getattr(own, "fget", None) or getattr(own, "__func__", own)
        kept = inspect.getattr_static(algorithm, name) is own or not getattr(function, "__final__", False)
        _require(kept, f"{name} must be EvoRL's own, not overridden")
    _require(set(EvoRL.state) <= set(algorithm.state), "state must extend EvoRL.state")


def _check_config(algorithm: type[EvoRL[Any]], config: Config) -> None:
    rule = "config must be the same when written and read again"
    try:
        restored = from_plain(algorithm.config_type, json.loads(json.dumps(to_plain(config))))
    except (ConfigError, TypeError, ValueError) as error:
        raise ConformanceError(f"{rule}, but {error}") from error
    _require_equal(vars(config), vars(restored), rule)


def _check_generations(run: EvoRL[Any]) -> None:
    tags = None
    for _ in range(GENERATIONS):
        _check_parts(run)
        outside = _digest_outside_state(run)
        report = run.step()
        after = _digest_outside_state(run)
        changed = [name for name in after if not equal(outside.get(name), after[name])]
        _require(not changed, f"state must name every attribute that a generation changes, {changed} is missing")
        _require(tags is None or set(report) == tags, "report must have the same tags at every generation")
        _require(all(isinstance(value, int | float) for value in report.values()), "report must hold plain numbers")
        tags = set(report)


def _check_parts(run: EvoRL[Any]) -> None:
    """Turn the loop once by hand on a copy of the state, watching what each part takes and returns."""
    trial = type(run)(run.config, copy.deepcopy(run.state_dict()))
    n = run.config.population_size
    handed = trial.population
    for name in ("vary", "learn", "evaluate", "select"):
        parents, kept = trial.population, copy.deepcopy(handed.state_dict())
        returned = getattr(trial, name)(handed)
        _require(isinstance(returned, Population), f"{name} must return a Population, got {type(returned).__name__}")
        _require(equal(kept, handed.state_dict()), f"{name} must not change the population that it is handed")
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


def _check_ledger(run: EvoRL[Any], elsewhere: Elsewhere) -> None:
    rule = "environments must be self.make_envs's, whose steps count, and others were stepped"
    _require(not elsewhere.steps, f"{rule} {elsewhere.steps} times")
    counted, stepped = sum(run.ledger.steps.values()), _stepped(run)
    stepped = stepped if run.task.has_environment else counted
    rule = f"the ledger must count every step of an environment once, got {counted} counted of {stepped} taken"
    _require(counted == stepped, rule)
    _require(counted == run.ledger.spent, "steps of a generation must count against the budget, not as tests")


def _check_answer(run: EvoRL[Any]) -> None:
    spent, answer = _stepped(run), run.answer()
    _require(isinstance(answer, Population) and len(answer) == 1, "answer must return a Population of one row")
    _require(spent == _stepped(run), "answer must not step an environment")


def _check_beginning(fresh: EvoRL[Any], begun: dict[str, Any]) -> None:
    _require_equal(begun, _comparable(fresh), "two runs from one seed must begin alike")
    _require(len(fresh.answer()) == 1, "answer must work from construction on")
    fresh.close()


def _check_end(other: EvoRL[Any], run: EvoRL[Any], rule: str, episodes: int = 0) -> None:
    """Turn the loop of `other`, with tests before and after if there are episodes, and require it to end as `run`."""
    tester = Tester(other.task, other.policy, other.config.seed, other.ledger)
    for then in (other.step, other.close):
        members = [other.answer(), *other.tested().values()] if episodes else []
        for member in [several[[row]] for several in members for row in range(len(several))]:
            tester.test(member, episodes)
        then()
    _require_equal(_comparable(run), _comparable(other), rule)
    tester.close()


def _check_unknown_fitness(algorithm: type[EvoRL[Any]], config: Config, saved: dict[str, Any]) -> None:
    """Turn the loop with NaN in place of one row's fitness, of another's, and of all."""
    n = config.population_size
    first, last, _ = (_follows_unknown(algorithm, config, saved, rows) for rows in ([0], [n - 1], list(range(n))))
    _require(n == 1 or not (first and last), "NaN fitness must rank last, answer is whoever has it")


def _follows_unknown(algorithm: type[EvoRL[Any]], config: Config, saved: dict[str, Any], rows: list[int]) -> bool:
    """Whether the answer is one of `rows`, or a copy of it, when their fitness is NaN."""

    def evaluate(self: EvoRL[Any], candidates: Population) -> Population:
        evaluated = algorithm.evaluate(self, candidates)
        return evaluated.with_fitness(evaluated.fitness.index_fill(0, torch.tensor(rows), torch.nan))

    trial = _with(algorithm, evaluate=evaluate)(config, copy.deepcopy(saved))
    shown: list[Population] = []
    try:
        trial.step(shown.append)
        answer, candidates = trial.answer(), trial.vary(trial.population)
    except Exception as error:
        raise ConformanceError(f"NaN fitness must be survived, got {type(error).__name__}: {error}") from error
    finite = all(bool(members.params.isfinite().all()) for members in (answer, trial.population, candidates))
    _require(finite, "NaN fitness must be survived, parameters became NaN")
    trial.close()
    source = torch.where(torch.isin(answer.id, shown[0].id), answer.id, answer.parent)
    return bool(torch.isin(source, shown[0].id[rows]))


def _comparable(run: EvoRL[Any]) -> dict[str, Any]:
    """Return a copy of the state without what a resumed or tested run has of its own."""
    state = copy.deepcopy(run.state_dict())
    del state["ledger"]["seconds"], state["ledger"]["steps"]["restored"], state["ledger"]["steps"]["test"]
    return state


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


def _global_states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
