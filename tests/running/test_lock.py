"""One process at a time writes a run folder, and a run can be resumed from its first moment and its last test."""

from pathlib import Path
from typing import Any

import pytest

import evorl
from evorl.algorithms.cem import CEM, Config
from evorl.errors import RunFolderError
from evorl.running import testing
from evorl.running.folder import RunFolder

CONFIG: Config = CEM.preset("quick", env_id="evorl/Quadratic-v0", total_timesteps=40)


def running(tmp_path: Path, **options: Any) -> evorl.Running:
    return evorl.Running(runs=str(tmp_path), progress=False, **options)


def test_a_folder_that_another_holds_is_refused_to_train_and_resume(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "evorl-Quadratic-v0" / "cem" / "s0")
    with folder.held(), pytest.raises(RunFolderError, match="is being written by another process"):
        evorl.train(CONFIG, running(tmp_path), overwrite=True)
    evorl.train(CONFIG, running(tmp_path))
    assert not folder.lock_file.exists()


def test_a_run_cut_in_its_last_test_goes_on_with_that_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evorl.train(CONFIG, running(tmp_path / "whole"))
    test = testing.Tester.test

    def cut(self: testing.Tester, member: evorl.Population, episodes: int) -> Any:
        if episodes == 100:
            raise KeyboardInterrupt
        return test(self, member, episodes)

    with monkeypatch.context() as patch:
        patch.setattr(testing.Tester, "test", cut)
        with pytest.raises(KeyboardInterrupt):
            evorl.train(CONFIG, running(tmp_path / "cut"))
    resumed = evorl.resume(tmp_path / "cut" / "evorl-Quadratic-v0" / "cem" / "s0")
    assert resumed.final_return == whole.final_return
    steps = [line.split(",")[0] for line in (resumed.folder / "progress.csv").read_text().splitlines()]
    assert steps == ["steps", "0", "10", "20", "30", "40"]


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
