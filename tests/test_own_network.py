"""The page on one's own network does what it says, and every algorithm keeps its contract with such a network."""

import dataclasses
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import evorl
from evorl import check_algorithm, cli
from evorl.conformance import small_config
from evorl.errors import ConfigError
from evorl.running import registry

PAGE = (Path(__file__).parent.parent / "docs/own_network.md").read_text()
(MODULE,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
(COMMANDS,) = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
STOCHASTIC = {"a2c", "ppo", "svpg", "sac"}
CHEAP = ["--total-timesteps", "2002", "--final-episodes", "2", "--test-episodes", "1", "--checkpoint-seconds", "0"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the module of the page in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "residual", raising=False)
    (tmp_path / "residual.py").write_text(MODULE)
    return tmp_path


def test_the_commands_of_the_page_train_and_compare(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in COMMANDS.strip().splitlines():
        words = shlex.split(line)[1:]
        cli.main([*words, *(CHEAP if words[0] == "train" else [])])
    printed = capsys.readouterr().out
    assert printed.count("residual:Residual") == 4, "the network of both, and what is changed in the preset of both"
    action = evorl.load(folder / "runs/Pendulum-v1/td3/s0-residual").act([1.0, 0.0, 0.0])
    assert np.abs(action) <= 2.0


def test_the_message_on_the_page_is_what_is_said(folder: Path) -> None:
    (shown,) = re.findall(r"^    evorl: (actor residual.*), got", PAGE, flags=re.MULTILINE)
    (folder / "residual.py").write_text(MODULE.replace("torch.tanh(", "(") + "# changed\n")
    with pytest.raises(ConfigError, match=f"^{re.escape(shown)}, got [0-9.e+]+$"):
        evorl.algorithms.td3.TD3.check(evorl.algorithms.td3.Config(env_id="Pendulum-v1", actor="residual:Residual"))


def test_a_killed_run_with_a_network_of_ones_own_goes_on_as_if_it_had_not_been(folder: Path) -> None:
    words = ["train", "cem", "--env-id", "Pendulum-v1", "--preset", "quick", "--actor", "residual:Residual", *CHEAP]
    words += ["--no-progress", "--total-timesteps", "12000", "--test-interval", "0"]
    cli.main([*words, "--runs", "whole"])
    begun = subprocess.Popen([sys.executable, "-m", "evorl", *words, "--runs", "cut"], cwd=folder)
    csv = folder / "cut/Pendulum-v1/cem/s0/progress.csv"
    for _ in range(3_000):
        if csv.exists() and len(csv.read_text().splitlines()) > 2:
            break
        time.sleep(0.02)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    assert not (csv.parent / "answer.pt").exists()
    assert json.loads((csv.parent / "config.json").read_text())["config"]["actor"] == "residual:Residual"
    cli.main(["train", "--resume", "cut/Pendulum-v1/cem/s0"])
    whole, cut = (evorl.load(f"{runs}/Pendulum-v1/cem/s0").member.params.numpy() for runs in ("whole", "cut"))
    np.testing.assert_array_equal(whole, cut)


@pytest.mark.parametrize("name", sorted(registry.installed()))
def test_every_algorithm_keeps_its_contract_with_a_network_of_ones_own(name: str) -> None:
    algorithm = registry.find(name)
    actor = "own_actors:Plain" if name in STOCHASTIC else "own_actors:Skip"
    config = dataclasses.replace(small_config(algorithm), actor=actor)
    check_algorithm(algorithm, config)
