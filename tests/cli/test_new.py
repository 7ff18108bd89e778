"""`evorl new`: the file it writes keeps the contract and trains; nothing is overwritten or shadowed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evorl.cli import main

ROOT = Path(__file__).parent.parent.parent
FILE = "my_hybrid.py"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one line with which `evorl new` ends with exit code 2."""
    with pytest.raises(SystemExit) as raised:
        main(["new", *words])
    assert raised.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return err.removeprefix("evorl: ").rstrip("\n")


def python(*words: str) -> str:
    """Return what a process of its own prints, which must end well."""
    limited = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=limited)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_it_says_what_to_do_with_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    main(["new", "my_hybrid"])
    told = "fill in the parts; python my_hybrid.py checks them, evorl train my-hybrid --import my_hybrid runs them"
    assert capsys.readouterr().out == f"{FILE}: {told}\n"


def test_the_file_keeps_the_contract_and_trains(here: Path) -> None:
    main(["new", "my_hybrid"])
    assert python(FILE) == "MyHybrid keeps the contract\n"
    asked = ["train", "my-hybrid", "--import", "my_hybrid", "--env-id", "Pendulum-v1", "--total-timesteps", "2000"]
    told = python("-m", "evorl", *asked, "--no-progress", "--test-episodes", "1", "--final-episodes", "1")
    assert told.startswith("runs/Pendulum-v1/my-hybrid/s0: final return -")
    assert (here / "runs/Pendulum-v1/my-hybrid/s0/answer.pt").exists()


@pytest.mark.parametrize("words", [["check"], ["format", "--check"]])
def test_the_file_pleases_the_linter(words: list[str]) -> None:
    main(["new", "my_hybrid"])
    python("-m", "ruff", *words, "--no-cache", "--config", str(ROOT / "ruff.toml"), FILE)


def test_the_names_of_class_and_algorithm_come_from_that_of_the_module(here: Path) -> None:
    (here / "own").mkdir()
    main(["new", "a_2nd_try", "--folder", "own"])
    text = (here / "own/a_2nd_try.py").read_text()
    assert "class A2ndTry(evorl.EvoRL[Config]):" in text
    assert 'name = "a-2nd-try"' in text
    assert "$" not in text


def test_nothing_is_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / FILE).write_text("mine")
    line = fails(capsys, "my_hybrid")
    assert line == f"name must be new, got 'my_hybrid' although {FILE} is there; nothing was written"
    assert (here / FILE).read_text() == "mine"


@pytest.mark.parametrize("name", ["my-hybrid", "MyHybrid", "2nd", "_own", "own_", "class", "a.b", "../own", ""])
def test_the_name_must_be_that_of_a_module(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, name)
    assert line == f"name must be that of a module, in small letters such as my_hybrid, got {name!r}"
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["cem_rl", "td3"])
def test_an_installed_algorithm_is_not_shadowed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, name) == f"name must not be that of an installed algorithm, got {name!r}"


@pytest.mark.parametrize("name", ["json", "msvcrt", "torch", "evorl"])
def test_no_module_is_shadowed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, name) == f"name must not be that of a module that can be imported already, got {name!r}"


def test_the_folder_must_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "my_hybrid", "--folder", "own") == "folder must be there already, got own"
