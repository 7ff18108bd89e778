"""Sweeps: the order of the grid, and finished runs skipped, cut ones resumed, failed ones told of."""

import json
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from evorl.running.folder import RunFolder
from evorl.running.sweep import Job, Outcome, grid, log_of, sweep

FLAGS = ("--env-id", "Pendulum-v1")


class Processes:
    """Stands for `subprocess.run`: notes the commands, prints lines and ends with what it is told to."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.codes: dict[str, int] = {}

    def __call__(self, words: Sequence[str], stdout: Any, **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(list(words))
        algorithm = words[words.index("train") + 1]
        stdout.write(f"first\nthe last line of {algorithm}\n")
        return subprocess.CompletedProcess(list(words), self.codes.get(algorithm, 0))


CONFIG = {"seed": 0, "total_timesteps": 8}
TESTS = {"test_interval": None, "test_episodes": 10, "final_episodes": 100}


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    found = Processes()
    monkeypatch.setattr(subprocess, "run", found)
    return found


def job(folder: Path, algorithm: str, *files: str) -> Job:
    path = folder / "Pendulum-v1" / algorithm / "s0"
    if files:
        path.mkdir(parents=True)
    for name in files:
        (path / name).touch()
    if "config.json" in files:
        stored = {"format": 1, "algorithm": "m:A", "name": algorithm, "imports": [], "config": CONFIG, "running": TESTS}
        (path / "config.json").write_text(json.dumps(stored))
    return Job(algorithm, RunFolder(path), FLAGS, {**CONFIG, **TESTS})


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"total_timesteps": 9}, "total_timesteps: 8 -> 9"), ({"final_episodes": 10}, "final_episodes: 100 -> 10")],
)
def test_a_folder_that_holds_other_settings_is_neither_skipped_nor_resumed(
    changed: dict[str, int], told: str, tmp_path: Path, processes: Processes
) -> None:
    there = job(tmp_path, "cem", "config.json", "state.pt", "answer.pt")
    other = Job("cem", there.folder, FLAGS, {**there.settings, **changed})
    outcomes, _ = go(other)
    assert outcomes["cem"].how == "failed"
    assert outcomes["cem"].line.endswith(f"other settings: {told}")


def go(*jobs: Job, workers: int = 1) -> tuple[dict[str, Outcome], list[Outcome]]:
    told: list[Outcome] = []
    outcomes = sweep(jobs, workers, told.append)
    return {outcome.job.algorithm: outcome for outcome in outcomes}, told


def test_all_of_one_seed_come_before_the_next() -> None:
    assert list(grid(["a", "b"], ["x", "y"], 2)) == [
        (0, "x", "a"),
        (0, "x", "b"),
        (0, "y", "a"),
        (0, "y", "b"),
        (1, "x", "a"),
        (1, "x", "b"),
        (1, "y", "a"),
        (1, "y", "b"),
    ]


def test_a_new_run_is_begun(tmp_path: Path, processes: Processes) -> None:
    outcomes, _ = go(job(tmp_path, "cem"))
    assert [words[1:] for words in processes.commands] == [["-m", "evorl", "train", "cem", *FLAGS]]
    assert outcomes["cem"].how == "finished"


def test_a_finished_run_is_skipped(tmp_path: Path, processes: Processes) -> None:
    outcomes, _ = go(job(tmp_path, "cem", "config.json", "state.pt", "answer.pt"))
    assert processes.commands == []
    assert outcomes["cem"].how == "skipped"


def test_a_run_with_a_checkpoint_is_resumed(tmp_path: Path, processes: Processes) -> None:
    cut = job(tmp_path, "cem", "config.json", "state.pt")
    outcomes, _ = go(cut)
    assert processes.commands[0][3:] == ["train", "cem", "--resume", str(cut.folder.path)]
    assert outcomes["cem"].how == "resumed"


def test_a_run_cut_before_its_first_checkpoint_is_begun_anew(tmp_path: Path, processes: Processes) -> None:
    outcomes, _ = go(job(tmp_path, "cem", "config.json"))
    assert processes.commands[0][3:] == ["train", "cem", *FLAGS, "--overwrite"]
    assert outcomes["cem"].how == "finished"


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("code", [1, 2, -9, 130])
def test_a_run_that_fails_does_not_stop_the_others(
    tmp_path: Path, processes: Processes, workers: int, code: int
) -> None:
    processes.codes["td3"] = code
    outcomes, _ = go(*[job(tmp_path, name) for name in ("td3", "cem", "erl")], workers=workers)
    assert {name: outcome.how for name, outcome in outcomes.items()} == {
        "td3": "failed",
        "cem": "finished",
        "erl": "finished",
    }
    assert outcomes["td3"].line == "the last line of td3"


def test_what_a_run_prints_is_kept_beside_its_folder(tmp_path: Path, processes: Processes) -> None:
    one = job(tmp_path, "cem")
    _, told = go(one)
    assert log_of(one) == tmp_path / "Pendulum-v1/cem/s0.log"
    assert log_of(one).read_text() == "first\nthe last line of cem\n"
    assert not one.folder.path.exists()
    assert [outcome.how for outcome in told] == ["begun", "finished"]
    assert str(log_of(one)) in told[0].line


def test_a_run_is_told_of_when_it_begins_and_when_it_ends(tmp_path: Path, processes: Processes) -> None:
    processes.codes["td3"] = 1
    _, told = go(job(tmp_path, "td3"), job(tmp_path, "cem", "config.json", "answer.pt"))
    assert sorted((outcome.job.algorithm, outcome.how) for outcome in told) == [
        ("cem", "skipped"),
        ("td3", "begun"),
        ("td3", "failed"),
    ]


def test_a_run_that_prints_nothing_has_an_empty_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(words: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(list(words), 0)

    monkeypatch.setattr(subprocess, "run", silent)
    outcomes, _ = go(job(tmp_path, "cem"))
    assert outcomes["cem"].line == ""


def test_ctrl_c_starts_no_further_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Event()
    begun: list[str] = []

    class Threads(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            told.set()
            super().shutdown(wait=wait)

    def process(words: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        begun.append(words[words.index("train") + 1])
        if len(begun) > 1:  # it is under way when the key is pressed
            told.wait(60)
        return subprocess.CompletedProcess(list(words), 0)

    def pressed(outcome: Outcome) -> None:
        if outcome.how == "finished":
            raise KeyboardInterrupt

    monkeypatch.setattr("evorl.running.sweep.ThreadPoolExecutor", Threads)
    monkeypatch.setattr(subprocess, "run", process)
    with pytest.raises(KeyboardInterrupt):
        sweep([job(tmp_path, name) for name in "abcdefgh"], 1, pressed)
    assert begun in (["a"], ["a", "b"])
