"""SVPG: what a generation plays and counts, who stays, its controls, and that it climbs."""

from typing import Any

import pytest
import torch
from support import ORACLE, counted, total_steps

from evorl import check_algorithm
from evorl.algorithms.svpg import SVPG, Config
from evorl.envs.analytic import QUADRATIC
from evorl.errors import ConfigError
from evorl.learning import A2CConfig, ReinforceConfig
from evorl.policies import GaussianPolicy, NetworkConfig

TINY = NetworkConfig(hidden_sizes=(4,), activation="tanh")
N, LENGTH = 3, 25
#: Episodes of 4 to 10 steps.
LENGTHS: dict[str, Any] = {"terminate_at": 4, "spread": 7}
LEARNERS: dict[str, ReinforceConfig | A2CConfig] = {
    "reinforce": ReinforceConfig(rollout_length=LENGTH, learning_rate=1e-2),
    "a2c": A2CConfig(rollout_length=LENGTH, learning_rate=1e-2, critic=TINY),
}
every_learner = pytest.mark.parametrize("learner", LEARNERS)


def config(learner: str = "reinforce", **given: Any) -> Config:
    settings = {
        "env_id": ORACLE,
        "env_kwargs": LENGTHS,
        "network": TINY,
        "population_size": N,
        "total_timesteps": 1_000,
        "learner": LEARNERS[learner],
        **given,
    }
    return Config(**settings)


@every_learner
@pytest.mark.parametrize("env_id", [ORACLE, "CartPole-v1"])
def test_it_keeps_the_contract(learner: str, env_id: str) -> None:
    check_algorithm(SVPG, config(learner, env_id=env_id, env_kwargs={"max_episode_steps": 9}))


@every_learner
def test_every_particle_plays_whole_episodes_until_its_batch_is_full(learner: str) -> None:
    with counted() as made:
        run = SVPG(config(learner))
        for generation in range(4):
            before = run.ledger.steps["train"], run.ledger.episodes
            expected = []
            for row in range(N):
                lengths: list[int] = []
                while sum(lengths) < LENGTH:
                    seed = run.streams.episode_seed("episode", generation, row, len(lengths))
                    lengths.append(4 + seed % 7)
                expected.append(lengths)
            run.step()
            assert run.ledger.steps["train"] - before[0] == sum(map(sum, expected))
            assert run.ledger.episodes - before[1] == sum(map(len, expected))
            assert run.ledger.spent == total_steps(made) == run.ledger.steps["train"]
            assert run.ledger.updates["actor"] == dict.fromkeys(range(N), generation + 1)
            assert run.ledger.updates["critic"] == (dict.fromkeys(range(N), generation + 1) if learner == "a2c" else {})


def test_nobody_is_replaced_or_given_a_fitness() -> None:
    run = SVPG(config())
    before = run.population
    for _ in range(3):
        run.step()
    assert torch.equal(run.population.id, before.id)
    assert run.population.origin == ("initial",) * N
    assert run.population.fitness.isnan().all()
    assert not torch.isclose(run.population.params, before.params).all(1).any()


def test_training_returns_are_those_of_the_episodes_played() -> None:
    """The reward of the oracle is the step plus the action, so that a return tells the length of its episode."""
    run = SVPG(config())
    run.step()
    for row in range(N):
        lengths = [4 + run.streams.episode_seed("episode", 0, row, episode) % 7 for episode in range(10)]
        returns = run.population.traits["recent_returns"][row]
        known = returns[~returns.isnan()].tolist()
        assert len(known) == next(k for k in range(1, 10) if sum(lengths[:k]) >= LENGTH)
        for length, found in zip(lengths, known, strict=False):
            assert found == pytest.approx(length * (length + 1) / 2, abs=2 * length)


def test_the_answer_is_the_particle_with_the_best_recent_returns() -> None:
    run = SVPG(config())
    assert run.answer().id.tolist() == [0]
    run.step()
    means = run.population.traits["recent_returns"].nanmean(dim=1)
    assert run.answer().id[0] == run.population.id[means.argmax()]


def test_all_particles_are_tested_beside_the_answer() -> None:
    run = SVPG(config())
    assert run.tested() == {"svpg/test_mean": run.population}


# Temperature and bandwidth.


def test_the_temperature_follows_the_share_of_the_budget_that_was_spent_before() -> None:
    run = SVPG(config(annealing="linear", alpha=4.0, total_timesteps=400))
    while not run.finished:
        spent = run.ledger.spent / 400
        assert run.step()["svpg/alpha"] == pytest.approx(max(0.01, 4.0 * min(1.0, 2 * (1 - spent))))
    assert SVPG(config()).report(run.population)["svpg/alpha"] == 10.0


def test_particles_climb_at_the_annealed_temperature() -> None:
    runs = [SVPG(config(annealing="tanh", alpha=1.0)), SVPG(config(alpha=1e6)), SVPG(config(alpha=1.0))]
    for run in runs:
        run.step()
    annealed, hot, cold = (run.population.params for run in runs)
    torch.testing.assert_close(annealed, hot, rtol=0, atol=0)
    assert not torch.allclose(annealed, cold, rtol=0, atol=1e-4)


def test_the_bandwidth_is_that_of_the_step() -> None:
    run = SVPG(config())
    squares = torch.cdist(run.population.params.double(), run.population.params.double()).square()
    median = squares.flatten().sort().values[4]
    assert run.step()["svpg/bandwidth"] == pytest.approx(median.item() / (2 * torch.tensor(4.0).log().item()))


# Controls and settings.


@every_learner
def test_independent_particles_live_as_they_would_alone(learner: str) -> None:
    """But for a factor on the gradient, n alpha, which Adam does not feel."""
    many = SVPG(config(learner, sharing=False, repulsion=False, alpha=1.0))
    alone = SVPG(config(learner, population_size=1, alpha=1.0))
    for _ in range(4):
        many.step()
        alone.step()
    moved = many.population.params[0] - SVPG(config()).population.params[0]
    assert moved.abs().max() > 1e-2
    torch.testing.assert_close(many.population.params[0], alone.population.params[0], rtol=0, atol=1e-3)


def test_particles_of_the_published_settings_feel_each_other() -> None:
    params = []
    controls: list[dict[str, Any]] = [{}, {"repulsion": False}, {"sharing": False}]
    for settings in (*controls, {"sharing": False, "repulsion": False}):
        run = SVPG(config(**settings))
        for _ in range(3):
            run.step()
        params.append(run.population.params)
    for first in range(4):
        for second in range(first):
            assert not torch.allclose(params[first], params[second], rtol=0, atol=1e-4)


def test_the_published_settings_are_those_of_the_authors_code() -> None:
    published = SVPG.preset("published", env_id=ORACLE)
    assert (published.population_size, published.alpha, published.annealing) == (16, 10.0, "none")
    assert published.network == NetworkConfig(hidden_sizes=(100, 50, 25), activation="tanh", initial_weights="glorot")
    learner = published.learner
    assert isinstance(learner, ReinforceConfig)
    assert (learner.rollout_length, learner.learning_rate, learner.discount) == (5_000, 5e-3, 0.99)
    assert learner.standardise_advantages
    assert not learner.normalise_observations
    assert learner.gradient_clip is None


@pytest.mark.parametrize("preset", SVPG.presets)
def test_every_control_spends_the_same_in_a_generation(preset: str) -> None:
    given = SVPG.preset(preset, env_id=ORACLE, env_kwargs={"max_episode_steps": 500})
    batch = given.population_size * given.learner.rollout_length
    assert batch == (8 * 1_000 if preset == "quick" else 16 * 5_000)
    assert isinstance(SVPG.make_policy(given, SVPG.describe(given)), GaussianPolicy)


def test_the_first_generation_must_fit_into_the_budget() -> None:
    limited: dict[str, Any] = {"env_kwargs": {"max_episode_steps": 10}}
    with pytest.raises(ConfigError, match=f"total_timesteps must be at least {N * (LENGTH + 9)}"):
        SVPG(config(total_timesteps=N * (LENGTH + 9) - 1, **limited))
    run = SVPG(config(total_timesteps=N * (LENGTH + 9), **limited))
    run.step()
    assert run.ledger.spent <= N * (LENGTH + 9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": -1.0}, "alpha must be above 0, got -1.0"),
        ({"bandwidth": "mean"}, "bandwidth must be one of"),
        ({"population_size": 0}, "population_size must be at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**settings)


@every_learner
def test_it_climbs_to_the_optimum_of_a_bandit(learner: str) -> None:
    """With a low temperature all particles get near the best return, 0; doing nothing brings -0.5."""
    common: dict[str, Any] = {"rollout_length": 40, "learning_rate": 3e-2}
    learners: dict[str, ReinforceConfig | A2CConfig] = {
        "reinforce": ReinforceConfig(**common),
        "a2c": A2CConfig(critic=TINY, normalise_observations=False, standardise_advantages=True, **common),
    }
    given: dict[str, Any] = {"env_id": QUADRATIC, "network": TINY, "population_size": N}
    run = SVPG(Config(learner=learners[learner], total_timesteps=6_000, alpha=0.1, **given))
    while not run.finished:
        run.step()
    actions = run.policy.act(run.population, torch.ones(N, 1))
    returns = -(actions - torch.tensor([0.5, -0.5])).square().sum(1)
    assert returns.min() > -0.1
