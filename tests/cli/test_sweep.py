"""`evorl sweep`: every run checked before the first begins, what is finished skipped, a failure told and survived."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support import ORACLE, Oracle

from evorl.cli import main
from evorl.cli.sweep import Sweep, _job
from evorl.running import checkpoint

SMALL = ["--total-timesteps", "80", "--preset", "quick"]
FURTHER = ["--env-kwargs", "max_episode_steps=10", "--population-size", "4", "--final-episodes", "2"]
SWEEP = ["sweep", "--algorithms", "cem", "--env-ids", ORACLE]
FOLDER = Path("runs/tests-Oracle-v0-max_episode_steps=10/cem")


class InProcess:
    """Stands for `subprocess.run`: runs the command in this process, which knows the oracle."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, words: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert list(words[:3]) == [sys.executable, "-m", "evorl"]
        self.commands.append(list(words[3:]))
        try:
            main([*words[3:]])
        except SystemExit as end:
            return subprocess.CompletedProcess(list(words), int(str(end.code)))
        return subprocess.CompletedProcess(list(words), 0)


@pytest.fixture(autouse=True)
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    monkeypatch.chdir(tmp_path)
    found = InProcess()
    monkeypatch.setattr("evorl.running.sweep.subprocess.run", found)
    monkeypatch.setattr("evorl.running.folder._commit", lambda: "none")
    return found


def sweep(*words: str) -> int:
    """Sweep and return the exit code."""
    try:
        main([*SWEEP, *SMALL, *words, "--", *FURTHER, "--no-progress", "--checkpoint-seconds", "0"])
    except SystemExit as end:
        return int(str(end.code))
    return 0


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was told of runs, without those that only began, and the last line."""
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if not line.strip().startswith("begun") and not line.startswith("runs/")]


def test_every_seed_is_run(processes: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--seeds", "3") == 0
    assert sorted(path.parent.name for path in FOLDER.rglob("answer.pt")) == ["s0", "s1", "s2"]
    *runs, last = told(capsys)
    assert [line.split()[:2] for line in runs] == [["finished", str(FOLDER / f"s{seed}")] for seed in range(3)]
    assert last == "3 of 3 runs are finished; evorl compare runs"
    seeds = [words[words.index("--seed") + 1] for words in processes.commands]
    assert seeds == ["0", "1", "2"]


def test_a_second_sweep_skips_what_is_finished(processes: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    sweep("--seeds", "1")
    processes.commands.clear()
    capsys.readouterr()
    assert sweep("--seeds", "2") == 0
    assert len(processes.commands) == 1
    assert [line.split()[0] for line in told(capsys)] == ["skipped", "finished", "2"]


def fail_in_the_second_generation(patch: pytest.MonkeyPatch, seed: int) -> None:
    """Let the oracle fail in the second generation of one of the sweep's runs; a run of 80 steps has two."""
    step, taken = Oracle.step, [0]
    tests_and_runs = seed * (2 * 10 * 10 + 100 + 2 * 10) + 10 * 10 + 40 + 10 * 10 + 5

    def failing(self: Oracle, action: Any) -> Any:
        taken[0] += 1
        if taken[0] == tests_and_runs:
            raise OSError("gone")
        return step(self, action)

    patch.setattr(Oracle, "step", failing)


def test_one_run_that_fails_does_not_stop_the_others_and_is_told_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_in_the_second_generation(patch, 0)
        assert sweep("--seeds", "2") == 1
    out, err = capsys.readouterr()
    assert "1 of 2 runs are finished" in out
    assert err.splitlines()[-1] == f"evorl: 1 runs failed: {FOLDER / 's0'}"
    assert not (FOLDER / "s0/answer.pt").exists()
    assert (FOLDER / "s1/answer.pt").exists()


def test_the_same_command_resumes_what_was_cut(
    processes: InProcess, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_in_the_second_generation(patch, 0)
        assert sweep("--seeds", "2") == 1
    assert checkpoint.read(FOLDER / "s0/state.pt")["state"]["generation"] == 1
    processes.commands.clear()
    capsys.readouterr()
    assert sweep("--seeds", "2") == 0
    assert processes.commands == [["train", "cem", "--resume", str(FOLDER / "s0")]]
    assert (FOLDER / "s0/answer.pt").exists()
    assert sorted(line.split()[0] for line in told(capsys)[:-1]) == ["resumed", "skipped"]


@pytest.mark.parametrize(
    ("algorithms", "further"), [(["cem", "cem"], []), (["pb2-mult", "pb2-multi"], []), (["cem"], ["--seed", "7"])]
)
def test_runs_that_would_share_a_folder_are_refused(
    algorithms: list[str], further: list[str], processes: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["sweep", "--algorithms", *algorithms, "--env-ids", "Pendulum-v1", "--seeds", "2", "--", *further])
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("evorl: every run of a sweep must have a folder of its own, got runs/Pendulum-v1/")
    assert processes.commands == []


def test_one_algorithm_is_run_as_published_and_several_with_common_settings(processes: InProcess) -> None:
    for algorithms, preset in ((["cem"], "published"), (["cem", "td3"], "common")):
        processes.commands.clear()
        many = ["sweep", "--algorithms", *algorithms, "--env-ids", "Pendulum-v1", "--seeds", "1"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("evorl.running.sweep.subprocess.run", lambda words, **_: noted(processes, words))
            main([*many, "--total-timesteps", "20000"])
        assert [words[words.index("--preset") + 1] for words in processes.commands] == [preset] * len(algorithms)


def noted(processes: InProcess, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    processes.commands.append(list(words[3:]))
    return subprocess.CompletedProcess(list(words), 0)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--algorithms", "cem", "td", "--env-ids", "Pendulum-v1"], "got 'td'; did you mean 'td3'?"),
        (["--algorithms", "cem", "--env-ids", "Pendulum-v1", "Pendulum-v2"], "got 'Pendulum-v2'; did you mean"),
        (["--algorithms", "cem", "--env-ids", "Pendulum-v1", "CartPole-v1"], "must name a task with Box actions"),
        (
            ["--algorithms", "cem", "--env-ids", "Pendulum-v1", "--", "--population-size", "5"],
            "population_size must be even to mirror samples, got 5",
        ),
        (
            ["--algorithms", "cem", "--env-ids", "Pendulum-v1", "--total-timesteps", "10"],
            "total_timesteps must be at least 2000, which one generation can take, got 10",
        ),
        (["--algorithms", "cem", "--env-ids", "Pendulum-v1", "--seeds", "0"], "seeds must be at least 1, got 0"),
        (["--algorithms", "cem", "--env-ids", "Pendulum-v1", "--workers", "0"], "workers must be at least 1, got 0"),
        (["--algorithms", "cem", "--env-ids", "Pendulum-v1", "--preset", "quik"], "did you mean 'quick'?"),
        (["--algorithms", "cem", "--env-ids", "Pendulum-v1", "--import", "not_there"], "No module named 'not_there'"),
        (["--algorithms", "cem", "--env-ids", "Pendulum-v1", "--", "--sede", "3"], "--sede"),
        (["--algorithms", "cem"], "--env-ids"),
        (["--algorithm", "cem", "--env-ids", "Pendulum-v1"], "--algorithms"),
    ],
)
def test_every_run_is_checked_before_the_first_begins(
    words: list[str],
    line: str,
    processes: InProcess,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evorl.running.sweep.subprocess.run", lambda words, **_: noted(processes, words))
    with pytest.raises(SystemExit) as raised:
        main(["sweep", *words])
    err = capsys.readouterr().err
    assert line in err
    assert len(err.splitlines()) == 1
    assert raised.value.code == 2
    assert processes.commands == []
    assert not Path("runs").exists()


def test_ctrl_c_ends_a_sweep_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evorl.cli.sweep.sweep", pressed)
    assert sweep("--seeds", "1") == 130
    assert capsys.readouterr().err == "evorl: sweep interrupted; the same command goes on with it\n"


@pytest.mark.slow
def test_a_sweep_runs_each_run_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        words = ["--algorithms", "cem", "td3", "--env-ids", "Pendulum-v1", "--seeds", "2", "--workers", "2"]
        quick = ["--preset", "quick", "--total-timesteps", "2000", "--runs", folder]
        main(["sweep", *words, *quick])
        assert len(list(Path(folder).rglob("answer.pt"))) == 4
        assert "4 of 4 runs are finished" in capsys.readouterr().out
        main(["sweep", *words, *quick])
        assert capsys.readouterr().out.count("skipped") == 4


def test_a_choice_of_learner_is_not_taken_for_a_module_to_import() -> None:
    asked = Sweep(algorithms=("erl",), env_ids=("Pendulum-v1",), import_=("support",))
    assert _job(asked, ["learner:td3"], 0, "Pendulum-v1", "erl").settings["learner"]["kind"] == "TD3Config"
