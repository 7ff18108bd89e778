"""The winner out of the record: bit for bit, whatever is copied and whatever becomes of the replay."""

from pathlib import Path
from typing import Any

import pytest
import torch
from recorded import TINY, config, recorded
from support import same

import evorl
from evorl.errors import ConfigError, RunFolderError
from evorl.learning.ppo import PPOConfig
from evorl.learning.sac import SACConfig
from evorl.running import checkpoint
from evorl.running.ancestry import copies
from evorl.running.retracing import retrace, retrace_line
from evorl.running.schedules import trained_path


def agree(first: evorl.Population, second: evorl.Population) -> bool:
    """Whether parameters and all of the learner's traits are the same to the last bit."""
    names = [name for name in first.traits if name not in ("fitness_returns", "copied", "copied_at", "root")]
    assert {"critic", "recent_returns"} <= set(names)
    traits = all(same(first.traits[name], second.traits[name]) for name in names)
    return traits and torch.equal(first.params, second.params)


@pytest.mark.parametrize("copy", ["both", "weights", "h"])
@pytest.mark.parametrize("replay", ["keep", "copy", "clear", "shared"])
def test_the_winner_is_reproduced_bit_for_bit(replay: Any, copy: Any, tmp_path: Path) -> None:
    asked = config(replay_on_copy=replay, copy=copy, total_timesteps=4 * 10 * 6)
    lineage, line, answer = recorded(tmp_path, asked)
    assert copies(lineage).sum() >= 8
    assert agree(answer, retrace_line(asked, lineage, line))


@pytest.mark.parametrize(
    "settings",
    [
        {"learner": SACConfig(critic=TINY, batch_size=8), "fitness": "fresh", "window": 2},
        {"learner": PPOConfig(rollout_length=10, minibatches=2, epochs=2), "space": {"clip_range": "0.1:0.4"}},
        {"exploration": "ornstein_uhlenbeck", "exploit": "tournament", "explore": "resample"},
        {"total_timesteps": 4 * 10 * 5 + 5},
    ],
)
def test_so_it_is_with_other_learners_and_rules(settings: dict[str, Any], tmp_path: Path) -> None:
    asked = config(**settings)
    lineage, line, answer = recorded(tmp_path, asked)
    assert agree(answer, retrace_line(asked, lineage, line))


def test_nothing_is_decided_anew_and_all_that_is_recorded_counts(tmp_path: Path) -> None:
    asked = config()
    lineage, line, answer = recorded(tmp_path, asked)
    others = config(exploit="tournament", explore="resample", bottom_fraction=0.1, fitness="fresh")
    assert agree(answer, retrace_line(others, lineage, line)), "rules of copying and exploring are not looked at"
    path = trained_path(lineage, line)
    lineage.h["discount"][path[1]] += 1e-3
    assert not agree(answer, retrace_line(asked, lineage, line))
    lineage.h["discount"][path[1]] -= 1e-3
    (copied,) = [k for k, before in zip(path[1:], path, strict=False) if lineage.id[k] != lineage.id[before]][-1:]
    others_there = (lineage.generation == lineage.generation[copied] - 1) & (lineage.id != lineage.parent[copied])
    lineage.parent[lineage.id == lineage.id[copied]] = lineage.id[others_there][0]
    assert not agree(answer, retrace_line(asked, lineage, line))


def test_a_finished_run_is_retraced_from_its_folder(tmp_path: Path) -> None:
    running = evorl.Running(runs=str(tmp_path), progress=False, test_interval=0)
    run = evorl.train(config(), running).folder
    assert agree(evorl.load(run).member, retrace(run))
    content = checkpoint.read(run / "state.pt")
    content["versions"]["torch"] = "0"
    checkpoint.save(run / "state.pt", {name: value for name, value in content.items() if name != "format"})
    with pytest.raises(RunFolderError, match=r"^run must be of the versions installed here, got torch: 0 -> "):
        retrace(run)


def test_what_no_record_holds_is_refused(tmp_path: Path) -> None:
    asked = config(perturb_weights=0.1)
    lineage, line, _ = recorded(tmp_path, asked)
    with pytest.raises(ConfigError, match=r"^perturb_weights must be 0 to retrace what was copied, got 0.1$"):
        retrace_line(asked, lineage, line)
    with pytest.raises(RunFolderError, match=r"^lineage must hold the answer and its hyperparameters"):
        retrace_line(config(), lineage, -1)
