"""The run folder: its name, what is written first, and what stands in the way."""

import json
from pathlib import Path
from typing import Any

import pytest
import sklearn
import torch

import evorl
from evorl.errors import RunFolderError
from evorl.running.folder import RunFolder, folder_name, library_versions, versions
from evorl.template import Config

STORED = {"algorithm": "m:A", "name": "a", "imports": [], "config": {}, "running": {}}


@pytest.mark.parametrize(
    ("settings", "tag", "expected"),
    [
        ({}, "", "Pendulum-v1/cem/s0"),
        ({"seed": 12}, "wide", "Pendulum-v1/cem/s12-wide"),
        ({"env_id": "evorl/Quadratic-v0"}, "", "evorl-Quadratic-v0/cem/s0"),
        ({"env_kwargs": {"g": 9.8, "a": True}}, "", "Pendulum-v1-a=True-g=9.8/cem/s0"),
        ({"env_id": "Ant-v5", "env_kwargs": {"xml_file": "my/ant.xml"}}, "", "Ant-v5-xml_file=my-ant.xml/cem/s0"),
        ({"env_kwargs": {"g": 9}, "delayed_reward": 20}, "", "Pendulum-v1-g=9-delayed_reward=20/cem/s0"),
    ],
)
def test_the_name_tells_task_variant_algorithm_seed_and_tag(settings: dict[str, Any], tag: str, expected: str) -> None:
    config = Config(**{"env_id": "Pendulum-v1", **settings})
    assert folder_name(config, "cem", tag) == Path(expected)


def test_tasks_that_differ_never_share_a_folder() -> None:
    variants: list[dict[str, Any]] = [{}, {"g": 9.8}, {"g": 9}, {"max_episode_steps": 9}]
    configs = [Config(env_id="Pendulum-v1", env_kwargs=variant) for variant in variants]
    configs += [Config(env_id="Pendulum-v1", delayed_reward=delay) for delay in (5, 20)]
    assert len({folder_name(config, "cem", "") for config in configs}) == len(configs)
    same: list[dict[str, Any]] = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]
    assert len({folder_name(Config(env_id="Pendulum-v1", env_kwargs=kwargs), "cem", "") for kwargs in same}) == 1


def test_creating_writes_config_and_versions(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "b")
    folder.create(STORED, overwrite=False)
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.json", "versions.json"]
    assert folder.read_config() == {"format": 1, **STORED}
    written = json.loads(folder.versions.read_text())
    assert written["exact"] is True
    assert {"platform", "commit", "command", *library_versions()} <= set(written)
    assert not folder.finished


def test_versions_are_those_that_numbers_depend_on() -> None:
    found = library_versions()
    assert set(found) == {"torch", "numpy", "gymnasium", "mujoco", "deap", "evorl", "python"}
    assert found["torch"] == torch.__version__
    assert found["evorl"] == evorl.__version__
    assert versions().items() >= found.items()


def test_versions_of_what_is_optional_are_written_down_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evorl.running.folder.OPTIONAL", ("scikit-learn", "not-a-package"))
    found = versions()
    assert found["scikit-learn"] == sklearn.__version__
    assert "not-a-package" not in found


def test_the_versions_tell_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["evorl", "train", "cem"])
    assert versions()["command"] == "evorl train cem"


@pytest.mark.parametrize(
    ("finished", "line"),
    [
        (False, "holds an interrupted run; give --resume or --overwrite, or --tag for another folder"),
        (True, "holds a finished run; give --overwrite to replace it, or --tag for another folder"),
    ],
)
def test_a_run_that_is_there_is_not_replaced_by_itself(tmp_path: Path, finished: bool, line: str) -> None:
    folder = RunFolder(tmp_path)
    folder.create(STORED, overwrite=False)
    if finished:
        folder.answer.touch()
    with pytest.raises(RunFolderError) as raised:
        folder.create({"other": 1}, overwrite=False)
    assert str(raised.value) == f"{tmp_path} {line}"
    assert folder.read_config() == {"format": 1, **STORED}


def test_overwriting_removes_all_of_the_earlier_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create(STORED, overwrite=False)
    for name in ("answer.pt", "state.pt", "progress.csv", "events.out.tfevents.1"):
        (folder.path / name).touch()
    folder.create(STORED, overwrite=True)
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.json", "versions.json"]


def test_a_folder_without_a_run_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    RunFolder(tmp_path).create(STORED, overwrite=True)
    assert (tmp_path / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "run must be a run folder with a config.json, got {path}"),
        ("{", "{path}/config.json is damaged: "),
        ("", "{path}/config.json is damaged: "),
        ('{"format": 2}', "{path}/config.json must have format 1, got 2"),
        ("{}", "{path}/config.json must have format 1, got None"),
        ("[1]", "{path}/config.json "),
    ],
)
def test_a_config_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, content: str | None, line: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunFolderError) as raised:
        RunFolder(tmp_path).read_config()
    assert str(raised.value).startswith(line.format(path=tmp_path))
    assert "\n" not in str(raised.value)
