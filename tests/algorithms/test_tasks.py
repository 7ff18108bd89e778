"""Every installed algorithm on every kind of task: it keeps its contract, or says in one line that it cannot act so."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support import counted, total_steps
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import evorl
from evorl import check_algorithm
from evorl.conformance import small_config
from evorl.errors import ConfigError
from evorl.running import registry
from evorl.running.folder import RunFolder

LIMIT = 7
TASKS: dict[str, dict[str, Any]] = {
    "HalfCheetah-v5": {},
    "Pendulum-v1": {},
    "CartPole-v1": {},
    "LunarLander-v3": {},
    "LunarLander-v3-continuous": {"continuous": True},
}
#: These evaluate their first members before the first generation.
EVALUATE_FIRST = ("erl", "ga", "pb2", "pb2-mix", "pb2-mult", "pb2-rand")
DISCRETE = ("CartPole-v1", "LunarLander-v3")
CHOOSERS = {"a2c", "ppo", "svpg"}
#: What a learner says that learns by itself alone, and a population of learners by one of its learners.
BY_LEARNER = {"pbt": evorl.learning.PPOConfig(rollout_length=10, minibatches=2, epochs=2)}
COMMON_TAGS = {"test/return", "test/return_std", "final/return", "population/diversity", "time/seconds"}
COMMON_TAGS |= {f"budget/{purpose}_steps" for purpose in ("warmup", "train", "fitness", "test", "restored")}
COMMON_TAGS |= {"budget/critic_updates", "budget/actor_updates", "budget/episodes", "budget/stored"}


def config_of(name: str, task: str, **settings: Any) -> Any:
    kwargs = {"max_episode_steps": LIMIT, **TASKS[task]}
    small = small_config(registry.find(name))
    return dataclasses.replace(small, env_id=task.removesuffix("-continuous"), env_kwargs=kwargs, **settings)


def can(name: str, task: str) -> bool:
    return task not in DISCRETE or name in CHOOSERS


NAMES = [
    name for name in sorted(registry.installed()) if registry.find(name).name == name
]  # an alias is no further one
UNABLE = [(name, task) for name in NAMES for task in DISCRETE if not can(name, task)]


def able(fast: Sequence[str]) -> list[Any]:
    """Return every pair of name and task that goes together; `slow`, unless the task is one of `fast`."""
    marks = {task: () if task in fast else (pytest.mark.slow,) for task in TASKS}
    return [pytest.param(name, task, marks=marks[task]) for name in NAMES for task in TASKS if can(name, task)]


@pytest.mark.parametrize(("name", "task"), able(DISCRETE))
def test_it_keeps_its_contract_resume_and_ledger_included(name: str, task: str) -> None:
    check_algorithm(registry.find(name), config_of(name, task))


@pytest.mark.parametrize(("name", "task"), UNABLE)
def test_a_deterministic_policy_cannot_choose_and_says_so(name: str, task: str) -> None:
    with pytest.raises(ConfigError) as refused:
        registry.find(name).check(config_of(name, task))
    found = "Discrete(2)" if task == "CartPole-v1" else "Discrete(4)"
    assert str(refused.value) == (
        f"env_id must name a task with Box actions, got {task} with {found}; "
        "svpg, and the learners a2c and ppo, take both"
    )


@pytest.mark.parametrize("task", DISCRETE)
@pytest.mark.parametrize("name", BY_LEARNER)
def test_a_population_of_learners_can_choose_if_its_learner_can(name: str, task: str) -> None:
    check_algorithm(registry.find(name), config_of(name, task, learner=BY_LEARNER[name], window=2))


@pytest.mark.parametrize(("name", "task"), able(["Pendulum-v1", "CartPole-v1"]))
def test_runs_stand_side_by_side_under_the_same_tags_and_count_every_step(name: str, task: str, tmp_path: Path) -> None:
    budget = 700
    config = config_of(name, task, total_timesteps=budget)
    running = evorl.Running(runs=str(tmp_path), final_episodes=2, test_episodes=1, progress=False)
    with counted() as made:
        result = evorl.train(config, running, algorithm=registry.find(name))
    variant = "".join(f"-{key}={value}" for key, value in sorted({**TASKS[task], "max_episode_steps": LIMIT}.items()))
    assert result.folder == tmp_path / f"{config.env_id}{variant}" / name / "s0"
    events = EventAccumulator(str(result.folder))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= COMMON_TAGS
    axis = [event.step for event in events.Scalars("test/return")]
    assert axis[0] == (config.population_size * LIMIT if name in EVALUATE_FIRST else 0)
    assert axis[-1] >= budget
    ledger = evorl.running.checkpoint.read(RunFolder(result.folder).checkpoint)["state"]["ledger"]["steps"]
    assert sum(ledger.values()) == total_steps(made)
    assert ledger["warmup"] + ledger["train"] + ledger["fitness"] == axis[-1]
