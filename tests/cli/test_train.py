"""`evorl train`: what it prints, and that bad input is one line on stderr, exit code 2 and no run folder."""

import csv
import importlib
import io
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from support import ORACLE, Oracle, same
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import evorl
from evorl.cli import main
from evorl.running import checkpoint, registry
from evorl.running.run import Run

UNBOUNDED = "tests/Unbounded-v0"


class Unbounded(gymnasium.Env[Any, Any]):
    """Has no bounds on its actions."""

    observation_space = Box(-1, 1, (1,))
    action_space = Box(-np.inf, np.inf, (1,))


if UNBOUNDED not in gymnasium.registry:
    gymnasium.register(UNBOUNDED, entry_point=Unbounded)  # type: ignore[arg-type]

CEM = ["cem", "--env-id", "Pendulum-v1"]
TD3 = ["td3", "--env-id", "Pendulum-v1"]
#: Six generations of 40 steps.
SHORT = ["cem", "--env-id", ORACLE, "--env-kwargs", "max_episode_steps=10", "--population-size", "4"]
SMALL = ["--preset", "quick", "--total-timesteps", "240", "--test-episodes", "2", "--final-episodes", "3"]
QUIET = ["--no-progress", "--checkpoint-seconds", "0"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to `runs` in the working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what makes a command fail and hands back the one line that it says."""

    def began(*_: object) -> None:
        raise RuntimeError("a run began")

    def fails(*words: str, code: int = 2) -> str:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            if code == 2:
                patch.setattr(Run, "__init__", began)
            with pytest.raises(SystemExit) as raised:
                main(["train", *words])
        assert raised.value.code == code
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1, err
        assert err.startswith("evorl: ")
        return err.removeprefix("evorl: ").rstrip("\n")

    return fails


Complaint = Callable[..., str]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "algorithm must be one of {algorithms}, got none"),
        (["--env-id", "Pendulum-v1"], "algorithm must be one of {algorithms}, got none"),
        (["td", "--env-id", "x"], "algorithm must be one of {algorithms}, got 'td'; did you mean 'td3'?"),
        (
            ["cem", "--env-id", "Pendulum-v2"],
            "env_id must name a registered environment, got 'Pendulum-v2'; did you mean 'Pendulum-v1'?",
        ),
        (
            ["td3", "--env-id", "HalfCheeta-v5"],
            "env_id must name a registered environment, got 'HalfCheeta-v5'; did you mean 'HalfCheetah-v5'?",
        ),
        (
            [*CEM, "--preset", "quik"],
            "preset of cem must be one of published, common, quick, got 'quik'; did you mean 'quick'?",
        ),
        (
            [*TD3, "--preset", "papr"],
            "preset of td3 must be one of published, common, paper, quick, got 'papr'; did you mean 'paper'?",
        ),
        ([*CEM, "--population-size", "5"], "population_size must be even to mirror samples, got 5"),
        ([*CEM, "--device", "abacus"], "device must be one that torch can use, got 'abacus': "),
        ([*CEM, "--tag", "a/b"], "tag must not contain '/', got 'a/b'"),
        (
            [*CEM, "--total-timesteps", "1999"],
            "total_timesteps must be at least 2000, which one generation can take, got 1999",
        ),
        (
            [*CEM, "--total-timesteps", "2000", "--episodes-per-member", "2"],
            "total_timesteps must be at least 4000, which one generation can take, got 2000",
        ),
        (
            [*TD3, "--total-timesteps", "999", "--warmup-steps", "10"],
            "total_timesteps must be at least 1000, which one generation can take, got 999",
        ),
        (
            [*TD3, "--total-timesteps", "10000"],
            "total_timesteps must be at least 10001, beyond every member's warm-up, got 10000",
        ),
        (["cem", "--env-id", "CartPole-v1"], "env_id must name a task with Box actions, got CartPole-v1 with Discrete"),
        (["cem", "--env-id", UNBOUNDED], f"env_id must name a task with bounded actions, got {UNBOUNDED} with Box"),
        ([*CEM, "--env-kwargs", "gravity=3"], "env_id Pendulum-v1 with {{'gravity': 3}} cannot be made: TypeError"),
        (
            [*CEM, "--import", "not_there_at_all"],
            "--import must name a module that imports, got 'not_there_at_all': ModuleNotFoundError: No module named",
        ),
    ],
)
def test_what_cannot_work_is_said_in_one_line(words: list[str], line: str, complaint: Complaint) -> None:
    from evorl.running import registry

    assert complaint(*words).startswith(line.format(algorithms=", ".join(registry.installed())))
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([*CEM, "--popluation-size", "4"], ["--popluation-size", "--population-size"]),
        ([*TD3, "--learner.discout", "0.9"], ["--learner.discout", "--learner.discount"]),
        (["cem"], ["--env-id"]),
        ([*CEM, "--population-size"], ["--population-size"]),
        ([*CEM, "--population-size", "four"], ["--population-size", "'four'"]),
        ([*CEM, "--variance-init", "wide"], ["--variance-init", "'wide'"]),
        ([*CEM, "--covariance-divisor", "cod"], ["--covariance-divisor", "'cod'", "'code'", "'paper'"]),
        ([*CEM, "--backend", "mujoco"], ["--backend", "'mujoco'", "'mujoco-batch'"]),
        ([*CEM, "--network.activation", "sigmoid"], ["--network.activation", "'sigmoid'", "'relu'"]),
        ([*CEM, "--preset"], ["--preset"]),
        ([*CEM, "--resume"], ["--resume"]),
        ([*CEM, "more"], ["more"]),
    ],
)
def test_a_flag_that_is_unknown_or_has_no_fitting_value_is_named(
    words: list[str], named: list[str], complaint: Complaint
) -> None:
    line = complaint(*words)
    assert [name for name in named if name not in line] == []
    assert not Path("runs").exists()


OF_ALL = [
    ("--seed", "seed", "at least 0", ["-1"]),
    ("--delayed-reward", "delayed_reward", "at least 0", ["-1"]),
    ("--total-timesteps", "total_timesteps", "at least", ["0", "-5"]),
    ("--population-size", "population_size", "at least", ["0", "-2"]),
    ("--test-interval", "test_interval", "at least 0", ["-1"]),
    ("--test-episodes", "test_episodes", "at least 1", ["0"]),
    ("--final-episodes", "final_episodes", "at least 1", ["0"]),
    ("--checkpoint-seconds", "checkpoint_seconds", "at least 0", ["-1", "nan"]),
    ("--num-threads", "num_threads", "at least 1", ["0"]),
    ("--network.hidden-sizes", "hidden_sizes", "at least 1", ["0", "-3"]),
    ("--network.last-layer-scale", "last_layer_scale", "above 0", ["0", "-1", "nan", "inf"]),
]
OF_CEM = [
    ("--episodes-per-member", "episodes_per_member", "at least 1", ["0"]),
    ("--variance-init", "variance_init", "above 0", ["0", "-1", "nan", "inf"]),
    ("--variance-end", "variance_end", "above 0", ["0", "-1", "nan", "inf"]),
    ("--variance-decay", "variance_decay", "between 0 and 1", ["-0.1", "1.1", "nan"]),
]
OF_TD3 = [
    ("--exploration-noise", "exploration_noise", "at least 0", ["-0.1", "nan", "inf"]),
    ("--warmup-steps", "warmup_steps", "at least 1", ["0"]),
    ("--updates-per-step", "updates_per_step", "at least 1", ["0"]),
    ("--replay-size", "replay_size", "at least 1", ["0"]),
    ("--interval", "interval", "at least 1", ["0"]),
    ("--learner.batch-size", "batch_size", "at least 1", ["0"]),
    ("--learner.actor-learning-rate", "actor_learning_rate", "above 0", ["0", "-1", "nan", "inf"]),
    ("--learner.critic-learning-rate", "critic_learning_rate", "above 0", ["0", "-1", "nan", "inf"]),
    ("--learner.discount", "discount", "between 0 and 1", ["-0.1", "1.1", "nan"]),
    ("--learner.tau", "tau", "between 0 and 1", ["-0.1", "1.1", "nan"]),
    ("--learner.target-noise", "target_noise", "at least 0", ["-0.1", "nan", "inf"]),
    ("--learner.target-noise-clip", "target_noise_clip", "at least 0", ["-0.1", "nan"]),
    ("--learner.policy-delay", "policy_delay", "at least 1", ["0"]),
    ("--learner.critic.hidden-sizes", "hidden_sizes", "at least 1", ["0"]),
    ("--learner.critic.last-layer-scale", "last_layer_scale", "above 0", ["0", "nan"]),
]
RANGES = [
    (algorithm, flag, name, needed, value)
    for algorithm, fields in ((CEM, OF_ALL + OF_CEM), (TD3, OF_ALL + OF_TD3))
    for flag, name, needed, values in fields
    for value in values
]


@pytest.mark.parametrize(
    ("algorithm", "flag", "name", "needed", "value"), RANGES, ids=[f"{r[0][0]} {r[1]} {r[4]}" for r in RANGES]
)
def test_a_number_out_of_range_is_said_with_its_range(
    algorithm: list[str], flag: str, name: str, needed: str, value: str, complaint: Complaint
) -> None:
    line = complaint(*algorithm, f"{flag}={value}" if value.startswith("-") else flag, *[value][value[0] == "-" :])
    assert f"{name} must be {needed}" in line
    assert any(f"got {number}" in line for number in (value, float(value)))
    assert not Path("runs").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "UTF-8", "ascii"])
def test_the_line_is_bare_whatever_the_terminal(
    encoding: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    with pytest.raises(SystemExit):
        main(["train", *TD3, "--learner.discount", "2"])
    err = capsys.readouterr().err
    assert err == "evorl: Error parsing config.learner: discount must be between 0 and 1, got 2.0\n"


def test_every_numeric_setting_has_its_range_tested() -> None:
    """What stands in a config and in none of the lists above would go unchecked."""
    import dataclasses

    from evorl.running import registry

    for name, own in (("cem", OF_CEM), ("td3", OF_TD3)):
        tested = {flag.removeprefix("--").replace("-", "_") for flag, *_ in OF_ALL + own}
        config = registry.find(name).preset("published", env_id="Pendulum-v1")
        numbers: set[str] = set()

        def gather(settings: Any, prefix: str, into: set[str]) -> None:
            for field in dataclasses.fields(settings):
                value = getattr(settings, field.name)
                if dataclasses.is_dataclass(value):
                    gather(value, f"{prefix}{field.name}.", into)
                elif isinstance(value, int | float | tuple) and not isinstance(value, bool):
                    into.add(prefix + field.name)

        gather(config, "", numbers)
        gather(evorl.Running(test_interval=1), "", numbers)
        assert numbers - tested == set()


def test_the_error_of_an_imported_module_is_in_the_line(complaint: Complaint) -> None:
    Path("broken_module.py").write_text("raise LookupError('no such\\nthing')")
    line = complaint(*CEM, "--import", "broken_module")
    assert line == "--import must name a module that imports, got 'broken_module': LookupError: no such thing"


OWN = """
import gymnasium
from gymnasium.envs.classic_control import PendulumEnv

from evorl.template import Config, EvoRL

gymnasium.register("Mine-v0", entry_point=PendulumEnv, max_episode_steps=5)


class Mine(EvoRL[Config]):
    def evaluate(self, candidates):
        return self.play_fitness(candidates)
"""


def test_an_imported_module_brings_environments_and_algorithms(
    capsys: pytest.CaptureFixture[str], complaint: Complaint
) -> None:
    Path("mine_module.py").write_text(OWN)
    main(["train", "mine", "--env-id", "Mine-v0", "--import", "mine_module", "--total-timesteps", "100", *QUIET])
    assert capsys.readouterr().out.startswith("runs/Mine-v0/mine/s0: final return ")
    assert json.loads(Path("runs/Mine-v0/mine/s0/config.json").read_text())["imports"] == ["mine_module"]


def test_a_run_tells_where_it_is_and_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", *SHORT, *SMALL, *QUIET])
    folder = Path("runs/tests-Oracle-v0-max_episode_steps=10/cem/s0")
    final = float(rows(folder)[-1]["final/return"])
    assert capsys.readouterr().out == f"{folder}: final return {final:.1f} at 240 steps\n"
    names = {path.name.partition(".tfevents")[0] for path in folder.iterdir()}
    assert names == {"config.json", "versions.json", "progress.csv", "state.pt", "answer.pt", "events.out"}


def test_flags_are_the_fields_of_the_config() -> None:
    main(["train", *SHORT, *SMALL, *QUIET, "--seed", "3", "--tag", "x", "--network.hidden-sizes", "5", "6"])
    stored = json.loads(Path("runs/tests-Oracle-v0-max_episode_steps=10/cem/s3-x/config.json").read_text())
    assert stored["config"]["network"]["hidden_sizes"] == [5, 6]
    assert stored["config"]["preset"] == "quick"
    assert stored["config"]["variance_init"] == 0.01  # the preset's
    assert stored["config"]["env_kwargs"] == {"max_episode_steps": 10}
    assert stored["running"]["test_episodes"] == 2


def test_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["train", "cem", "--help"])
    assert raised.value.code == 0
    out = capsys.readouterr().out
    for flag in ("--env-id", "--total-timesteps", "--variance-init", "--resume", "--overwrite", "--import"):
        assert flag in out
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", registry.installed())
def test_no_two_settings_of_an_algorithm_share_a_flag(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own stand beside those of the run; a name that both have cannot be parsed."""
    with pytest.raises(SystemExit) as ended:
        main(["train", name, "--help"])
    assert ended.value.code == 0
    assert "--env-id" in capsys.readouterr().out


def test_help_without_an_algorithm_names_the_algorithms(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--help"])
    assert "cem" in capsys.readouterr().out


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "progress.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = checkpoint.read(folder / "state.pt")["state"]
    found["ledger"].pop("seconds")
    found["ledger"]["steps"].pop("restored")
    return found


def fail_at(patch: pytest.MonkeyPatch, at: int) -> None:
    """Let the oracle's step number `at` from now on raise."""
    step, taken = Oracle.step, [0]

    def failing(self: Oracle, action: Any) -> Any:
        taken[0] += 1
        if taken[0] == at:
            raise OSError("the cable\ncame off")
        return step(self, action)

    patch.setattr(Oracle, "step", failing)


@pytest.fixture
def interrupted(complaint: Complaint, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose environment failed in the fourth generation; tests are off."""
    with monkeypatch.context() as patch:
        fail_at(patch, 3 * 40 + 4 * 5 + 2)
        line = complaint(*SHORT, *SMALL, *QUIET, "--test-interval", "0", code=1)
    assert line == f"{ORACLE}, member 1, step 6 of its episode: step raised OSError: the cable came off"
    return Path("runs/tests-Oracle-v0-max_episode_steps=10/cem/s0")


def test_after_a_fault_of_the_environment_the_last_checkpoint_and_all_that_was_logged_stand(interrupted: Path) -> None:
    assert state(interrupted)["generation"] == 3
    assert [row["generation"] for row in rows(interrupted)] == ["0", "1", "2", "3"]
    events = EventAccumulator(str(interrupted), size_guidance={"scalars": 0}).Reload()
    assert [event.step for event in events.Scalars("fitness/best")] == [40, 80, 120]
    assert not (interrupted / "answer.pt").exists()


def test_a_run_is_resumed_from_the_command_line(interrupted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "cem", "--resume", str(interrupted)])
    assert capsys.readouterr().out == f"{interrupted}: not tested at 240 steps\n"
    main(["train", *SHORT, *SMALL, *QUIET, "--test-interval", "0", "--tag", "whole"])
    assert same(state(interrupted), state(interrupted.with_name("s0-whole")))


def test_a_run_begun_from_python_is_resumed_by_the_command_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_climber.py").write_text("from evorl.algorithms.cem import CEM\n\n\nclass Climber(CEM): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    climber = importlib.import_module("own_climber").Climber
    config = climber.preset("quick", env_id=ORACLE, env_kwargs={"max_episode_steps": 10}, total_timesteps=960)
    running = evorl.Running(progress=False, checkpoint_seconds=0, test_interval=0)
    with monkeypatch.context() as patch:
        fail_at(patch, 700)
        with pytest.raises(evorl.errors.EnvironmentFault):
            evorl.train(config, running, algorithm=climber)
    folder = Path(f"runs/{ORACLE.replace('/', '-')}-max_episode_steps=10/climber/s0")
    main(["train", "climber", "--resume", str(folder)])
    assert capsys.readouterr().out.startswith(f"{folder}: not tested at ")


def test_flags_that_agree_may_be_given_again(interrupted: Path) -> None:
    main(["train", *SHORT, *SMALL, "--resume", str(interrupted)])
    assert (interrupted / "answer.pt").exists()


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (["--seed", "1"], "config.seed: 0 -> 1"),
        (["--total-timesteps", "400"], "config.total_timesteps: 240 -> 400"),
        (["--network.hidden-sizes", "3"], "config.network.hidden_sizes: [32, 32] -> [3]"),
        (["--env-id", "Pendulum-v1"], f"config.env_id: {ORACLE} -> Pendulum-v1"),
        (["--preset", "common"], "config.preset: quick -> common"),
        (["--test-episodes", "5"], "running.test_episodes: 2 -> 5"),
    ],
)
def test_a_flag_that_does_not_agree_with_the_run_to_resume_is_named(
    interrupted: Path, flags: list[str], found: str, complaint: Complaint
) -> None:
    line = complaint("cem", "--resume", str(interrupted), *flags)
    assert line == f"--resume must find the settings it is given, got {found}"


def test_a_run_is_not_resumed_as_another_algorithm(interrupted: Path, complaint: Complaint) -> None:
    line = complaint("td3", "--resume", str(interrupted))
    ours, theirs = "evorl.algorithms.td3:TD3", "evorl.algorithms.cem:CEM"
    assert line == f"--resume must be given a run of {ours}, got one of {theirs}"


def test_an_edited_config_is_noticed(interrupted: Path, complaint: Complaint) -> None:
    stored = json.loads((interrupted / "config.json").read_text())
    stored["config"]["seed"] = 7
    (interrupted / "config.json").write_text(json.dumps(stored))
    line = complaint("cem", "--resume", str(interrupted))
    assert line == f"{interrupted / 'state.pt'} must be of the same run as config.json, got config.seed: 0 -> 7"


@pytest.mark.parametrize("library", ["torch", "numpy", "evorl", "python"])
def test_another_version_is_noticed(interrupted: Path, library: str, complaint: Complaint) -> None:
    content = torch.load(interrupted / "state.pt", weights_only=True)
    now, content["versions"][library] = content["versions"][library], "0.0"
    torch.save(content, interrupted / "state.pt")
    line = complaint("cem", "--resume", str(interrupted))
    assert line == f"--resume needs the versions the run began with, got {library}: 0.0 -> {now}"


def test_a_cut_checkpoint_is_noticed(interrupted: Path, complaint: Complaint) -> None:
    whole = (interrupted / "state.pt").read_bytes()
    (interrupted / "state.pt").write_bytes(whole[: len(whole) * 2 // 3])
    line = complaint("cem", "--resume", str(interrupted))
    assert line.startswith(f"{interrupted / 'state.pt'} is cut or altered: ")


def test_a_flipped_bit_is_noticed(interrupted: Path, complaint: Complaint) -> None:
    whole = bytearray((interrupted / "state.pt").read_bytes())
    place = whole.index(state(interrupted)["strategy"]["variance"].numpy().tobytes()) + 100
    whole[place] ^= 1
    (interrupted / "state.pt").write_bytes(whole)
    line = complaint("cem", "--resume", str(interrupted))
    assert line.startswith(f"{interrupted / 'state.pt'} is cut or altered: the checksum of ")


def test_nothing_cannot_be_resumed(complaint: Complaint) -> None:
    line = complaint("cem", "--resume", "runs/nothing")
    assert line == "run must be a run folder with a config.json, got runs/nothing"
    assert not Path("runs").exists()


def test_a_finished_run_cannot_be_resumed(interrupted: Path, complaint: Complaint) -> None:
    main(["train", "cem", "--resume", str(interrupted)])
    line = complaint("cem", "--resume", str(interrupted))
    assert line == f"run must be unfinished to be resumed, got {interrupted}, which is finished"


def test_an_interrupted_run_in_the_folder_is_not_replaced_unless_told(interrupted: Path, complaint: Complaint) -> None:
    words = [*SHORT, *SMALL, *QUIET]
    line = complaint(*words)
    assert line.startswith(f"{interrupted} holds an interrupted run; give --resume or --overwrite")
    assert state(interrupted)["generation"] == 3
    main(["train", *words, "--overwrite"])
    assert (interrupted / "answer.pt").exists()


def test_a_finished_run_in_the_folder_is_not_replaced_unless_told(complaint: Complaint) -> None:
    words = [*SHORT, *SMALL, *QUIET]
    main(["train", *words])
    folder = Path("runs/tests-Oracle-v0-max_episode_steps=10/cem/s0")
    before = (folder / "answer.pt").read_bytes()
    assert complaint(*words).startswith(f"{folder} holds a finished run; give --overwrite to replace it, or --tag")
    assert (folder / "answer.pt").read_bytes() == before
    main(["train", *words, "--tag", "again"])
    main(["train", *words, "--overwrite"])


# Killing the process for real.

PRESET = ["--preset", "quick", "--checkpoint-seconds", "0", "--no-progress", "--test-episodes", "2"]
CYCLES = ["--warmup-steps", "200", "--interval", "200", "--final-episodes", "3"]
ONE = ["--env-id", "Pendulum-v1"]
FOUR = [*ONE, "--population-size", "4"]
TUNED = ["--total-timesteps", "8000", "--window", "1", *CYCLES]
KILLED = {
    "cem Pendulum": ["cem", "--env-id", "Pendulum-v1", "--population-size", "4", "--total-timesteps", "80000"],
    "td3 Pendulum": ["td3", "--env-id", "Pendulum-v1", "--total-timesteps", "5000", *CYCLES],
    "cem HalfCheetah": ["cem", "--env-id", "HalfCheetah-v5", "--population-size", "2", "--total-timesteps", "60000"],
    "cem-rl Pendulum": ["cem-rl", *FOUR, "--total-timesteps", "8000", "--start-steps", "800"],
    "erl Pendulum": ["erl", *FOUR, "--total-timesteps", "10000", "--start-steps", "500"],
    "p3s-td3 Pendulum": ["p3s-td3", *FOUR, "--total-timesteps", "10000", "--final-episodes", "3"],
    "pbt Pendulum": ["pbt", *FOUR, "--total-timesteps", "10000", "--burn-in", "400", "--window", "1", *CYCLES],
    "svpg swing-up": ["svpg", "--env-id", "evorl/CartPoleSwingUp-v0", "--total-timesteps", "100000"],
    "ga Pendulum": ["ga", *FOUR, "--total-timesteps", "80000"],
    "ddpg Pendulum": ["ddpg", *ONE, "--total-timesteps", "5000", *CYCLES],
    "sac Pendulum": ["sac", *ONE, "--total-timesteps", "3000", *CYCLES],
    "a2c Pendulum": ["a2c", *ONE, "--total-timesteps", "10000", "--interval", "200"],
    "ppo Pendulum": ["ppo", *ONE, "--total-timesteps", "10000"],
    "pb2 Pendulum": ["pb2", *FOUR, "--burn-in", "400", *TUNED],
    "pb2-mix Pendulum": ["pb2-mix", *FOUR, "--burn-in", "400", *TUNED, "--space", "tau=categorical:0.005,0.05"],
    "pb2-mult Pendulum": ["pb2-mult", *FOUR, "--burn-in", "400", *TUNED, "--space", "tau=categorical:0.005,0.05"],
    "pb2-rand Pendulum": ["pb2-rand", *FOUR, "--burn-in", "400", *TUNED, "--space", "tau=categorical:0.005,0.05"],
    "pbt-es Pendulum": ["pbt-es", *FOUR, "--burn-in", "400", *TUNED],
    "mf-pbt Pendulum": ["mf-pbt", *ONE, "--population-size", "8", "--ratios", "1", "2", "--burn-in", "400", *TUNED],
    "follow Pendulum": ["follow", *ONE, "--total-timesteps", "5000", *CYCLES],
    "random-search Pendulum": ["random-search", *FOUR, *TUNED],
    "grid-search Pendulum": ["grid-search", *ONE, *TUNED],
    "bayesian-search Pendulum": ["bayesian-search", *FOUR, *TUNED],
    "successive-halving Pendulum": ["successive-halving", *FOUR, *TUNED],
    "td3 HalfCheetah": ["td3", "--env-id", "HalfCheetah-v5", "--total-timesteps", "4000", *CYCLES],
}


def launch(words: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "evorl", "train", *words]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **quiet)  # type: ignore[call-overload,no-any-return]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if is_of_the_run(tag)]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def is_of_the_run(tag: str) -> bool:
    return not tag.startswith("time/") and tag != "budget/restored_steps"


def test_every_algorithm_is_killed() -> None:
    built_in = {name for name, path in registry.installed().items() if path.startswith("evorl.algorithms.")}
    assert {words[0] for words in KILLED.values()} == built_in - {"pb2-multi"}  # which is pb2-mult


@pytest.mark.slow
@pytest.mark.parametrize("words", KILLED.values(), ids=KILLED)
def test_a_process_killed_at_random_moments_and_resumed_equals_one_that_was_not(words: list[str]) -> None:
    moments = random.Random(" ".join(words))  # noqa: S311
    assert launch([*words, *PRESET, "--runs", "whole"]).wait() == 0
    (whole,) = (path.parent for path in Path("whole").rglob("config.json"))
    folder = "cut" / whole.relative_to("whole")
    kills, resumes = 0, 0
    while not (folder / "answer.pt").exists():
        resume = (folder / "state.pt").exists()
        begin = [*words, *PRESET, "--runs", "cut", "--overwrite"]
        process = launch([words[0], "--resume", str(folder)] if resume else begin)
        resumes += resume
        if kills < 4:
            kills += kill(process, folder, moments)
        assert process.wait() in (0, -signal.SIGKILL)
    assert kills >= 2
    assert resumes >= 2
    assert same(state(folder), state(whole))
    for name in ("answer", "answer_steps", "final_return"):
        assert same(checkpoint.read(folder / "state.pt")[name], checkpoint.read(whole / "state.pt")[name])
    ours, theirs = ([{k: v for k, v in row.items() if is_of_the_run(k)} for row in rows(f)] for f in (folder, whole))
    assert ours == theirs
    assert scalars(folder) == scalars(whole)
    assert math.isfinite(float(theirs[-1]["final/return"]))


def kill(process: subprocess.Popen[bytes], folder: Path, moments: random.Random) -> int:
    """Kill a process a while after it has written a checkpoint of its own; return how many were killed."""
    written = folder / "state.pt"
    before = written.stat().st_mtime_ns if written.exists() else 0
    while process.poll() is None and not (written.exists() and written.stat().st_mtime_ns != before):
        time.sleep(0.01)
    time.sleep(moments.uniform(0, 0.4))
    if process.poll() is None and not (folder / "answer.pt").exists():
        process.kill()
    return int(process.wait() == -signal.SIGKILL)
