"""The README does what it says: its blocks run as they stand."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import evorl
from evorl import cli

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def test_there_are_three_blocks_of_at_most_ten_lines() -> None:
    assert [language for language, _ in BLOCKS] == ["python", "sh", "python"]
    assert all(len(block.strip().splitlines()) <= 10 for _, block in BLOCKS)


def test_train_and_then_compare_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(BLOCKS[0][1], names)  # noqa: S102
    assert names["run"].final_return > -400, "it has learned: without, the return is about -1400"
    assert evorl.load(tmp_path / "runs/Pendulum-v1/td3/s0").act([1.0, 0.0, 0.0]) == names["action"]
    for line in BLOCKS[1][1].strip().splitlines():
        words = shlex.split(line)
        assert words[0] == "evorl"
        cli.main(words[1:])
    printed = capsys.readouterr().out
    assert "skipped  runs/Pendulum-v1/td3/s0" in printed
    assert "4 of 4 runs are finished" in printed
    assert "| Pendulum-v1 | td3 " in printed
    assert "over 20 episodes" in printed
    assert (tmp_path / "runs/_summary/comparison.png").stat().st_size > 10_000


def test_write_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, type[evorl.EvoRL[evorl.Config]]] = {}
    exec(BLOCKS[2][1], names)  # noqa: S102
    config = evorl.Config(env_id="Pendulum-v1", total_timesteps=10_000)
    evorl.check_algorithm(names["HillClimber"], config)
    run = evorl.train(config, algorithm=names["HillClimber"])
    assert run.folder == Path("runs/Pendulum-v1/hill-climber/s0")
    assert run.steps == 10_000
