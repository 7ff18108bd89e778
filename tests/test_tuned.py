"""Learners that differ in hyperparameters: what they draw, by what they are judged, what is reported."""

from typing import Any

import pytest
import torch
from support import ORACLE

import evorl
from evorl.errors import ConfigError
from evorl.hyperparameters import Space
from evorl.learning import A2CConfig, TD3Config
from evorl.policies import NetworkConfig
from evorl.streams import Streams
from evorl.tuned import Config, TunedLearners

TINY = NetworkConfig(hidden_sizes=(4,))
SPACE = {"actor_learning_rate": "log:1e-4:1e-2", "discount": "complement:0.9:0.999"}
LIMIT = 4


def config(n: int = 3, **settings: Any) -> Config:
    common = {"learner": TD3Config(critic=TINY, batch_size=8), "warmup_steps": 4, "interval": 12, "space": SPACE}
    given: dict[str, Any] = {"total_timesteps": 2_000, "network": TINY, **common, **settings}
    return Config(env_id=ORACLE, env_kwargs={"max_episode_steps": LIMIT}, population_size=n, **given)


def test_the_contract_of_the_loop_is_kept() -> None:
    evorl.check_algorithm(TunedLearners, config())
    evorl.check_algorithm(TunedLearners, config(fitness="fresh", window=2))


def test_first_hyperparameters_are_drawn_from_the_space_by_each_row_for_itself() -> None:
    run = TunedLearners(config(5))
    drawn = Space.parse(SPACE).sample(Streams(0).rows("prior", range(5)))
    assert {name for name in run.population.traits if name.startswith("h.")} == {f"h.{name}" for name in SPACE}
    for name in SPACE:
        assert torch.equal(run.population.traits[f"h.{name}"], drawn[name])
        assert torch.equal(TunedLearners(config(2)).population.traits[f"h.{name}"], drawn[name][:2])


def test_fitness_is_the_mean_of_the_latest_returns_in_training() -> None:
    run = TunedLearners(config(window=2))
    run.step()
    traits = run.population.traits
    assert torch.equal(traits["fitness_returns"], traits["recent_returns"][:, -2:])
    assert torch.equal(run.population.fitness, traits["recent_returns"][:, -2:].mean(1))
    assert run.ledger.steps["fitness"] == 0


def test_fitness_of_fresh_episodes_is_counted_and_keeps_every_return() -> None:
    run = TunedLearners(config(window=3, fitness="fresh"))
    run.step()
    assert run.ledger.steps["fitness"] == 3 * 3 * LIMIT
    returns = run.population.traits["fitness_returns"]
    assert returns.shape == (3, 3)
    assert torch.equal(run.population.fitness, returns.mean(1))
    expected = run.episodes.play(
        run.population, [run.streams.episode_seed("fitness 1", 0, r, 0) for r in range(3)], "test"
    )
    assert returns[:, 1].tolist() == pytest.approx(expected.returns.tolist())


def test_auto_plays_fresh_episodes_if_the_space_changes_exploration() -> None:
    on_policy = A2CConfig(critic=TINY, rollout_length=4)
    assert config().fresh_episodes == 0
    assert config(learner=on_policy, space={}, window=7).fresh_episodes == 7
    assert config(learner=on_policy, space={"learning_rate": "log:1e-4:1e-2"}).fresh_episodes == 0
    assert config(learner=on_policy, space={}, fitness="training").fresh_episodes == 0


def test_the_first_generation_can_take_the_steps_of_its_fresh_episodes_too() -> None:
    run = TunedLearners(config(fitness="fresh", window=2))
    run.step()
    assert run.ledger.spent == TunedLearners.first_steps(run.config, run.task) == 3 * (12 + 2 * LIMIT)


def test_the_report_has_every_hyperparameter() -> None:
    run = TunedLearners(config())
    report = run.step()
    assert report["tuned_learners/discount/02"] == run.population.traits["h.discount"][2].item()
    assert "tuned_learners/actor_learning_rate/spread" in report


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": {"batch_size": "int:1:9"}}, "space must name some of .*got 'batch_size': the minibatches"),
        ({"space": {"discont": "0:1"}}, "space must name some of .*got 'discont'; did you mean 'discount'"),
        ({"space": {"critic": "0:1"}}, "got 'critic': the critics of all members are one tensor"),
        ({"space": {"discount": "0.5:2"}}, "space of discount must lie between 0.0 and 1.0"),
        ({"window": 0}, "window must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_runs(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TunedLearners.check(config(**settings))
