"""Ctrl-C: the first ends a run after its generation with a checkpoint, the second at once."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import ORACLE, same

import evorl
from evorl.algorithms import cem
from evorl.errors import Interrupted
from evorl.policies import NetworkConfig
from evorl.running import checkpoint
from evorl.running.interrupts import interrupts

CONFIG = cem.Config(
    env_id=ORACLE,
    env_kwargs={"max_episode_steps": 5},
    population_size=4,
    total_timesteps=120,
    network=NetworkConfig(hidden_sizes=(4,)),
)


def running(folder: Path) -> evorl.Running:
    return evorl.Running(runs=str(folder), checkpoint_seconds=1e9, final_episodes=2, progress=False)


def state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = checkpoint.read(folder / "state.pt")["state"]
    found["ledger"].pop("seconds")
    found["ledger"]["steps"].pop("restored")
    return found


def interrupt_in(monkeypatch: pytest.MonkeyPatch, generation: int, times: int = 1) -> None:
    """Press Ctrl-C in the midst of a generation, counted from 0."""
    vary = cem.CEM.vary

    def pressed(self: Any, parents: Any) -> Any:
        if self.generation == generation:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return vary(self, parents)

    monkeypatch.setattr(cem.CEM, "vary", pressed)


def run_in(folder: Path) -> Path:
    (config,) = folder.rglob("config.json")
    return config.parent


def test_nothing_is_noted_without_a_signal() -> None:
    with interrupts() as interrupted:
        assert not interrupted()


def test_the_first_signal_is_noted_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    with interrupts() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
    assert capsys.readouterr().err.strip() == "ending after this generation; Ctrl-C again ends at once"


def test_the_second_signal_interrupts_at_once() -> None:
    with interrupts():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_handler_of_before_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(evorl.train(CONFIG, running(tmp_path))))
    thread.start()
    thread.join()
    assert results[0].steps == 120


def test_a_run_ends_after_its_generation_with_a_checkpoint_and_equals_the_uninterrupted_when_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = evorl.train(CONFIG, running(tmp_path / "whole")).folder
    with monkeypatch.context() as patch:
        interrupt_in(patch, 2)
        with pytest.raises(Interrupted) as raised:
            evorl.train(CONFIG, running(tmp_path / "cut"))
    folder = run_in(tmp_path / "cut")
    assert str(raised.value) == f"interrupted at 60 steps; go on with: evorl train cem --resume {folder}"
    assert raised.value.exit_code == 130
    assert state(folder)["generation"] == 3
    assert not (folder / "answer.pt").exists()
    evorl.resume(folder)
    assert same(state(folder), state(expected))


def test_a_signal_in_the_last_generation_lets_the_run_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupt_in(patch, 5)
        assert evorl.train(CONFIG, running(tmp_path)).steps == 120


def test_two_signals_end_a_run_in_the_midst_of_its_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupt_in(patch, 2, times=2)
        with pytest.raises(KeyboardInterrupt):
            evorl.train(CONFIG, running(tmp_path))
    folder = run_in(tmp_path)
    assert generations(folder) == [0, 1, 2]
    assert evorl.resume(folder).steps == 120, "it goes on from the beginning, where the last checkpoint stands"


def generations(folder: Path) -> list[int]:
    lines = (folder / "progress.csv").read_text().splitlines()
    column = lines[0].split(",").index("generation")
    return [int(float(line.split(",")[column])) for line in lines[1:]]


SCRIPT = "from evorl.cli import main; main()"
WORDS = ["train", "cem", "--env-id", "Pendulum-v1", "--population-size", "2", "--preset", "quick"]


def begin(folder: Path, total_timesteps: int, checkpoint_seconds: str = "0") -> subprocess.Popen[str]:
    flags = ["--total-timesteps", str(total_timesteps), "--checkpoint-seconds", checkpoint_seconds]
    tests = ["--test-interval", "0", "--runs", str(folder)]
    command = [sys.executable, "-c", SCRIPT, *WORDS, *flags, *tests]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def wait_for_checkpoint(process: subprocess.Popen[str], folder: Path) -> Path:
    while process.poll() is None:
        for found in folder.rglob("state.pt"):
            return found.parent
        time.sleep(0.02)
    raise RuntimeError(f"ended before its first checkpoint: {process.communicate()}")


@pytest.mark.slow
def test_ctrl_c_ends_the_process_with_130_and_the_resumed_run_equals_the_uninterrupted(tmp_path: Path) -> None:
    with begin(tmp_path / "cut", 40_000) as process:
        folder = wait_for_checkpoint(process, tmp_path / "cut")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("evorl: interrupted at ")
    assert "Traceback" not in err
    assert generations(folder) == list(range(state(folder)["generation"] + 1))
    evorl.resume(folder)
    config: cem.Config = cem.CEM.preset("quick", env_id="Pendulum-v1", population_size=2, total_timesteps=40_000)
    given = evorl.Running(runs=str(tmp_path / "whole"), test_interval=0, progress=False)
    assert same(state(folder), state(evorl.train(config, given).folder))


@pytest.mark.slow
def test_a_second_ctrl_c_ends_the_process_at_once_with_130(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    command = [sys.executable, "-c", SCRIPT, "train", "cem", "--env-id", "Endless-v0", "--import", "endless"]
    more = ["--test-interval", "0", "--runs", str(tmp_path / "runs")]
    with subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        stderr = process.stderr
        assert stderr is not None
        assert stderr.readline() == "stepping\n"
        process.send_signal(signal.SIGINT)
        assert [stderr.readline() for _ in range(2)][1].startswith("ending after this generation")
        process.send_signal(signal.SIGINT)
        err = stderr.read()
        assert process.wait(timeout=120) == 130
    assert err.splitlines()[-1] == "evorl: interrupted"
    assert "Traceback" not in err


ENDLESS = '''
import sys

import gymnasium
from gymnasium.spaces import Box


class Endless(gymnasium.Env):
    """An episode that never ends."""

    observation_space, action_space = Box(-1, 1, (1,)), Box(-1, 1, (1,))
    said = False

    def reset(self, *, seed=None, options=None):
        return self.observation_space.low, {}

    def step(self, action):
        if not Endless.said:
            Endless.said = True
            print("stepping", file=sys.stderr, flush=True)
        return self.observation_space.low, 0.0, False, False, {}


gymnasium.register("Endless-v0", entry_point=Endless)
'''
