"""A package of someone else's that registers an algorithm by entry point stands beside the built-in ones everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import evorl
from evorl import cli
from evorl.errors import ConfigError
from evorl.running import registry

MODULE = '''
from evorl.template import Config, EvoRL


class Shrinking(EvoRL[Config]):
    """Parents become smaller."""

    name = "shrinking"
    presets = {"published": {}, "common": {}, "quick": {"population_size": 2}}

    def vary(self, parents):
        return parents.with_params(0.9 * parents.params)

    def evaluate(self, candidates):
        return self.play_fitness(candidates)
'''
METADATA = "Metadata-Version: 2.1\nName: someone-elses\nVersion: 1.0\n"
ENTRY_POINTS = "[evorl.algorithms]\nshrinking = someone_elses:Shrinking\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds what `pip install --target` writes, on the path of this process and of those it starts."""
    target = tmp_path / "target"
    info = target / "someone_elses-1.0.dist-info"
    info.mkdir(parents=True)
    (target / "someone_elses.py").write_text(MODULE)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (info / "RECORD").write_text("someone_elses.py,,\n")
    monkeypatch.syspath_prepend(str(target))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")])))
    monkeypatch.chdir(tmp_path)
    return target


def test_it_is_listed_trained_swept_and_compared(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = subprocess.run([sys.executable, "-m", "evorl", "list"], capture_output=True, text=True, check=True).stdout
    assert any(line.split() and line.split()[0] == "shrinking" for line in listed.splitlines())
    small = ["--total-timesteps", "400", "--test-episodes", "1", "--final-episodes", "1", "--no-progress"]
    cli.main(["train", "shrinking", "--env-id", "Pendulum-v1", "--preset", "quick", "--seed", "1", *small])
    sweep = ["sweep", "--algorithms", "shrinking", "cem", "--env-ids", "Pendulum-v1", "--seeds", "1"]
    population = ["--population-size", "2"]
    cli.main([*sweep, "--total-timesteps", "400", "--preset", "quick", "--", *small[2:], *population])
    capsys.readouterr()
    cli.main(["compare", "runs"])
    printed = capsys.readouterr().out
    assert "| Pendulum-v1 | shrinking " in printed
    assert "| Pendulum-v1 | cem " in printed
    assert evorl.load("runs/Pendulum-v1/shrinking/s0").member.params.shape[0] == 1
    evorl.check_algorithm(registry.find("shrinking"))


def test_a_package_that_is_broken_says_so_by_name_and_stops_nobody_else(installed: Path) -> None:
    (installed / "someone_elses.py").write_text("import nothing_of_this_name\n")
    sys.modules.pop("someone_elses", None)
    assert "shrinking" in registry.installed()
    assert registry.find("cem").name == "cem"
    with pytest.raises(ConfigError, match=r"^algorithm shrinking cannot be imported: .*nothing_of_this_name"):
        registry.find("shrinking")
