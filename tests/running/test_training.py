"""Killed and resumed equals uninterrupted, bit for bit; what cannot be begun or resumed is refused in one line."""

import csv
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import ORACLE, counted, same, total_steps
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

import evorl
from evorl.algorithms import cem, td3
from evorl.errors import ConfigError, RunFolderError
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.running import answer, checkpoint, training
from evorl.running.folder import library_versions
from evorl.running.run import Run
from evorl.running.sinks import TensorBoard
from evorl.template import Config, EvoRL

TINY = NetworkConfig(hidden_sizes=(4,))
CEM = cem.Config(
    env_id="Pendulum-v1",
    env_kwargs={"max_episode_steps": 20},
    population_size=4,
    total_timesteps=640,
    network=TINY,
)
INTERVAL, LIMIT = 10, 35
#: Two members, in mid-episode at every checkpoint but the seventh; the warm-up ends within the second generation.
TD3 = td3.Config(
    env_id="Pendulum-v1",
    population_size=2,
    env_kwargs={"max_episode_steps": LIMIT},
    total_timesteps=160,
    warmup_steps=15,
    interval=INTERVAL,
    network=TINY,
    learner=TD3Config(critic=TINY, batch_size=8),
)
BOTH = pytest.mark.parametrize("config", [CEM, TD3], ids=["cem", "td3"])
GENERATIONS = 8


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def event_files_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files written within a second are told apart, and sorted, by a counter: let it have as many digits always."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(100_000))


def running(folder: Path, **settings: Any) -> evorl.Running:
    given = {"checkpoint_seconds": 0, "test_episodes": 2, "final_episodes": 3, "progress": False, **settings}
    return evorl.Running(runs=str(folder), **given)


def uninterrupted(config: Config, folder: Path, **settings: Any) -> Path:
    return evorl.train(config, running(folder, **settings)).folder


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The runs that were not interrupted, by the type of their config."""
    return {type(config).__module__: uninterrupted(config, tmp_path_factory.mktemp("whole")) for config in (CEM, TD3)}


@pytest.fixture
def expected(config: Config, wholes: dict[str, Path]) -> Path:
    """The run of the test's config that was not interrupted."""
    return wholes[type(config).__module__]


def cut(monkeypatch: pytest.MonkeyPatch, generation: int, go: Callable[[], object]) -> None:
    """Let `go` die when the records of `generation` are written and its checkpoint is not."""
    write = TensorBoard.write

    def dying(self: TensorBoard, record: dict[str, float]) -> None:
        write(self, record)
        if record["generation"] == generation:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(TensorBoard, "write", dying)
        with pytest.raises(Killed):
            go()


def run_in(folder: Path) -> Path:
    """Return the one run folder below `folder`."""
    (config,) = folder.rglob("config.json")
    return config.parent


def state(folder: Path) -> dict[str, Any]:
    """Return all that a checkpoint holds, but for what the clock and the resuming leave in it."""
    content = checkpoint.read(folder / "state.pt")
    content["state"]["ledger"].pop("seconds")
    content["state"]["ledger"]["steps"].pop("restored")
    for name in ("cut", "stored"):
        del content[name]
    return content


def progress(folder: Path) -> list[dict[str, str]]:
    with (folder / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{tag: value for tag, value in row.items() if is_of_the_run(tag)} for row in rows]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    tags = filter(is_of_the_run, events.Tags()["scalars"])
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def is_of_the_run(tag: str) -> bool:
    return not tag.startswith("time/") and tag != "budget/restored_steps"


def assert_equal_runs(found: Path, expected: Path) -> None:
    ours, theirs = state(found), state(expected)
    different = [name for name in theirs["state"] if not same(ours["state"][name], theirs["state"][name])]
    assert different == []
    assert same(ours, theirs)
    assert same(torch.load(found / "answer.pt")["member"], torch.load(expected / "answer.pt")["member"])
    assert progress(found) == progress(expected)
    assert scalars(found) == scalars(expected)


@BOTH
@pytest.mark.parametrize("generation", [2, 5, GENERATIONS])
def test_a_run_that_is_cut_and_resumed_equals_one_that_was_not(
    config: Config, generation: int, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(monkeypatch, generation, lambda: evorl.train(config, running(tmp_path)))
    folder = run_in(tmp_path)
    assert len(progress(folder)) == generation + 1  # one more than the checkpoint knows of
    result = evorl.resume(folder)
    assert result.folder == folder
    assert_equal_runs(folder, expected)
    assert len(progress(folder)) == GENERATIONS + 1
    assert result.final_return == float(progress(folder)[-1]["final/return"])


@BOTH
def test_a_run_may_be_cut_again_and_again(
    config: Config, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(monkeypatch, 2, lambda: evorl.train(config, running(tmp_path)))
    folder = run_in(tmp_path)
    for generation in (3, 3, 4, 7):
        cut(monkeypatch, generation, lambda: evorl.resume(folder))
    evorl.resume(folder)
    assert_equal_runs(folder, expected)


@BOTH
def test_a_checkpoint_some_generations_old_will_do(
    config: Config, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Run._save

    def seldom(self: Run) -> None:
        if self.algorithm.generation in (3, GENERATIONS):
            save(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_save", seldom)
        cut(patch, 6, lambda: evorl.train(config, running(tmp_path)))
    folder = run_in(tmp_path)
    assert len(progress(folder)) == 7
    evorl.resume(folder)
    assert_equal_runs(folder, expected)


@BOTH
def test_a_run_cut_between_its_last_checkpoint_and_its_answer_only_writes_the_answer(
    config: Config, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def dying(*given: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(answer, "save", dying)
        with pytest.raises(Killed):
            evorl.train(config, running(tmp_path))
    folder = run_in(tmp_path)
    with counted() as made:
        result = evorl.resume(folder)
    assert total_steps(made) == (2 * (GENERATIONS * INTERVAL % LIMIT) if config is TD3 else 0)  # restored only
    assert result.final_return == float(progress(expected)[-1]["final/return"])
    assert_equal_runs(folder, expected)


@BOTH
def test_all_steps_of_a_resumed_piece_are_in_the_ledger_restored_ones_too(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(monkeypatch, 4, lambda: evorl.train(config, running(tmp_path)))
    folder = run_in(tmp_path)
    before = checkpoint.read(folder / "state.pt")["state"]["ledger"]["steps"]
    with counted() as made:
        evorl.resume(folder)
    after = checkpoint.read(folder / "state.pt")["state"]["ledger"]["steps"]
    assert sum(after.values()) - sum(before.values()) == total_steps(made)
    assert after["restored"] == (2 * (3 * INTERVAL % LIMIT) if config is TD3 else 0)


@BOTH
def test_global_random_states_are_untouched(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def states() -> tuple[Any, ...]:
        return random.getstate(), repr(np.random.get_state(legacy=False)), torch.get_rng_state().tolist()  # noqa: NPY002

    before = states()
    cut(monkeypatch, 4, lambda: evorl.train(config, running(tmp_path)))
    assert states() == before
    evorl.resume(run_in(tmp_path))
    assert states() == before


@BOTH
def test_global_random_states_have_no_influence(config: Config, tmp_path: Path) -> None:
    folders = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        folders.append(uninterrupted(config, tmp_path / str(seed)))
    assert_equal_runs(*folders)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        cem.CEM.preset("quick", env_id="HalfCheetah-v5", population_size=2, total_timesteps=8_000),
        td3.TD3.preset("quick", env_id="HalfCheetah-v5", total_timesteps=1_600, warmup_steps=200, interval=200),
    ],
    ids=["cem", "td3"],
)
def test_halfcheetah_is_resumed_bit_for_bit(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = uninterrupted(config, tmp_path / "whole")
    cut(monkeypatch, 2, lambda: evorl.train(config, running(tmp_path / "cut")))
    folder = run_in(tmp_path / "cut")
    cut(monkeypatch, 3, lambda: evorl.resume(folder))
    evorl.resume(folder)
    assert_equal_runs(folder, expected)


ORACLE_TD3 = td3.Config(
    env_id=ORACLE,
    env_kwargs={"max_episode_steps": 7, "repeats": False},
    total_timesteps=50,
    warmup_steps=5,
    interval=5,
    network=TINY,
    learner=TD3Config(critic=TINY, batch_size=4),
)


def test_an_environment_that_does_not_repeat_itself_is_said_and_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(monkeypatch, 4, lambda: evorl.train(ORACLE_TD3, running(tmp_path)))
    folder = run_in(tmp_path)
    assert json.loads((folder / "versions.json").read_text())["exact"] is True
    capsys.readouterr()
    assert evorl.resume(folder).steps == 50
    said = capsys.readouterr().err.splitlines()
    told = f"{ORACLE} does not repeat itself; new episodes begin, and the run is marked exact: false"
    assert said == [f"{folder}: {told}"]
    assert json.loads((folder / "versions.json").read_text())["exact"] is False


def test_a_run_resumed_inexactly_once_stays_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut(monkeypatch, 4, lambda: evorl.train(ORACLE_TD3, running(tmp_path)))
    folder = run_in(tmp_path)
    cut(monkeypatch, 6, lambda: evorl.resume(folder))
    evorl.resume(folder)
    assert json.loads((folder / "versions.json").read_text())["exact"] is False


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of CEM with a checkpoint of its third generation."""
    cut(monkeypatch, 4, lambda: evorl.train(CEM, running(tmp_path)))
    return run_in(tmp_path)


def refused(folder: Path, **given: Any) -> str:
    """Return the line with which resuming is refused, having made sure that nothing in the folder changed."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else None
    with pytest.raises((RunFolderError, ConfigError)) as raised:
        evorl.resume(folder, **given)
    after = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else None
    assert after == before
    line = str(raised.value)
    assert "\n" not in line
    return line


def alter(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a checkpoint as another program would have written it, whole."""
    content = torch.load(folder / "state.pt", weights_only=True)
    change(content)
    torch.save(content, folder / "state.pt")


def test_freed_memory_is_kept_from_the_beginning_and_when_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(training, "keep_freed_memory", lambda: asked.append("keep"))
    cut(monkeypatch, 2, lambda: evorl.train(CEM, running(tmp_path)))
    assert asked == ["keep"]
    evorl.resume(run_in(tmp_path))
    assert asked == ["keep"] * 2


def test_nothing_is_not_resumed(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere") == f"run must be a run folder with a config.json, got {tmp_path / 'nowhere'}"


def test_a_run_without_a_checkpoint_is_not_resumed(interrupted: Path) -> None:
    (interrupted / "state.pt").unlink()
    assert refused(interrupted) == f"{interrupted} must hold state.pt, which is missing"


def test_a_finished_run_is_not_resumed(interrupted: Path) -> None:
    evorl.resume(interrupted)
    assert refused(interrupted) == f"run must be unfinished to be resumed, got {interrupted}, which is finished"


def test_a_run_of_another_version_is_not_resumed(interrupted: Path) -> None:
    alter(interrupted, lambda content: content["versions"].update(torch="1.4.0"))
    line = refused(interrupted)
    assert line == f"--resume needs the versions the run began with, got torch: 1.4.0 -> {torch.__version__}"


@pytest.mark.parametrize("library", ["numpy", "gymnasium", "mujoco", "deap", "evorl", "python"])
def test_every_version_that_numbers_depend_on_is_compared(interrupted: Path, library: str) -> None:
    assert library in library_versions()
    alter(interrupted, lambda content: content["versions"].update({library: "0"}))
    assert f"{library}: 0 -> " in refused(interrupted)


@pytest.mark.parametrize("text", [None, "{", ""])
def test_a_run_whose_versions_are_missing_or_damaged_is_not_resumed(interrupted: Path, text: str | None) -> None:
    path = interrupted / "versions.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(RunFolderError, match=rf"^{path} is missing or damaged: [^\n]*$"):
        evorl.resume(interrupted)


def test_a_run_whose_rows_are_fewer_than_its_checkpoint_knows_is_not_resumed(interrupted: Path) -> None:
    (interrupted / "progress.csv").write_text("steps\n")
    assert "must hold the" in refused(interrupted)


def test_a_run_of_another_config_is_not_resumed(interrupted: Path) -> None:
    stored = json.loads((interrupted / "config.json").read_text())
    stored["config"]["network"]["activation"] = "tanh"
    (interrupted / "config.json").write_text(json.dumps(stored))
    line = refused(interrupted)
    assert line.startswith(f"{interrupted / 'state.pt'} must be of the same run as config.json, got ")
    assert line.endswith("config.network.activation: relu -> tanh")


def test_a_run_of_another_class_is_not_resumed(interrupted: Path) -> None:
    stored = json.loads((interrupted / "config.json").read_text())
    stored["algorithm"] = "evorl.algorithms.td3:TD3"
    (interrupted / "config.json").write_text(json.dumps(stored))
    assert refused(interrupted).endswith("algorithm: evorl.algorithms.cem:CEM -> evorl.algorithms.td3:TD3")


def test_a_checkpoint_of_another_format_is_not_read(interrupted: Path) -> None:
    alter(interrupted, lambda content: content.update(format=99))
    line = refused(interrupted)
    assert line.startswith(f"{interrupted / 'state.pt'} must have format 2, got ")


def test_settings_that_were_expected_and_differ_are_named(interrupted: Path) -> None:
    line = refused(interrupted, expected={"config": {**read(interrupted)["config"], "seed": 4}})
    assert line == "--resume must find the settings it is given, got config.seed: 0 -> 4"


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def test_a_cut_checkpoint_is_not_resumed(interrupted: Path) -> None:
    whole = (interrupted / "state.pt").read_bytes()
    (interrupted / "state.pt").write_bytes(whole[: len(whole) // 2])
    assert refused(interrupted).startswith(f"{interrupted / 'state.pt'} is cut or altered: ")


def test_a_checkpoint_whose_class_is_gone_is_refused(interrupted: Path) -> None:
    stored = read(interrupted)
    stored["algorithm"] = "evorl.algorithms.cem:Gone"
    (interrupted / "config.json").write_text(json.dumps(stored))
    alter(interrupted, lambda content: content["stored"].update(algorithm=stored["algorithm"]))
    assert refused(interrupted) == (
        "algorithm must be importable, got 'evorl.algorithms.cem:Gone': no Gone in evorl.algorithms.cem"
    )


def test_a_folder_with_an_interrupted_run_is_not_begun_anew(interrupted: Path, tmp_path: Path) -> None:
    before = (interrupted / "state.pt").read_bytes()
    with pytest.raises(RunFolderError, match="holds an interrupted run; give --resume or --overwrite"):
        evorl.train(CEM, running(tmp_path))
    assert (interrupted / "state.pt").read_bytes() == before


def test_a_folder_with_a_finished_run_is_not_begun_anew(interrupted: Path, tmp_path: Path) -> None:
    evorl.resume(interrupted)
    with pytest.raises(RunFolderError, match="holds a finished run; give --overwrite to replace it, or --tag"):
        evorl.train(CEM, running(tmp_path))


def test_overwriting_leaves_nothing_of_the_earlier_run(
    interrupted: Path, tmp_path: Path, wholes: dict[str, Path]
) -> None:
    evorl.train(CEM, running(tmp_path), overwrite=True)
    assert_equal_runs(interrupted, wholes[type(CEM).__module__])
    assert len(list(interrupted.glob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize(
    "config",
    [
        cem.Config(env_id="Pendulum-v1", population_size=5),
        cem.Config(env_id="Pendulum-v7"),
        cem.Config(env_id="Pendulum-v1", total_timesteps=1_999),
    ],
    ids=["population", "environment", "budget"],
)
def test_settings_that_cannot_work_leave_no_folder(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        evorl.train(config, running(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_a_config_of_no_installed_algorithm_needs_its_class(tmp_path: Path) -> None:
    config = Config(env_id=ORACLE, env_kwargs={"max_episode_steps": 5}, total_timesteps=50, network=TINY)
    with pytest.raises(ConfigError, match=r"^config must be of an installed algorithm unless `algorithm` is given"):
        evorl.train(config, running(tmp_path))
    assert list(tmp_path.iterdir()) == []


OWN = """
from evorl.population import Population
from evorl.template import Config, EvoRL


class Still(EvoRL[Config]):
    def evaluate(self, candidates: Population) -> Population:
        return self.play_fitness(candidates)
"""


def test_the_modules_of_a_run_are_imported_again_when_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "still_standing.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    import still_standing  # type: ignore[import-not-found]

    config = Config(
        env_id=ORACLE, env_kwargs={"max_episode_steps": 5}, population_size=2, total_timesteps=50, network=TINY
    )
    algorithm: type[EvoRL[Config]] = still_standing.Still
    begun = {"algorithm": algorithm, "imports": ["support", "still_standing"]}
    cut(monkeypatch, 3, lambda: evorl.train(config, running(tmp_path), **begun))  # type: ignore[arg-type]
    monkeypatch.delitem(sys.modules, "still_standing")
    folder = run_in(tmp_path)
    assert read(folder)["imports"] == ["support", "still_standing"]
    assert evorl.resume(folder).steps == 50
    assert isinstance(evorl.load(folder).member, Population)


def test_settings_of_another_algorithm_are_refused(tmp_path: Path) -> None:
    line = r"^config must be the Config of cem, got evorl\.algorithms\.td3\.Config$"
    with pytest.raises(ConfigError, match=line):
        evorl.train(TD3, running(tmp_path), algorithm=cem.CEM)
    assert not any(tmp_path.iterdir())


def test_going_on_with_other_code_is_said_and_marked(interrupted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    versions = json.loads((interrupted / "versions.json").read_text())
    (interrupted / "versions.json").write_text(json.dumps({**versions, "commit": "0123456789ab"}))
    evorl.resume(interrupted)
    assert "it began with commit 0123456789ab and goes on with" in capsys.readouterr().err
    assert json.loads((interrupted / "versions.json").read_text())["exact"] is False


def test_a_task_without_a_time_limit_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    endless = cem.Config(
        env_id=ORACLE, env_kwargs={"terminate_at": 3}, total_timesteps=40, population_size=4, network=TINY
    )
    evorl.train(endless, running(tmp_path))
    assert f"{ORACLE} has no time limit, and an episode may never end; --env-kwargs" in capsys.readouterr().err
