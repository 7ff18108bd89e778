"""PB2's acquisition as a picture in the run folder and in TensorBoard; runs without one have none."""

from pathlib import Path
from typing import Any

import pytest
from climbing import climbing, settings, steady
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import evorl
from evorl.algorithms.pb2 import PB2, Config
from evorl.running.acquisition import ACQUISITION, ACQUISITION_TAG


def run(folder: Path, **further: Any) -> Path:
    asked = Config(**settings(4, 6, space={"x": "log:0.01:1", "y": "0:1"}, **further))
    running = evorl.Running(runs=str(folder), progress=False, test_interval=0)
    return evorl.train(asked, running, algorithm=climbing(PB2, steady, begin=1.0)).folder


def images(folder: Path) -> dict[str, list[int]]:
    events = EventAccumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    return {tag: [event.step for event in events.Images(tag)] for tag in events.Tags()["images"]}


def test_the_picture_is_drawn_at_the_end(tmp_path: Path) -> None:
    folder = run(tmp_path)
    assert (folder / ACQUISITION).stat().st_size > 10_000
    assert images(folder)[ACQUISITION_TAG] == [4 * 6 * 10]


@pytest.mark.parametrize("further", [{"explore": "perturb"}, {"bottom_fraction": 0.0}])
def test_without_a_proposal_there_is_no_picture(tmp_path: Path, further: dict[str, Any]) -> None:
    folder = run(tmp_path, **further)
    assert not (folder / ACQUISITION).exists()
    assert ACQUISITION_TAG not in images(folder)
