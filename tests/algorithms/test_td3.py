"""TD3: what the budget counts, when updates begin and how many there are, and members that are independent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import ORACLE, counted, number_of, total_steps

import evorl
from evorl.algorithms.td3 import TD3, Config
from evorl.errors import ConfigError
from evorl.learning import OffPolicy, TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Transitions

TINY = NetworkConfig(hidden_sizes=(4,))
WARMUP, INTERVAL, LIMIT = 12, 5, 4


def config(n: int = 1, **settings: Any) -> Config:
    learner = TD3Config(critic=TINY, batch_size=8, actor_learning_rate=1e-2, critic_learning_rate=1e-2)
    given = {"warmup_steps": WARMUP, "interval": INTERVAL, "total_timesteps": 1_000, "learner": learner, **settings}
    return Config(env_id=ORACLE, env_kwargs={"max_episode_steps": LIMIT}, population_size=n, network=TINY, **given)


def generations(run: TD3, turns: int) -> Iterator[int]:
    for turn in range(1, turns + 1):
        run.step()
        yield turn * INTERVAL


def taken(run: TD3, places: torch.Tensor) -> Transitions:
    assert isinstance(run.training, OffPolicy)
    return run.training.replay.take(places)


def contents(run: TD3, size: int) -> Transitions:
    """Return the first `size` transitions of every ring: tensors (n, size, ...)."""
    return taken(run, torch.arange(size).expand(run.config.population_size, -1))


@pytest.mark.parametrize("n", [1, 3])
def test_the_budget_counts_warm_up_and_train_over_all_members(n: int) -> None:
    with counted() as made:
        run = TD3(config(n))
        for steps in generations(run, 5):
            assert run.ledger.steps["warmup"] == n * min(steps, WARMUP)
            assert run.ledger.steps["train"] == n * max(steps - WARMUP, 0)
            assert run.ledger.spent == n * steps == total_steps(made) == run.ledger.stored
            assert run.ledger.steps["fitness"] == 0


def test_nothing_is_learned_before_the_warm_up_ends() -> None:
    run = TD3(config(warmup_steps=2 * INTERVAL))
    params, critic = run.population.params, run.population.traits["critic"]
    list(generations(run, 2))
    assert torch.equal(run.population.params, params)
    assert torch.equal(run.population.traits["critic"], critic)
    assert run.ledger.report()["budget/critic_updates"] == 0
    run.step()
    assert not torch.equal(run.population.params, params)
    assert not torch.equal(run.population.traits["critic"], critic)


@pytest.mark.parametrize(("n", "per_step"), [(1, 1), (3, 1), (1, 4)])
def test_each_step_after_the_warm_up_has_its_critic_updates_and_half_as_many_of_the_actor(
    n: int, per_step: int
) -> None:
    run = TD3(config(n, updates_per_step=per_step))
    for steps in generations(run, 6):
        each = max(steps - WARMUP, 0) * per_step
        report = run.ledger.report()
        assert report["budget/critic_updates"] == n * each
        assert report["budget/actor_updates"] == n * (each // 2)
    assert run.ledger.updates == {"critic": dict.fromkeys(range(n), each), "actor": dict.fromkeys(range(n), each // 2)}


def test_actions_of_the_warm_up_are_uniform_and_later_ones_those_of_the_policy() -> None:
    run = TD3(config(warmup_steps=400, interval=400, exploration_noise=0.0))
    run.step()
    actions = contents(run, 400).actions[0]
    assert actions.abs().max() <= 1
    assert actions.mean(0).abs().max() < 0.1
    assert actions.var(0).tolist() == pytest.approx([1 / 3, 1 / 3], rel=0.15)
    members = run.population
    run.training.act_and_learn(members, 1, 1)
    last = taken(run, torch.tensor([[400]]))
    assert torch.equal(last.actions[0], run.policy.act(members, last.observations[0]))


def test_each_member_stores_only_its_own_transitions() -> None:
    n, turns = 3, 4
    run = TD3(config(n))
    list(generations(run, turns))
    seen = contents(run, turns * INTERVAL).observations[..., 0]
    for row in range(n):
        starts = -(-turns * INTERVAL // LIMIT)
        seeds = [
            {number_of(run.streams.episode_seed("episode", generation, row, start)) for generation in range(turns)}
            for start in range(starts)
        ]
        assert all(seen[row, step].item() in seeds[step // LIMIT] for step in range(turns * INTERVAL))
    assert not set(seen[0].tolist()) & set(seen[1].tolist())


def test_a_member_of_many_lives_as_it_would_alone() -> None:
    alone, many = TD3(config(1)), TD3(config(3))
    for run in (alone, many):
        list(generations(run, 6))
    ours, theirs = contents(alone, 6 * INTERVAL), contents(many, 6 * INTERVAL)
    assert torch.equal(ours.actions[0, :WARMUP], theirs.actions[0, :WARMUP])
    for name in ("observations", "actions", "rewards", "next_observations", "terminated"):
        torch.testing.assert_close(getattr(ours, name)[0], getattr(theirs, name)[0], rtol=0, atol=1e-4)
    assert alone.ledger.updates["critic"][0] == many.ledger.updates["critic"][0] > 0
    torch.testing.assert_close(alone.population.params[0], many.population.params[0], rtol=0, atol=1e-4)
    moved = alone.population.params[0] - TD3(config(1)).population.params[0]
    assert moved.abs().max() > 1e-2


def test_members_learn_different_things() -> None:
    run = TD3(config(2))
    list(generations(run, 5))
    assert not torch.equal(run.population.params[0], run.population.params[1])
    assert not torch.equal(contents(run, WARMUP).actions[0], contents(run, WARMUP).actions[1])


def test_a_time_limit_is_stored_as_no_end_and_a_terminal_state_as_one() -> None:
    truncated = TD3(config())
    list(generations(truncated, 2))
    assert contents(truncated, 2 * INTERVAL).terminated.sum() == 0
    run = TD3(Config(env_id=ORACLE, env_kwargs={"terminate_at": 3}, network=TINY, warmup_steps=20, interval=6))
    run.step()
    assert contents(run, 6).terminated.tolist() == [[0, 0, 1, 0, 0, 1]]


def test_the_answer_is_the_member_with_the_best_recent_training_returns() -> None:
    run = TD3(config(3))
    returns = torch.tensor([[1.0, torch.nan], [4.0, 2.0], [torch.nan, torch.nan]], dtype=torch.float64)
    run.population = run.population.with_traits(recent_returns=returns)
    assert torch.equal(run.answer().id, run.population.id[[1]])


def test_recent_returns_are_those_of_the_last_ten_episodes() -> None:
    run = TD3(config(interval=12 * LIMIT, warmup_steps=12 * LIMIT))
    run.step()
    rewards = contents(run, 12 * LIMIT).rewards.double().view(12, LIMIT).sum(1)
    torch.testing.assert_close(run.population.traits["recent_returns"][0], rewards[2:], rtol=0, atol=1e-5)


def test_losses_are_unknown_in_the_warm_up_and_reported_under_the_same_tags_afterwards() -> None:
    run = TD3(config(warmup_steps=INTERVAL))
    first, second = run.step(), run.step()
    assert np.isnan([first["loss/critic"], first["loss/actor"]]).all()
    assert np.isfinite([second["loss/critic"], second["loss/actor"]]).all()
    assert list(first) == list(second)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"exploration_noise": -0.1}, "exploration_noise must be at least 0, got -0.1"),
        ({"warmup_steps": 0}, "warmup_steps must be at least 1, got 0"),
        ({"updates_per_step": 0}, "updates_per_step must be at least 1, got 0"),
        ({"replay_size": 0}, "replay_size must be at least 1, got 0"),
        ({"interval": 0}, "interval must be at least 1, got 0"),
        ({"total_timesteps": 24, "n": 2}, "total_timesteps must be at least 25, beyond every member's warm-up, got 24"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config(**settings)
    assert str(raised.value) == line


def test_a_budget_below_an_interval_of_all_members_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"total_timesteps must be at least 40, .* got 39"):
        TD3(config(2, interval=20, warmup_steps=1, total_timesteps=39))


@pytest.mark.slow
def test_pendulum_is_learned_with_the_quick_preset(tmp_path: Path) -> None:
    settings = TD3.preset("quick", env_id="Pendulum-v1", total_timesteps=15_000)
    result = evorl.train(settings, evorl.Running(runs=str(tmp_path), progress=False))
    assert result.final_return > -250
