"""The winner's schedule: what trained its weights, whatever copies took over, in a file and in pictures."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from recorded import config, recorded
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import evorl
from evorl.algorithms import pbt
from evorl.errors import RunFolderError
from evorl.hyperparameters import Schedule
from evorl.population import Population
from evorl.running.ancestry import Lineage, copies
from evorl.running.lineage import LineageLog
from evorl.running.schedules import MEMBERS_TAG, SCHEDULE_TAG, line_of, schedule_to, trained_path


def small(origin: str) -> Lineage:
    """Return two slots of three generations: in the second, slot 0 gets a copy of 1."""
    return Lineage(
        generation=np.array([1, 1, 2, 2, 3, 3]),
        steps=np.array([20, 20, 40, 40, 60, 60]),
        row=np.array([0, 1, 0, 1, 0, 1]),
        id=np.array([0, 1, 2, 1, 2, 1]),
        parent=np.array([-1, -1, 1, -1, 1, -1]),
        origin=("initial", "initial", origin, "initial", origin, "initial"),
        fitness=np.array([1.0, 2, 3, 2, 9, 2]),
        h={"tau": np.array([0.1, 0.2, 0.3, 0.2, 0.3, 0.2])},
    )


@pytest.mark.parametrize(
    ("origin", "path", "taus"),
    [("copy", [1, 2, 4], (0.2, 0.3)), ("copy-weights", [1, 2, 4], (0.2, 0.3)), ("copy-h", [0, 2, 4], (0.1, 0.3))],
)
def test_the_line_is_that_of_the_weights(origin: str, path: list[int], taus: tuple[float, ...]) -> None:
    lineage = small(origin)
    assert trained_path(lineage, 4) == path
    assert schedule_to(lineage, 4, 10) == Schedule(30, (0, 10), {"tau": taus})


def test_a_line_that_does_not_lead_back_is_refused() -> None:
    lineage = small("copy")
    lineage.parent[[2, 4]] = 7
    with pytest.raises(RunFolderError, match=r"^lineage must lead from individual 2 back .* got 2, whose parent is 7$"):
        trained_path(lineage, 4)


def test_the_line_of_an_individual_is_its_last_within_the_steps() -> None:
    lineage = small("copy")
    assert [line_of(lineage, 1, steps) for steps in (19, 20, 59, 60)] == [-1, 1, 3, 5]
    assert line_of(lineage, 5, 60) == -1


class Remembering(pbt.PBT[pbt.Config]):
    """PBT whose members remember, beside their weights, every h that they learned under."""

    latest: ClassVar[Population]

    def initialise(self) -> Population:
        """Nothing to remember yet."""
        members = super().initialise()
        return members.with_traits(learned_under=torch.zeros(len(members), 0, 2, dtype=torch.float64))

    def learn(self, candidates: Population) -> Population:
        """Append what the members learn under."""
        h = torch.stack([candidates.traits[f"h.{name}"] for name in self.space], dim=1)[:, None]
        told = torch.cat([candidates.traits["learned_under"], h], dim=1)
        type(self).latest = super().learn(candidates.with_traits(learned_under=told))
        return self.latest


class Counting(pbt.PBT[pbt.Config]):
    """PBT that counts how many members copied, generation by generation."""

    copies: ClassVar[list[int]]

    def select(self, evaluated: Population) -> Population:
        """Count."""
        parents = super().select(evaluated)
        self.copies.append(int(parents.traits["copied"].sum()))
        return parents


@pytest.mark.parametrize("copy", ["both", "weights", "h"])
def test_the_schedule_is_what_the_weights_themselves_remember(copy: Any, tmp_path: Path) -> None:
    asked = config(copy=copy, total_timesteps=4 * 10 * 6)
    lineage, *_ = recorded(tmp_path, asked, Remembering)
    pieces = []
    for row, remembered in enumerate(Remembering.latest.traits["learned_under"]):
        columns = {name: remembered[:, column].tolist() for column, name in enumerate(asked.hyperparameters)}
        schedule = schedule_to(lineage, len(lineage) - 4 + row, asked.interval)
        assert schedule == Schedule.of_intervals(asked.interval, columns)
        pieces.append(len(schedule.starts))
    assert max(pieces) > 1


def test_each_line_has_one_source_and_the_lengths_add_up(tmp_path: Path) -> None:
    asked = config(population_size=6, total_timesteps=6 * 10 * 6)
    Counting.copies = []
    lineage, line, _ = recorded(tmp_path, asked, Counting)
    path = trained_path(lineage, line)
    assert lineage.generation[path].tolist() == list(range(1, 7)), "one a round"
    assert lineage.parent[path[0]] == -1
    assert schedule_to(lineage, line, asked.interval).steps == 6 * asked.interval
    recipients = [
        len(set(lineage.id[lineage.generation == g]) - set(lineage.id[lineage.generation < g])) for g in range(2, 7)
    ]
    assert copies(lineage).tolist() == [0, *recipients]
    assert Counting.copies[:-1] == recipients, "who copied in a generation is new in the next"
    assert sum(recipients) >= 5


def images(folder: Path) -> dict[str, list[int]]:
    events = EventAccumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    return {tag: [event.step for event in events.Images(tag)] for tag in sorted(events.Tags()["images"])}


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_run_leaves_schedule_and_pictures_the_same_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config(total_timesteps=4 * 10 * 4 + 5)  # the last generation is beyond the budget
    settings: dict[str, Any] = {"progress": False, "test_interval": 0, "checkpoint_seconds": 0}
    whole = evorl.train(asked, evorl.Running(runs=str(tmp_path / "whole"), **settings)).folder
    write = LineageLog.write_population

    def dying(self: LineageLog, evaluated: Population, generation: int, steps: int) -> None:
        if generation == 4:
            raise Killed
        write(self, evaluated, generation, steps)

    with monkeypatch.context() as patch:
        patch.setattr(LineageLog, "write_population", dying)
        with pytest.raises(Killed):
            evorl.train(asked, evorl.Running(runs=str(tmp_path / "cut"), **settings))
    (cut,) = [path.parent for path in (tmp_path / "cut").rglob("config.json")]
    assert not (cut / "schedule.json").exists()
    evorl.resume(cut)
    for name in ("schedule.json", "schedule.png", "hyperparameters.png"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert images(cut) == images(whole)
    assert images(whole)[MEMBERS_TAG] == images(whole)[SCHEDULE_TAG] == [120, 200], "half-way and at the end"
    assert Schedule.read(whole / "schedule.json").steps == 40, "the answer is that at the budget"


def test_a_search_with_fixed_hyperparameters_leaves_a_constant_schedule(tmp_path: Path) -> None:
    asked = config(bottom_fraction=0.0)
    run = evorl.train(asked, evorl.Running(runs=str(tmp_path), progress=False, test_interval=0)).folder
    schedule = Schedule.read(run / "schedule.json")
    member = evorl.load(run).member
    assert (schedule.steps, schedule.starts) == (50, (0,))
    assert schedule.at(0) == {name: member.traits[f"h.{name}"].item() for name in asked.hyperparameters}


class Amnesiac(pbt.PBT[pbt.Config]):
    """PBT that changes its members' parents to some that nobody knows."""

    name = "amnesiac"

    def vary(self, parents: Population) -> Population:
        """Forget."""
        return parents.descend(range(len(parents)), "x").descend(range(len(parents)), "x")


def test_where_the_line_is_lost_the_run_ends_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = evorl.Running(runs=str(tmp_path), progress=False, test_interval=0)
    run = evorl.train(config(total_timesteps=80), running, algorithm=Amnesiac).folder
    assert "no schedule.json: lineage must lead from individual" in capsys.readouterr().err
    assert not (run / "schedule.json").exists()
    assert json.loads((run / "config.json").read_text())["name"] == "amnesiac"
