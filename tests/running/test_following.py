"""Fresh agents on a run's schedule: which settings they have, where they go, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from recorded import config

import evorl
from evorl.algorithms import cem
from evorl.algorithms.follow import Follow
from evorl.errors import ConfigError, RunFolderError
from evorl.hyperparameters import Schedule
from evorl.policies import NetworkConfig
from evorl.running.folder import RunFolder
from evorl.running.following import followers

RUNNING: dict[str, Any] = {"progress": False, "test_episodes": 1, "final_episodes": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    asked = config(total_timesteps=4 * 10 * 4)
    return evorl.train(asked, evorl.Running(runs=str(tmp_path_factory.mktemp("runs")), **RUNNING)).folder


def test_they_have_its_settings_its_winners_budget_and_other_seeds(run: Path) -> None:
    first, second = followers(run, 2)
    tuned = config()
    for agent, seed in ((first, 1000), (second, 1001)):
        found = agent.config
        assert (found.seed, found.population_size, found.total_timesteps) == (seed, 1, 40)
        for name in ("env_id", "env_kwargs", "network", "learner", "interval", "warmup_steps", "exploration_noise"):
            assert getattr(found, name) == getattr(tuned, name)
        assert found.schedule == Schedule.read(run / "schedule.json")
        assert agent.folder.path == run.resolve().parents[1] / "follow" / f"s{seed}-pbt-s0"
    (final,), (initial,) = (list(followers(run, 1, fixed)) for fixed in ("final", "initial"))
    assert final.config.schedule == first.config.schedule.fixed("final")
    assert initial.config.schedule == first.config.schedule.fixed("initial")
    assert (final.running.tag, initial.running.tag) == ("pbt-s0-final", "pbt-s0-initial")


def test_each_is_trained_once_and_gone_on_with_if_it_was_cut(run: Path, tmp_path: Path) -> None:
    (agent,) = followers(run, 1, runs=tmp_path)
    assert agent.train(progress=False) == "finished"
    assert agent.train(progress=False) == "skipped"
    answer = evorl.load(agent.folder.path).member
    agent.folder.answer.unlink()
    assert agent.train(progress=False) == "resumed"
    assert torch.equal(evorl.load(agent.folder.path).member.params, answer.params)
    ledger = Follow(agent.config)
    while not ledger.finished:
        ledger.step()
    assert ledger.ledger.spent == 40
    assert torch.equal(ledger.answer().params, answer.params)


def test_a_follower_under_the_seed_of_a_tuner_of_one_is_that_tuner_bit_for_bit(tmp_path: Path) -> None:
    alone = config(population_size=1, bottom_fraction=0.0, total_timesteps=50)
    tuned = evorl.train(alone, evorl.Running(runs=str(tmp_path), **RUNNING)).folder
    (agent,) = followers(tuned, 1)
    assert alone.seed == 0
    again = Follow(type(agent.config)(**{**vars(agent.config), "seed": 0}))
    while not again.finished:
        again.step()
    assert torch.equal(again.answer().params, evorl.load(tuned).member.params)


def test_seeds_of_tuning_are_refused(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"^first_seed must keep the seeds apart from 0, which tuned, got 0$"):
        list(followers(run, 2, first_seed=0))
    assert len(list(followers(run, 2, first_seed=1))) == 2


def test_a_folder_with_other_settings_is_left_alone(run: Path, tmp_path: Path) -> None:
    (agent,) = followers(run, 1, runs=tmp_path)
    agent.train(progress=False)
    (other,) = followers(run, 1, runs=tmp_path)
    changed = type(other)(type(agent.config)(**{**vars(agent.config), "warmup_steps": 9}), other.running, ())
    with pytest.raises(RunFolderError, match="holds a run with other settings: warmup_steps: 8 -> 9"):
        changed.train(progress=False)


def test_a_run_without_a_schedule_is_refused(tmp_path: Path, run: Path) -> None:
    tiny = cem.Config(
        env_id="Pendulum-v1", population_size=2, total_timesteps=400, network=NetworkConfig(hidden_sizes=(3,))
    )
    folder = evorl.train(tiny, evorl.Running(runs=str(tmp_path), **{**RUNNING, "test_interval": 0})).folder
    with pytest.raises(RunFolderError, match=r"^run must hold a schedule.json, which members with hyper.* leave, got "):
        list(followers(folder))
    RunFolder(folder).answer.unlink()
    with pytest.raises(RunFolderError, match=r"^run must be finished, got .* without answer.pt; --resume ends it$"):
        list(followers(folder))
