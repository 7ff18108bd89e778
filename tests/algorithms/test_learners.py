"""SAC, A2C and PPO as algorithms: what they count, whom they train, what a run of them writes, and which tasks."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import ORACLE, counted, same, total_steps

import evorl
from evorl.algorithms import a2c, cem, ppo, sac, td3
from evorl.errors import ConfigError
from evorl.learning import A2CConfig, PPOConfig, SACConfig, TD3Config
from evorl.policies import NetworkConfig
from evorl.running import checkpoint
from evorl.running.sinks import TensorBoard
from evorl.template import Config, EvoRL

TINY = NetworkConfig(hidden_sizes=(4,), activation="tanh")
WARMUP, INTERVAL, LIMIT, GENERATIONS = 12, 10, 7, 4

Algorithm = tuple[type[EvoRL[Any]], type[Config], dict[str, Any]]
ALGORITHMS: dict[str, Algorithm] = {
    "sac": (
        sac.SAC,
        sac.Config,
        {"warmup_steps": WARMUP, "learner": SACConfig(critic=TINY, batch_size=8, actor_learning_rate=1e-2)},
    ),
    "a2c": (a2c.A2C, a2c.Config, {"learner": A2CConfig(critic=TINY, rollout_length=5, learning_rate=1e-2)}),
    "ppo": (
        ppo.PPO,
        ppo.Config,
        {"learner": PPOConfig(critic=TINY, rollout_length=10, minibatches=2, epochs=3, learning_rate=1e-2)},
    ),
    "td3": (td3.TD3, td3.Config, {"warmup_steps": WARMUP, "learner": TD3Config(critic=TINY, batch_size=8)}),
}
#: Updates of a member's critic and of its actor in so many of its steps.
UPDATES: dict[str, Callable[[int], int]] = {
    "sac": lambda steps: max(steps - WARMUP, 0),
    "a2c": lambda steps: steps // 5,
    "ppo": lambda steps: steps // 10 * 2 * 3,
}
TASKS = [("sac", "Pendulum-v1"), *((name, task) for name in ("a2c", "ppo") for task in ("Pendulum-v1", "CartPole-v1"))]
every_algorithm = pytest.mark.parametrize("name", UPDATES)
every_task = pytest.mark.parametrize(("name", "env_id"), TASKS)


def config(name: str, n: int = 1, **settings: Any) -> Any:
    _, kind, given = ALGORITHMS[name]
    fixed = {"env_id": ORACLE, "env_kwargs": {"max_episode_steps": LIMIT}, "network": TINY, "interval": INTERVAL}
    return kind(**{**fixed, **given, "population_size": n, "total_timesteps": 1_000, **settings})


def begun(name: str, n: int = 1, **settings: Any) -> EvoRL[Any]:
    return ALGORITHMS[name][0](config(name, n, **settings))


@every_task
@pytest.mark.parametrize("n", [1, 2])
def test_they_keep_the_contract(name: str, env_id: str, n: int) -> None:
    evorl.check_algorithm(ALGORITHMS[name][0], config(name, n, env_id=env_id))


@every_algorithm
@pytest.mark.parametrize("n", [1, 3])
def test_every_step_and_update_is_counted(name: str, n: int) -> None:
    warmup = WARMUP if name == "sac" else 0
    with counted() as made:
        run = begun(name, n)
        for generation in range(1, GENERATIONS + 1):
            report, each = run.step(), generation * INTERVAL
            assert run.ledger.spent == total_steps(made) == n * each
            assert run.ledger.steps["warmup"] == n * min(each, warmup)
            assert run.ledger.steps["fitness"] == run.ledger.steps["test"] == 0
            assert run.ledger.stored == (n * each if name == "sac" else 0)
            assert run.ledger.episodes == n * (each // LIMIT)
            assert (~run.population.traits["recent_returns"].isnan()).sum(1).tolist() == [each // LIMIT] * n
            updates = UPDATES[name](each)
            expected = dict.fromkeys(range(n), updates) if updates else dict.fromkeys(run.ledger.updates["actor"], 0)
            assert run.ledger.updates == {"critic": expected, "actor": expected}
            assert report["budget/critic_updates"] == n * updates


@every_algorithm
def test_a_member_of_many_lives_as_it_would_alone(name: str) -> None:
    alone, many = begun(name, 1), begun(name, 3)
    first = alone.population.params[0]
    for _ in range(GENERATIONS):
        alone.step()
        many.step()
    torch.testing.assert_close(alone.population.params[0], many.population.params[0], rtol=0, atol=1e-4)
    for trait, ours in alone.population.traits.items():
        theirs = many.population.traits[trait]
        torch.testing.assert_close(ours[0], theirs[0], rtol=1e-3, atol=1e-3, equal_nan=True)
    assert (alone.population.params[0] - first).abs().max() > 1e-2
    assert len(set(map(tuple, many.population.params.tolist()))) == 3


@every_algorithm
def test_the_answer_is_the_member_with_the_best_recent_training_returns(name: str) -> None:
    run = begun(name, 3)
    returns = torch.tensor([[1.0, torch.nan], [4.0, 2.0], [torch.nan, torch.nan]], dtype=torch.float64)
    run.population = run.population.with_traits(recent_returns=returns)
    assert torch.equal(run.answer().id, run.population.id[[1]])


class Killed(Exception):
    """Stands for the end of the process."""


def train(settings: Config, folder: Path) -> Path:
    running = {"checkpoint_seconds": 0, "test_episodes": 2, "final_episodes": 3, "progress": False}
    return evorl.train(settings, evorl.Running(runs=str(folder), **running)).folder  # type: ignore[arg-type]


def progress(folder: Path) -> list[dict[str, str]]:
    """Return the rows that a run wrote, without what the clock and the resuming leave in them."""
    with (folder / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    left_out = {tag for tag in rows[0] if tag.startswith("time/")} | {"budget/restored_steps"}
    return [{tag: value for tag, value in row.items() if tag not in left_out} for row in rows]


@pytest.fixture(scope="module")
def tags_of_td3(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    settings = config("td3", 2, env_id="Pendulum-v1", total_timesteps=2 * INTERVAL * GENERATIONS)
    return set(progress(train(settings, tmp_path_factory.mktemp("td3")))[-1])


@every_task
def test_a_run_writes_what_others_write_and_goes_on_where_it_was_cut(
    name: str, env_id: str, tags_of_td3: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(name, 2, env_id=env_id, total_timesteps=2 * INTERVAL * GENERATIONS)
    whole = train(settings, tmp_path / "whole")
    rows, write = progress(whole), TensorBoard.write
    assert set(rows[-1]) == tags_of_td3
    assert len(rows) == GENERATIONS + 1
    low, high = (1, LIMIT) if env_id == "CartPole-v1" else (-17 * LIMIT, 0)
    assert all(low <= float(row[tag]) <= high for row, tag in ((rows[0], "test/return"), (rows[-1], "final/return")))

    def dying(self: TensorBoard, record: dict[str, float]) -> None:
        write(self, record)
        if record["generation"] == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(TensorBoard, "write", dying)
        with pytest.raises(Killed):
            train(settings, tmp_path / "cut")
    (described,) = (tmp_path / "cut").rglob("config.json")
    evorl.resume(described.parent)
    assert progress(described.parent) == rows
    ours, theirs = (checkpoint.read(folder / "state.pt")["state"] for folder in (described.parent, whole))
    assert all(same(ours[part], theirs[part]) for part in ("population", "streams", "identities", "training"))


@pytest.mark.parametrize("name", ["sac", "td3", "cem"])
def test_learners_that_cannot_choose_refuse_discrete_actions(name: str) -> None:
    algorithm: type[EvoRL[Any]] = cem.CEM if name == "cem" else ALGORITHMS[name][0]
    settings = cem.Config(env_id="CartPole-v1") if name == "cem" else config(name, env_id="CartPole-v1")
    with pytest.raises(ConfigError) as raised:
        algorithm.check(settings)
    got = "CartPole-v1 with Discrete(2)"
    assert (
        str(raised.value)
        == f"env_id must name a task with Box actions, got {got}; svpg, and the learners a2c and ppo, take both"
    )


@pytest.mark.parametrize(("name", "length"), [("a2c", 5), ("ppo", 10)])
def test_an_interval_is_of_whole_rollouts(name: str, length: int) -> None:
    with pytest.raises(ConfigError) as raised:
        config(name, interval=12)
    message = f"interval must be a multiple of rollout_length = {length}, got 12; the nearest is 10"
    assert str(raised.value) == message


def test_learners_from_rollouts_need_no_budget_for_a_warm_up() -> None:
    assert begun("a2c", total_timesteps=INTERVAL).config.warmup_steps > INTERVAL
    with pytest.raises(ConfigError, match=r"total_timesteps must be at least 13, beyond every member's warm-up"):
        begun("sac", total_timesteps=WARMUP)


@every_algorithm
def test_every_preset_makes_settings(name: str) -> None:
    algorithm = ALGORITHMS[name][0]
    for preset in ("published", "common", *algorithm.presets):
        assert algorithm.preset(preset, env_id=ORACLE).population_size == 1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps", "least"), [("sac", 10_000, -250), ("ppo", 100_000, -300)])
def test_pendulum_is_learned_with_the_quick_preset(name: str, steps: int, least: float, tmp_path: Path) -> None:
    settings = ALGORITHMS[name][0].preset("quick", env_id="Pendulum-v1", total_timesteps=steps)
    result = evorl.train(settings, evorl.Running(runs=str(tmp_path), progress=False))
    assert result.final_return > least
