"""The page on schedules does what it says: its commands and blocks run as they stand, on less."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from evorl import cli
from evorl.hyperparameters import Schedule

PAGE = (Path(__file__).parent.parent / "docs/schedules.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
#: What makes the commands of the page end within seconds.
CHEAPER = {"--seeds": "2", "--total-timesteps": "4000"}
FURTHER = ["--population-size", "2", "--warmup-steps", "1950", "--final-episodes", "2", "--test-interval", "2000"]


def run(command: str) -> None:
    """Run a command of the page, on a smaller budget."""
    words = shlex.split(command)
    assert words[0] == "evorl"
    cheaper = [CHEAPER.get(before, word) for before, word in itertools.pairwise(words)]
    cheaper = [
        "3960" if before == "--warmup-steps" else word for before, word in zip(["", *cheaper], cheaper, strict=False)
    ]
    cli.main([*cheaper, *(FURTHER if cheaper[:2] == ["train", "pbt"] else [])])


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert [language for language, _ in BLOCKS] == ["sh", "sh", "python", "python"]
    for language, block in BLOCKS:
        if language == "python":
            exec(block, {})  # noqa: S102
        for line in block.replace("\\\n", "").strip().splitlines() if language == "sh" else []:
            run(line)
    printed = capsys.readouterr().out
    assert "the same bits: True" in printed
    assert "| winner " in printed
    assert "| fixed, final " in printed
    found = tmp_path / "runs/Pendulum-v1/pbt/s0"
    assert {"schedule.png", "hyperparameters.png", "followed.md", "followed.png"} <= {
        path.name for path in found.iterdir()
    }
    assert (tmp_path / "runs/Pendulum-v1/follow/s1001-pbt-s0-final/answer.pt").exists()
    assert Schedule.read(tmp_path / "final.json") == Schedule.read(found / "schedule.json").fixed("final")


def test_the_file_on_the_page_is_one(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^    \{\n.*?^    \}\n", PAGE, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "schedule.json").write_text(shown)
    schedule = Schedule.read(tmp_path / "schedule.json")
    assert (schedule.steps, schedule.starts, schedule.at(3000)["discount"]) == (5000, (0, 2000), 0.9978)
