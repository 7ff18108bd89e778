"""`lineage.jsonl`: what each member of each generation was, the same bytes after a kill, and the picture of it."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib import image
from support import ORACLE
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

import evorl
from evorl.algorithms import cem, ga
from evorl.policies import NetworkConfig
from evorl.population import Identities, Population
from evorl.running.lineage import TAG, LineageLog
from evorl.running.run import Run
from evorl.running.sinks import TensorBoard

PAGE = Path(__file__).parent.parent.parent / "docs" / "lineage.md"
TINY = NetworkConfig(hidden_sizes=(4,))
N, LENGTH, GENERATIONS = 5, 3, 7
TASK: dict[str, Any] = {
    "env_id": ORACLE,
    "env_kwargs": {"max_episode_steps": LENGTH},
    "population_size": N,
    "network": TINY,
    "total_timesteps": (GENERATIONS + 1) * N * LENGTH,
}
CONFIG = ga.Config(**TASK)


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def event_files_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files written within a second are told apart, and sorted, by a counter: let it have as many digits always."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(100_000))


def running(folder: Path, **settings: Any) -> evorl.Running:
    given = {"checkpoint_seconds": 0, "test_interval": 0, "progress": False, **settings}
    return evorl.Running(runs=str(folder), **given)


def cut(monkeypatch: pytest.MonkeyPatch, generation: int, go: Callable[[], object]) -> None:
    """Let `go` die when the lines of `generation` are on the disk and its checkpoint is not."""
    write = LineageLog.write_population

    def dying(self: LineageLog, evaluated: Population, at: int, steps: int) -> None:
        write(self, evaluated, at, steps)
        if at == generation:
            self.flush()
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(LineageLog, "write_population", dying)
        with pytest.raises(Killed):
            go()


def run_in(folder: Path) -> Path:
    (config,) = folder.rglob("config.json")
    return config.parent


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "lineage.jsonl").read_text().splitlines()]


def images(folder: Path) -> dict[str, list[int]]:
    events = EventAccumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    return {tag: [event.step for event in events.Images(tag)] for tag in events.Tags()["images"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evorl.train(CONFIG, running(tmp_path_factory.mktemp("whole"))).folder


def test_there_is_a_line_for_each_evaluated_member(whole: Path) -> None:
    algorithm, expected = ga.GA(CONFIG), list[dict[str, Any]]()

    def note(members: Population) -> None:
        for row in range(N):
            line: dict[str, Any] = {"generation": algorithm.generation, "steps": algorithm.ledger.spent, "row": row}
            line |= {"id": int(members.id[row]), "parent": int(members.parent[row]), "origin": members.origin[row]}
            expected.append(line | {"fitness": float(members.fitness[row])})

    while not algorithm.finished:
        algorithm.step(note)
    algorithm.close()
    assert len(expected) == N * GENERATIONS
    assert {line["origin"] for line in expected} >= {"elite", "child"}
    assert read(whole) == expected


@pytest.mark.parametrize("generation", [1, 2, 5, GENERATIONS])
def test_a_run_that_is_killed_and_resumed_has_the_same_bytes(
    generation: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(monkeypatch, generation, lambda: evorl.train(CONFIG, running(tmp_path)))
    folder = run_in(tmp_path)
    assert len(read(folder)) == generation * N
    evorl.resume(folder)
    assert (folder / "lineage.jsonl").read_bytes() == (whole / "lineage.jsonl").read_bytes()
    assert (folder / "lineage.png").read_bytes() == (whole / "lineage.png").read_bytes()
    assert images(folder) == images(whole) == {TAG: [CONFIG.total_timesteps]}


def test_a_checkpoint_some_generations_old_will_do_again_and_again(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Run._save

    def seldom(self: Run) -> None:
        if self.algorithm.generation in (0, 3, GENERATIONS):
            save(self)

    monkeypatch.setattr(Run, "_save", seldom)
    cut(monkeypatch, 2, lambda: evorl.train(CONFIG, running(tmp_path)))
    folder = run_in(tmp_path)
    cut(monkeypatch, 6, lambda: evorl.resume(folder))
    cut(monkeypatch, 5, lambda: evorl.resume(folder))
    assert len(read(folder)) == 5 * N
    evorl.resume(folder)
    assert (folder / "lineage.jsonl").read_bytes() == (whole / "lineage.jsonl").read_bytes()


def test_members_without_parents_and_hyperparameters_leave_no_file_and_no_picture(tmp_path: Path) -> None:
    folder = evorl.train(cem.Config(**{**TASK, "population_size": 4}), running(tmp_path)).folder
    assert not list(folder.glob("lineage.*"))
    assert images(folder) == {}


def test_overwriting_leaves_nothing_of_the_run_before(whole: Path, tmp_path: Path) -> None:
    other = ga.Config(**{**TASK, "total_timesteps": 4 * N * LENGTH})
    evorl.train(CONFIG, running(tmp_path))
    folder = evorl.train(other, running(tmp_path), overwrite=True).folder
    assert read(folder) == read(whole)[: 3 * N]


def test_the_picture_is_beside_the_file_and_in_tensorboard(whole: Path) -> None:
    pixels = image.imread(whole / "lineage.png")
    assert pixels.shape[0] > 200
    assert len({tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1])[::7].tolist()}) > 20
    assert images(whole) == {TAG: [CONFIG.total_timesteps]}


@pytest.fixture
def sink(tmp_path: Path) -> LineageLog:
    return LineageLog(tmp_path / "lineage.jsonl", TensorBoard(tmp_path / "events", {}))


def members(n: int = 2) -> Population:
    return Population.fresh(torch.zeros(n, 1), Identities(), "initial").with_fitness(torch.arange(float(n)))


def test_hyperparameters_are_told_by_name_from_the_first_generation_on(sink: LineageLog, tmp_path: Path) -> None:
    rates, sizes = torch.tensor([0.1, 0.25], dtype=torch.float64), torch.tensor([3.0, 4.0])
    given = members().with_traits(**{"h.rate": rates, "h.size": sizes, "hidden": sizes})
    sink.write_population(given, 1, 10)
    sink.write_population(given.with_fitness(torch.tensor([1.0, math.inf])), 2, 20)
    sink.close()
    lines = read(tmp_path)
    assert [line["h"] for line in lines] == [{"rate": 0.1, "size": 3.0}, {"rate": 0.25, "size": 4.0}] * 2
    assert [line["fitness"] for line in lines] == [None, None, 1.0, None]
    assert list(lines[0]) == ["generation", "steps", "row", "id", "parent", "origin", "fitness", "h"]


def test_the_file_begins_with_the_first_parent_and_then_holds_everyone(sink: LineageLog, tmp_path: Path) -> None:
    fresh = members(3)
    sink.write_population(fresh, 1, 10)
    sink.flush()
    assert not (tmp_path / "lineage.jsonl").exists()
    sink.write_population(fresh.put([2], fresh.descend([0], "copy")), 2, 20)
    sink.write_population(members(3), 3, 30)
    sink.close()
    lines = read(tmp_path)
    assert [line["generation"] for line in lines] == [2, 2, 2, 3, 3, 3]
    assert [line["parent"] for line in lines] == [-1, -1, 0, -1, -1, -1]
    assert "h" not in lines[0]


def test_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    exec(block, names)  # noqa: S102
    lines = read(names["run"].folder)
    assert f"members, line by line: {len(lines)}" in capsys.readouterr().out
    (shown,) = re.findall(r"^    (\{.*\})$", PAGE.read_text(), flags=re.MULTILINE)
    assert list(json.loads(shown)) == list(lines[0])
    fields = re.findall(r"^\| `(\w+)` ", PAGE.read_text(), flags=re.MULTILINE)
    assert fields == [*lines[0], "h"]
    assert (names["run"].folder / "lineage.png").exists()
