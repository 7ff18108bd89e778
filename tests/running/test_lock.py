"""One process at a time writes a run folder, and a run can be resumed from its first moment and its last test."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import evorl
from evorl.algorithms.cem import CEM, Config
from evorl.errors import ConfigError, RunFolderError
from evorl.running import checkpoint, testing
from evorl.running.folder import RunFolder

CONFIG: Config = CEM.preset("quick", env_id="evorl/Quadratic-v0", total_timesteps=40)


def running(tmp_path: Path, **options: Any) -> evorl.Running:
    return evorl.Running(runs=str(tmp_path), progress=False, **options)


def cut_in_the_last_test(monkeypatch: pytest.MonkeyPatch, config: Config, runs: Path) -> Path:
    """Begin a run that dies in the test of its answer; return its folder."""
    test = testing.Tester.test

    def cut(self: testing.Tester, member: evorl.Population, episodes: int) -> Any:
        if episodes == 100:
            raise KeyboardInterrupt
        return test(self, member, episodes)

    with monkeypatch.context() as patch:
        patch.setattr(testing.Tester, "test", cut)
        with pytest.raises(KeyboardInterrupt):
            evorl.train(config, running(runs))
    return runs / "evorl-Quadratic-v0" / "cem" / "s0"


def test_a_folder_that_another_holds_is_refused_to_train_and_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "evorl-Quadratic-v0" / "cem" / "s0")
    with folder.held(), pytest.raises(RunFolderError, match="is being written by another process"):
        evorl.train(CONFIG, running(tmp_path), overwrite=True)
    cut_in_the_last_test(monkeypatch, CONFIG, tmp_path)
    with folder.held(), pytest.raises(RunFolderError, match="is being written by another process"):
        evorl.resume(folder.path)
    evorl.resume(folder.path)
    assert not folder.lock_file.exists()


def test_a_checkpoint_is_read_only_while_the_folder_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_in_the_last_test(monkeypatch, CONFIG, tmp_path)
    folder, read = RunFolder(tmp_path / "evorl-Quadratic-v0" / "cem" / "s0"), checkpoint.read
    held = []

    def reading(path: Path, device: Any) -> dict[str, Any]:
        held.append(folder.lock_file.exists())
        return read(path, device)

    monkeypatch.setattr(checkpoint, "read", reading)
    evorl.resume(folder.path)
    assert held == [True]


@pytest.mark.parametrize("generations", [4, 1])
def test_a_run_cut_in_its_last_test_goes_on_with_that_test(
    generations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, total_timesteps=10 * generations)
    whole = evorl.train(config, running(tmp_path / "whole"))
    resumed = evorl.resume(cut_in_the_last_test(monkeypatch, config, tmp_path / "cut"))
    assert resumed.final_return == whole.final_return
    steps = [line.split(",")[0] for line in (resumed.folder / "progress.csv").read_text().splitlines()]
    assert steps == ["steps", *map(str, range(0, 10 * generations + 1, 10))]


def test_a_refused_run_takes_only_the_folders_away_that_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    unknown = replace(CONFIG, env_id="Nowhere-v0")
    for runs in (".", str(tmp_path / "mine"), "made/for/this"):
        with pytest.raises(ConfigError, match="Nowhere-v0"):
            evorl.train(unknown, evorl.Running(runs=runs, progress=False))
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_a_run_cut_in_its_first_test_goes_on_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: testing.Tester, member: evorl.Population, episodes: int) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(testing.Tester, "test", cut)
        with pytest.raises(KeyboardInterrupt):
            evorl.train(CONFIG, running(tmp_path / "cut"))
    resumed = evorl.resume(tmp_path / "cut" / "evorl-Quadratic-v0" / "cem" / "s0")
    assert resumed.final_return == evorl.train(CONFIG, running(tmp_path / "whole")).final_return


def test_who_is_refused_leaves_the_lock_to_who_holds_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "evorl-Quadratic-v0" / "cem" / "s0")
    with folder.held():
        for _ in range(2):
            with pytest.raises(RunFolderError, match="is being written by another process"):
                evorl.train(CONFIG, running(tmp_path), overwrite=True)
            assert folder.lock_file.exists()


def test_an_overwriting_that_is_cut_never_leaves_the_old_answer_without_its_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(evorl.train(CONFIG, running(tmp_path)).folder)
    removed: list[str] = []
    unlink = Path.unlink

    def cut(self: Path, missing_ok: bool = False) -> None:
        if self.parent == folder.path and not self.name.endswith((".lock", ".tmp")):
            removed.append(self.name)
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", cut)
    evorl.train(CONFIG, running(tmp_path), overwrite=True)
    assert removed[0] == "answer.pt"
    assert {"progress.csv", "state.pt", "versions.json"} <= set(removed[: removed.index("config.json")])
