"""Follow: the h of a step is that of the schedule, a schedule that says what the settings say changes nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from support import ORACLE, same

import evorl
from evorl.algorithms import td3
from evorl.algorithms.follow import Config, Follow
from evorl.algorithms.td3 import TD3
from evorl.cli.train import settle
from evorl.errors import ConfigError
from evorl.hyperparameters import Schedule
from evorl.learning import OffPolicy, TD3Config
from evorl.learning.ppo import PPOConfig
from evorl.policies import NetworkConfig
from evorl.running.settings import from_plain, to_plain

TINY = NetworkConfig(hidden_sizes=(4,))
INTERVAL = 10
SCHEDULE = Schedule(40, (0, 10, 30), {"actor_learning_rate": (1e-3, 1e-2, 5e-3), "discount": (0.9, 0.95, 0.8)})
LEARNER = TD3Config(critic=TINY, batch_size=4, actor_learning_rate=1e-2, critic_learning_rate=1e-2)


def common(**settings: Any) -> dict[str, Any]:
    given = {"env_id": ORACLE, "env_kwargs": {"max_episode_steps": 4}, "network": TINY, "learner": LEARNER}
    return {**given, "total_timesteps": 400, "warmup_steps": 4, "interval": INTERVAL, **settings}


def config(**settings: Any) -> Config:
    return Config(**common(**{"schedule": SCHEDULE, **settings}))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"population_size": 3},
        {
            "learner": PPOConfig(rollout_length=10, minibatches=2, epochs=1),
            "schedule": Schedule(40, (0, 20), {"clip_range": (0.1, 0.3)}),
        },
    ],
)
def test_the_contract_of_the_loop_is_kept(settings: dict[str, Any]) -> None:
    evorl.check_algorithm(Follow, config(**settings))


def test_the_updates_of_a_step_use_what_the_schedule_has_there() -> None:
    run = Follow(config(population_size=2))
    assert isinstance(run.training, OffPolicy)
    learner, seen = run.training.learner, list[tuple[float, ...]]()
    hyperparameters = learner.hyperparameters

    def noted(state: Any) -> Any:
        h = hyperparameters(state)
        columns = [h[name] for name in ("actor_learning_rate", "discount", "critic_learning_rate")]
        assert all((torch.as_tensor(column) == torch.as_tensor(column).ravel()[0]).all() for column in columns)
        seen.append(tuple(round(float(torch.as_tensor(column).ravel()[0]), 6) for column in columns))
        return h

    learner.hyperparameters = noted  # type: ignore[method-assign]
    updates = []
    for _ in range(5):
        report = run.step()
        updates.append(list(dict.fromkeys(seen)))
        seen.clear()
        assert report["follow/discount"] == updates[-1][0][1]
    # the critic's rate is not in the schedule, and stays that of the learner
    assert updates == [[(1e-3, 0.9, 1e-2)], *[[(1e-2, 0.95, 1e-2)]] * 2, *[[(5e-3, 0.8, 1e-2)]] * 2]


def test_without_a_schedule_it_is_td3_bit_for_bit() -> None:
    plain, following = TD3(td3.Config(**common())), Follow(config(schedule=Schedule()))
    for _ in range(3):
        plain.step()
        following.step()
    assert same(plain.population.state_dict(), following.population.state_dict())


def test_a_schedule_of_what_the_settings_say_is_td3_but_for_rounding_until_it_says_otherwise() -> None:
    constant = Schedule(40, (0,), {"actor_learning_rate": (1e-2,), "discount": (0.99,)})
    otherwise = Schedule(40, (0, 20), {"actor_learning_rate": (1e-2, 1e-2), "discount": (0.99, 0.5)})
    plain = TD3(td3.Config(**common()))
    following, leaving = (Follow(config(schedule=schedule)) for schedule in (constant, otherwise))
    for generation in range(4):
        for run in (plain, following, leaving):
            run.step()
        critics = [run.population.traits["critic"] for run in (plain, following, leaving)]
        torch.testing.assert_close(critics[1], critics[0], rtol=1e-4, atol=1e-5)
        assert torch.equal(critics[1], critics[2]) == (generation < 2)


def test_the_config_holds_the_schedule_itself_whatever_becomes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    SCHEDULE.write(path)
    flags = ["--env-id", "Pendulum-v1", "--interval", "10", "--schedule", str(path)]
    _, read, _, _ = settle(["follow", *flags])
    path.unlink()
    assert read.schedule == SCHEDULE
    assert from_plain(Config, to_plain(read)) == read


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interval": 8}, "interval must divide the steps at which schedule changes, got 8, and a change at 10"),
        ({"schedule": Schedule(9, (0,), {"clip_range": (0.1,)})}, "schedule must name some of .*, got 'clip_range'"),
        ({"schedule": Schedule(9, (0,), {"discount": (1.5,)})}, "schedule of discount must lie between 0.0 and 1.0"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused_before_anything_runs(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Follow.check(config(**settings))


def test_followed_to_its_end_a_run_exports_what_it_followed(tmp_path: Path) -> None:
    asked = config(total_timesteps=SCHEDULE.steps)
    running = evorl.Running(runs=str(tmp_path), progress=False, test_episodes=1, final_episodes=1)
    run = evorl.train(asked, running)
    assert Schedule.read(run.folder / "schedule.json") == SCHEDULE
    assert run.folder.parts[-2:] == ("follow", "s0")
