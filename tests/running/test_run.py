"""A run under way: where it ends, when it tests, what it counts, and what stands when an environment fails."""

import csv
import math
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import ORACLE, Oracle, counted, same, total_steps

import evorl
from evorl.algorithms import cem, td3
from evorl.errors import ConfigError, EnvironmentFault
from evorl.evaluation import Report
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.running import Sink, checkpoint, testing
from evorl.stopwatch import PARTS
from evorl.template import Config, EvoRL

TINY = NetworkConfig(hidden_sizes=(4,))
N, LENGTH = 4, 10
GENERATION = N * LENGTH


def cem_config(total_timesteps: int, **settings: Any) -> cem.Config:
    given = {"env_id": ORACLE, "env_kwargs": {"max_episode_steps": LENGTH}, **settings}
    return cem.Config(population_size=N, network=TINY, total_timesteps=total_timesteps, **given)


def td3_config(total_timesteps: int, **settings: Any) -> td3.Config:
    learner = TD3Config(critic=TINY, batch_size=8)
    given = {"env_id": ORACLE, "env_kwargs": {"max_episode_steps": LENGTH}, "warmup_steps": 15, **settings}
    return td3.Config(network=TINY, learner=learner, interval=10, total_timesteps=total_timesteps, **given)


CONFIGS = [cem_config(300), td3_config(60, population_size=2)]
BOTH = pytest.mark.parametrize("config", CONFIGS, ids=["cem", "td3"])


def running(folder: Path, **settings: Any) -> evorl.Running:
    given = {"checkpoint_seconds": 0, "test_episodes": 2, "final_episodes": 3, "progress": False, **settings}
    return evorl.Running(runs=str(folder), **given)


def progress(folder: Path) -> list[dict[str, float]]:
    with (folder / "progress.csv").open(newline="") as file:
        return [{tag: float(value) for tag, value in row.items()} for row in csv.DictReader(file)]


def run_in(folder: Path) -> Path:
    (config,) = folder.rglob("config.json")
    return config.parent


def mean_after(generations: int, config: cem.Config) -> torch.Tensor:
    run = cem.CEM(config)
    for _ in range(generations):
        run.step()
    return run.answer().params


@pytest.mark.parametrize(
    ("budget", "last", "reported"),
    [(3 * GENERATION, 3, 3), (3 * GENERATION - 1, 3, 2), (3 * GENERATION + 1, 4, 3), (GENERATION, 1, 1)],
)
def test_a_run_ends_at_or_past_the_budget_and_answers_for_the_last_boundary_at_or_before_it(
    budget: int, last: int, reported: int, tmp_path: Path
) -> None:
    config = cem_config(budget)
    result = evorl.train(config, running(tmp_path))
    rows = progress(result.folder)
    assert [row["generation"] for row in rows] == list(range(last + 1))
    assert [row["steps"] for row in rows] == [GENERATION * generation for generation in range(last + 1)]
    assert result.steps == reported * GENERATION <= budget <= last * GENERATION
    assert torch.equal(evorl.load(result.folder).member.params, mean_after(reported, config))
    assert not torch.equal(mean_after(reported, config), mean_after(reported - 1, config))


def test_the_final_return_is_that_of_the_reported_answer(tmp_path: Path) -> None:
    config = cem_config(3 * GENERATION - 1, env_id="Pendulum-v1")
    result = evorl.train(config, running(tmp_path, test_interval=1))
    returns = testing.test_answer(evorl.load(result.folder), 3)
    rows = progress(result.folder)
    assert result.final_return == rows[-1]["final/return"] == returns.mean()
    assert rows[-1]["final/return_std"] == returns.std()
    assert rows[-1]["test/return"] == rows[-2]["test/return"] == returns[:2].mean()  # not of the generation beyond
    assert math.isfinite(rows[-2]["fitness/optimism"])
    assert math.isnan(rows[-1]["fitness/optimism"])
    assert all(math.isnan(row["final/return"]) for row in rows[:-1])


@pytest.mark.parametrize(
    ("interval", "tested"),
    [
        (1, [0, 40, 80, 120, 160, 200]),
        (40, [0, 40, 80, 120, 160, 200]),
        (41, [0, 80, 120, 160, 200]),
        (50, [0, 80, 120, 160, 200]),
        (100, [0, 120, 200]),
        (130, [0, 160, 200]),
        (1_000, [0, 200]),
        (0, []),
    ],
)
def test_tests_fall_on_the_first_boundary_past_each_multiple_of_the_interval_at_0_and_at_the_end(
    interval: int, tested: list[int], tmp_path: Path
) -> None:
    rows = progress(evorl.train(cem_config(199), running(tmp_path, test_interval=interval)).folder)
    assert [row["steps"] for row in rows] == [0, 40, 80, 120, 160, 200]
    assert [row["steps"] for row in rows if math.isfinite(row["test/return"])] == tested
    assert [row["steps"] for row in rows if math.isfinite(row["test/return_std"])] == tested


def test_a_twentieth_of_the_budget_lies_between_tests_unless_told(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"warmup_steps": 1, "env_kwargs": {"max_episode_steps": 5}}
    rows = progress(evorl.train(td3_config(600, **settings), running(tmp_path)).folder)
    assert [row["steps"] for row in rows if math.isfinite(row["test/return"])] == list(range(0, 601, 30))


def test_test_episodes_are_as_many_as_asked_for(tmp_path: Path) -> None:
    folder = evorl.train(cem_config(80), running(tmp_path, test_interval=1, test_episodes=7, final_episodes=11)).folder
    assert [row["budget/test_steps"] for row in progress(folder)] == [70, 140, 210 + 110]


def test_a_test_is_the_mean_of_deterministic_episodes_on_the_runs_test_starts(tmp_path: Path) -> None:
    config = cem_config(80, env_id="Pendulum-v1", seed=2)
    folder = evorl.train(config, running(tmp_path, test_interval=1)).folder
    run = cem.CEM(config)
    tester = testing.Tester(run.task, run.policy, 2, run.ledger)
    for row in progress(folder):
        returns = tester.test(run.answer(), 2)
        assert (row["test/return"], row["test/return_std"]) == (returns.mean(), returns.std())
        run.step()


def test_optimism_is_what_the_best_fitness_promises_beyond_the_test(tmp_path: Path) -> None:
    rows = progress(evorl.train(cem_config(120), running(tmp_path, test_interval=80)).folder)
    assert [math.isfinite(row["fitness/optimism"]) for row in rows] == [False, False, True, True]
    for row in rows[2:]:
        assert row["fitness/optimism"] == row["fitness/best"] - row["test/return"]


@BOTH
def test_the_ledger_counts_every_step_of_every_environment(config: Config, tmp_path: Path) -> None:
    with counted() as made:
        result = evorl.train(config, running(tmp_path))
    last = progress(result.folder)[-1]
    tags = [f"budget/{purpose}_steps" for purpose in ("warmup", "train", "fitness", "test", "restored")]
    assert sum(last[tag] for tag in tags) == total_steps(made)
    assert sum(last[tag] for tag in tags[:3]) == last["steps"]
    assert last["budget/test_steps"] > 0
    ledger = checkpoint.read(result.folder / "state.pt")["state"]["ledger"]
    assert sum(ledger["steps"].values()) == total_steps(made)


@BOTH
def test_without_tests_the_ledger_counts_every_step_too(config: Config, tmp_path: Path) -> None:
    with counted() as made:
        result = evorl.train(config, running(tmp_path, test_interval=0))
    last = progress(result.folder)[-1]
    assert last["budget/test_steps"] == 0
    assert last["steps"] == total_steps(made) >= config.total_timesteps
    assert math.isnan(result.final_return)


@BOTH
def test_testing_influences_nothing(config: Config, tmp_path: Path) -> None:
    states, rows = [], []
    for interval in (0, 1, 70):
        folder = evorl.train(config, running(tmp_path / str(interval), test_interval=interval)).folder
        content = checkpoint.read(folder / "state.pt")
        content["state"]["ledger"].pop("seconds")
        content["state"]["ledger"]["steps"].pop("test")
        states.append([content["state"], content["answer"], content["answer_steps"]])
        about_tests = ("time/", "test/", "final/", "budget/test_steps", "fitness/optimism")
        rows.append([{k: repr(v) for k, v in row.items() if not k.startswith(about_tests)} for row in progress(folder)])
    assert same(states[1], states[0])
    assert same(states[2], states[0])
    assert rows[0] == rows[1] == rows[2]


@BOTH
def test_the_same_seed_gives_the_same_run_and_another_seed_another(config: Config, tmp_path: Path) -> None:
    import dataclasses

    found = []
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        folder = evorl.train(dataclasses.replace(config, seed=seed), running(tmp_path / name)).folder
        found.append(checkpoint.read(folder / "state.pt")["state"]["population"])
    assert same(found[0], found[1])
    assert not torch.equal(found[0]["params"], found[2]["params"])


@BOTH
def test_every_generation_has_the_same_tags(config: Config, tmp_path: Path) -> None:
    folder = evorl.train(config, running(tmp_path)).folder
    with (folder / "progress.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert len(set(header)) == len(header)
    assert {len(line) for line in lines} == {len(header)}
    assert {"steps", "generation", "test/return", "final/return", "budget/test_steps", "time/seconds"} <= set(header)


class Noting(Sink):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.tags: list[set[str]] = []

    def check(self, algorithm: type[EvoRL[Any]]) -> None:
        self.told.append(("check", algorithm))

    def rewind(self, generation: int) -> None:
        self.told.append(("rewind", generation))

    def write_population(self, evaluated: Population, generation: int, steps: int) -> None:
        self.told.append(("population", len(evaluated), generation, steps))

    def write(self, record: Report) -> None:
        self.told.append(("record", record["generation"], record["steps"]))
        self.tags.append(set(record))

    def flush(self) -> None:
        self.told.append(("flush",))

    def close(self) -> None:
        self.told.append(("close",))


def test_a_sink_of_the_users_own_is_told_of_every_generation(tmp_path: Path) -> None:
    sink = Noting()
    folder = evorl.train(cem_config(2 * GENERATION), running(tmp_path), sinks=[sink]).folder
    assert sink.told == [
        ("check", cem.CEM),
        ("flush",),
        ("record", 0, 0),
        ("population", N, 1, GENERATION),
        ("record", 1, GENERATION),
        ("flush",),
        ("population", N, 2, 2 * GENERATION),
        ("flush",),
        ("record", 2, 2 * GENERATION),
        ("flush",),
        ("close",),
    ]
    assert sink.tags[-1] == set(progress(folder)[0])


def test_a_resumed_run_checks_and_rewinds_the_sinks_it_is_given_and_closes_them_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Noting(), Noting()
    with monkeypatch.context() as patch:
        fail(patch, 2 * GENERATION + 1, raising)
        with pytest.raises(EnvironmentFault):
            evorl.train(cem_config(3 * GENERATION), running(tmp_path, test_interval=0), sinks=[first])
    assert first.told[-1] == ("close",)
    evorl.resume(run_in(tmp_path), sinks=[second])
    assert second.told[:3] == [("check", cem.CEM), ("rewind", 2), ("population", N, 3, 3 * GENERATION)]


def fail(patch: pytest.MonkeyPatch, at: int, how: Callable[[], Any]) -> None:
    """Let the oracle's step number `at` from now on, over all of its instances, do what `how` does."""
    steps, step = count(1), Oracle.step

    def failing(self: Oracle, action: Any) -> Any:
        found = step(self, action)
        return how() if next(steps) == at else found

    patch.setattr(Oracle, "step", failing)


def raising() -> Any:
    raise ZeroDivisionError("the motor\nbroke")


def nan_observation() -> Any:
    return np.array([np.nan, 1], np.float32), 0.0, False, False, {}


def infinite_reward() -> Any:
    return np.zeros(2, np.float32), math.inf, False, False, {}


FAULTS = pytest.mark.parametrize(
    ("how", "what"),
    [
        (raising, "step raised ZeroDivisionError: the motor broke"),
        (nan_observation, "its observation must be finite, got NaN or infinity"),
        (infinite_reward, "its reward must be finite, got inf"),
    ],
    ids=["raises", "nan", "infinite reward"],
)


@FAULTS
def test_a_fault_of_an_environment_leaves_the_checkpoint_and_all_that_was_logged_and_can_be_resumed(
    how: Callable[[], Any], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cem_config(5 * GENERATION)
    expected = evorl.train(config, running(tmp_path / "whole", test_interval=0)).folder
    member, step, before = 2, 7, 3
    with monkeypatch.context() as patch:
        fail(patch, before * GENERATION + (step - 1) * N + member + 1, how)
        with pytest.raises(EnvironmentFault) as raised:
            evorl.train(config, running(tmp_path / "cut", test_interval=0))
    assert str(raised.value) == f"{ORACLE}, member {member}, step {step} of its episode: {what}"
    assert raised.value.exit_code == 1
    folder = run_in(tmp_path / "cut")
    assert checkpoint.read(folder / "state.pt")["state"]["generation"] == before
    assert [row["generation"] for row in progress(folder)] == list(range(before + 1))
    evorl.resume(folder)
    whole, resumed = (checkpoint.read(run / "state.pt")["state"] for run in (expected, folder))
    for state in (whole, resumed):
        state["ledger"].pop("seconds")
    assert same(resumed, whole)


@FAULTS
def test_a_fault_in_mid_episode_of_a_learner_names_the_member_too(
    how: Callable[[], Any], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = td3_config(100, population_size=2)
    expected = evorl.train(config, running(tmp_path / "whole", test_interval=0)).folder
    with monkeypatch.context() as patch:
        fail(patch, 2 * 34, how)
        with pytest.raises(EnvironmentFault) as raised:
            evorl.train(config, running(tmp_path / "cut", test_interval=0))
    assert str(raised.value) == f"{ORACLE}, member 1, step 4 of its episode: {what}"
    folder = run_in(tmp_path / "cut")
    assert [row["steps"] for row in progress(folder)] == [0, 20, 40, 60]
    evorl.resume(folder)
    whole, resumed = (checkpoint.read(run / "state.pt")["state"] for run in (expected, folder))
    for state in (whole, resumed):
        state["ledger"].pop("seconds")
    assert same(resumed, whole)


def test_a_fault_before_the_first_checkpoint_leaves_what_was_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail(patch, 2 * GENERATION + 1, raising)
        with pytest.raises(EnvironmentFault):
            evorl.train(cem_config(200), running(tmp_path, test_interval=0, checkpoint_seconds=1e9))
    folder = run_in(tmp_path)
    assert [row["generation"] for row in progress(folder)] == [0, 1, 2]
    assert evorl.resume(folder).steps == 200, "a checkpoint stands from the beginning on"


def test_a_fault_in_the_very_first_test_leaves_no_progress_but_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail(patch, 1, raising)
        with pytest.raises(EnvironmentFault, match="member 0, step 1 of its episode"):
            evorl.train(cem_config(200), running(tmp_path))
    assert evorl.train(cem_config(200), running(tmp_path), overwrite=True).steps == 200


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_checkpoints_are_as_far_apart_as_asked_and_one_stands_at_the_end(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    save = checkpoint.save

    def noting(path: Path, content: dict[str, Any]) -> None:
        if path.name == "state.pt":
            saved.append(content["state"]["generation"])
        save(path, content)

    monkeypatch.setattr(checkpoint, "save", noting)
    evorl.train(cem_config(4 * GENERATION), running(tmp_path, checkpoint_seconds=seconds))
    assert saved == ([0, 1, 2, 3, 4, 4] if seconds == 0 else [0, 4, 4])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"test_interval": -1}, "test_interval must be at least 0, got -1"),
        ({"test_episodes": 0}, "test_episodes must be at least 1, got 0"),
        ({"final_episodes": 0}, "final_episodes must be at least 1, got 0"),
        ({"checkpoint_seconds": -1.0}, "checkpoint_seconds must be at least 0, got -1.0"),
        ({"checkpoint_seconds": math.nan}, "checkpoint_seconds must be at least 0, got nan"),
        ({"num_threads": 0}, "num_threads must be at least 1, got 0"),
        ({"tag": "a/b"}, "tag must not contain '/', got 'a/b'"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        evorl.Running(**settings)
    assert str(raised.value) == line


@BOTH
def test_the_seconds_of_the_parts_add_up_to_those_between_two_records(config: Config, tmp_path: Path) -> None:
    import time

    began = time.perf_counter()
    folder = evorl.train(config, running(tmp_path)).folder
    passed = time.perf_counter() - began
    parts = [f"time/{part}" for part in (*PARTS, "rest")]
    rows = progress(folder)
    assert all(row[part] >= 0 for row in rows for part in parts)
    assert sum(row[part] for row in rows for part in parts) <= passed
    assert rows[0]["time/test"] > 0
    assert rows[0]["time/learn"] == 0
    assert all(row["time/learn"] > 0 for row in rows[1:])
    assert [row["time/checkpoint"] > 0 for row in rows] == [True, False, *[True] * (len(rows) - 2)]


def test_a_finished_run_keeps_no_replay_and_an_interrupted_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = td3_config(100, population_size=2)
    with monkeypatch.context() as patch:
        fail(patch, 2 * 34, raising)
        with pytest.raises(EnvironmentFault):
            evorl.train(config, running(tmp_path, test_interval=0))
    folder = run_in(tmp_path)
    replay = checkpoint.read(folder / "state.pt")["state"]["training"]["replay"]
    assert [len(records) for records in replay["records"]] == [30, 30]
    assert len(list((folder / "journals").iterdir())) == 2
    evorl.resume(folder)
    assert not (folder / "journals").exists()
    assert checkpoint.read(folder / "state.pt")["state"]["training"]["replay"]["records"] == [None, None]
