"""CEM-RL: who learns, how often, from when on, and that without updates it is CEM."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from support import ORACLE, counted, same, total_steps

from evorl import check_algorithm
from evorl.algorithms import cem
from evorl.algorithms.cem_rl import CEMRL, Config
from evorl.errors import ConfigError
from evorl.learning import DDPGConfig, TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population

TINY = NetworkConfig(hidden_sizes=(8, 8), activation="tanh")
LENGTHS: dict[str, Any] = {"terminate_at": 3, "spread": 7}
LEARNER = TD3Config(critic=TINY, batch_size=8, actor_learning_rate=1e-3, critic_learning_rate=1e-3)
DDPG = DDPGConfig(critic=TINY, critic_architecture="joint", batch_size=8, gradient_clip=None)
N = 6


def config(**settings: Any) -> Config:
    given = {"env_id": ORACLE, "env_kwargs": LENGTHS, "network": TINY, "learner": LEARNER, "start_steps": 0, **settings}
    return Config(**{"population_size": N, "total_timesteps": 2_000, **given})


def lengths(run: CEMRL, generation: int) -> list[int]:
    rows = range(run.config.population_size)
    return [3 + run.streams.episode_seed("fitness", generation, row, 0) % 7 for row in rows]


def learned(run: CEMRL) -> tuple[Population, Population]:
    """Return the candidates of the present generation before and after they learn."""
    candidates = run.vary(run.population)
    return candidates, run.learn(candidates)


@pytest.mark.parametrize("trained", [None, 1, 2, 5])
def test_the_other_members_are_bit_identical_before_and_after_the_gradient_part(trained: int | None) -> None:
    run = CEMRL(config(gradient_members=trained))
    run.step()
    before, after = learned(run)
    n = trained or N // 2
    assert torch.equal(after.params[n:], before.params[n:])
    assert (after.params[:n] != before.params[:n]).any(1).all()
    assert torch.equal(after.id, before.id)
    assert after.origin == before.origin


def test_all_members_may_learn() -> None:
    run = CEMRL(config(gradient_members=N))
    run.step()
    before, after = learned(run)
    assert (after.params != before.params).any(1).all()
    assert np.isnan(run.step()["cem_rl/untrained_fitness"])


def test_the_learners_are_one_side_of_the_mirrored_samples() -> None:
    run = CEMRL(config())
    run.step()
    before, after = learned(run)
    mean = torch.from_numpy(run.strategy.centroid)
    torch.testing.assert_close(
        before.params[: N // 2].double() + before.params[N // 2 :].double(),
        2 * mean.expand(N // 2, -1),
        rtol=0,
        atol=1e-6,
    )
    assert not torch.allclose(after.params[: N // 2] + after.params[N // 2 :], 2 * mean.float(), rtol=0, atol=1e-4)


def test_there_is_no_gradient_while_no_more_than_start_steps_are_spent_and_nothing_is_caught_up() -> None:
    probe = CEMRL(config())
    played = [sum(lengths(probe, generation)) for generation in range(4)]
    run = CEMRL(config(start_steps=played[0] + played[1]))
    critic = run.critic["critic"].clone()
    for _ in range(2):
        before, after = learned(copy_of(run))
        assert torch.equal(before.params, after.params)
        run.step()
    before, after = learned(copy_of(run))
    assert run.ledger.spent == run.config.start_steps, "exactly as many are not yet more"
    assert torch.equal(before.params, after.params)
    report = run.step()
    assert torch.equal(run.critic["critic"], critic)
    assert report["budget/actor_updates"] == report["budget/critic_updates"] == 0
    run.step()
    assert run.ledger.updates["actor"] == dict.fromkeys(range(3), played[2]), "those of the last generation alone"


def copy_of(run: CEMRL) -> CEMRL:
    return CEMRL(run.config, copy.deepcopy(run.state_dict()))


@pytest.mark.parametrize("trained", [1, 2, 4, 5])
@pytest.mark.parametrize("schedule", ["sequential", "joint"])
def test_actors_update_as_often_as_steps_were_stored_the_generation_before_and_the_critic_as_often_in_all(
    schedule: str, trained: int
) -> None:
    run = CEMRL(config(gradient_members=trained, critic_schedule=schedule))
    actor = critic = 0
    for generation in range(4):
        stored = sum(lengths(run, generation - 1)) if generation else 0
        actor += stored
        critic += trained * (stored // trained) if schedule == "sequential" else stored
        report = run.step()
        assert run.ledger.updates["actor"] == dict.fromkeys(range(trained), actor)
        assert run.ledger.updates["critic"] == {-1: critic}
        assert report["budget/actor_updates"] == trained * actor
        assert run.critic["critic_adam.step"].item() == critic


@pytest.mark.parametrize("episodes", [1, 3])
def test_total_steps_are_the_sum_of_all_episodes_and_all_are_stored(episodes: int) -> None:
    with counted() as made:
        run = CEMRL(config(episodes_per_member=episodes, start_steps=10_000))
        expected = 0
        for generation in range(3):
            run.step()
            seeds = [
                run.streams.episode_seed("fitness", generation, row, t) for row in range(N) for t in range(episodes)
            ]
            expected += sum(3 + seed % 7 for seed in seeds)
            assert run.ledger.spent == run.ledger.steps["fitness"] == run.ledger.stored == expected
            assert run.replay is not None
            assert run.replay.sizes == [expected]
            assert total_steps(made) == expected
            assert run.ledger.episodes == N * episodes * (generation + 1)


def test_the_replay_forgets_the_oldest() -> None:
    run = CEMRL(config(replay_size=20, start_steps=10_000))
    run.step()
    assert run.ledger.stored > 20
    assert run.replay is not None
    assert run.replay.sizes == [20]


@pytest.mark.parametrize("trained", [-1, N + 1])
def test_a_number_of_learners_out_of_range_is_refused(trained: int) -> None:
    with pytest.raises(ConfigError) as raised:
        config(gradient_members=trained)
    assert str(raised.value) == f"gradient_members must be between 0 and {N}, got {trained}"


def test_negative_start_steps_are_refused() -> None:
    with pytest.raises(ConfigError, match="start_steps must be at least 0, got -1"):
        config(start_steps=-1)


@pytest.mark.parametrize("without", [{"start_steps": 1_001}, {"gradient_members": 0, "start_steps": 0}], ids=str)
@pytest.mark.parametrize("env_id", [ORACLE, "Pendulum-v1"])
def test_without_updates_it_equals_cem_in_everything(env_id: str, without: dict[str, Any]) -> None:
    kwargs: dict[str, Any] = {"max_episode_steps": 8}
    common: dict[str, Any] = {"env_id": env_id, "env_kwargs": kwargs, "network": TINY, "population_size": N, "seed": 4}
    hybrid = CEMRL(Config(**common, total_timesteps=1_000, learner=LEARNER, **without))
    plain = cem.CEM(cem.Config(**common, total_timesteps=1_000))
    for _ in range(6):
        ours, theirs = hybrid.step(), plain.step()
        tags = [tag for tag in theirs if tag.startswith(("fitness", "population"))]
        assert [ours[tag] for tag in tags] == [theirs[tag] for tag in tags]
        assert ours["cem_rl/std"] == theirs["cem/std"]
        assert np.array_equal(hybrid.strategy.centroid, plain.strategy.centroid)
        assert np.array_equal(hybrid.strategy.variance, plain.strategy.variance)
        assert torch.equal(hybrid.answer().params, plain.answer().params)
        assert hybrid.ledger.spent == plain.ledger.spent
    assert ours["budget/actor_updates"] == ours["budget/critic_updates"] == 0


def test_with_updates_it_does_not_equal_cem() -> None:
    hybrid, plain = CEMRL(config()), CEMRL(config(start_steps=10_000))
    fitness = [(hybrid.step()["fitness/mean"], plain.step()["fitness/mean"]) for _ in range(2)]
    assert fitness[0][0] == fitness[0][1]
    assert fitness[1][0] != fitness[1][1]


def test_the_refit_sees_what_gradients_made_of_the_samples() -> None:
    run = CEMRL(config())
    run.step()
    _, after = learned(run)
    evaluated = run.evaluate(after)
    rows = evaluated.fitness.argsort(descending=True, stable=True)[: N // 2]
    weights = torch.log((1 + N / 2) / torch.arange(1, N / 2 + 1).double())
    expected = weights / weights.sum() @ after.params[rows].double()
    torch.testing.assert_close(run.select(evaluated).params[0].double(), expected, rtol=0, atol=1e-6)


def test_the_report_tells_the_fitness_with_and_without_training() -> None:
    run = CEMRL(config(gradient_members=2))
    for _ in range(2):
        report = run.step()
        members = [report[f"population/members/{row:02d}/fitness"] for row in range(N)]
        assert report["cem_rl/trained_fitness"] == pytest.approx(np.mean(members[:2]))
        assert report["cem_rl/untrained_fitness"] == pytest.approx(np.mean(members[2:]))
    assert np.isfinite([report["loss/critic"], report["loss/actor"]]).all()


@pytest.mark.parametrize("learner", [LEARNER, DDPG], ids=["td3", "ddpg"])
@pytest.mark.parametrize("schedule", ["sequential", "joint"])
def test_it_conforms(learner: Any, schedule: str) -> None:
    check_algorithm(CEMRL, config(learner=learner, critic_schedule=schedule, start_steps=30))


@pytest.mark.parametrize("settings", [{"covariance": "full"}, {"gradient_members": 0}], ids=str)
def test_it_conforms_with_deaps_strategy_and_without_learners(settings: dict[str, Any]) -> None:
    check_algorithm(CEMRL, config(start_steps=30, **settings))


def test_a_run_that_is_cut_and_resumed_equals_one_that_is_not() -> None:
    whole, cut = CEMRL(config(seed=2)), CEMRL(config(seed=2))
    for run in (whole, cut):
        run.step()
        run.step()
    resumed = CEMRL(cut.config, copy.deepcopy(cut.state_dict()))
    assert torch.equal(resumed.answer().params, cut.answer().params)
    assert resumed.answer().id.tolist() == cut.answer().id.tolist()
    for _ in range(2):
        assert same(resumed.step(), whole.step())
    assert same(resumed.state_dict(), whole.state_dict())
    assert whole.ledger.updates["critic"][-1] > 0


def mixing(**settings: Any) -> Config:
    """Return settings under which many samples are kept: few parameters, and a lasting extra variance."""
    small = NetworkConfig(hidden_sizes=(1,), activation="tanh")
    return config(**{"importance_mixing": True, "network": small, "population_size": 10, **settings})


@pytest.mark.parametrize("elitism", [False, True])
def test_only_samples_that_were_not_trained_are_kept_with_their_own_fitness(elitism: bool) -> None:
    run = CEMRL(mixing(gradient_members=4, elitism=elitism))
    kept = 0
    for _ in range(8):
        last = run.last
        candidates, after = learned(copy_of(run))
        assert torch.equal(after.fitness[4:].isnan(), candidates.fitness[4:].isnan())
        assert after.fitness[:4].isnan().all()
        report = run.step()
        assert run.last is not None
        evaluated, stay = run.last, run.last.traits["reused"].nonzero()[:, 0].tolist()
        assert report["cem_rl/reused"] == len(stay) / 10
        assert all(4 <= row < 10 - elitism for row in stay)
        assert set(stay) == set(after.fitness.isfinite().nonzero()[:, 0].tolist())
        if last is None:
            assert stay == []
            continue
        for name in ("params", "fitness", "id"):
            assert torch.equal(getattr(evaluated[stay], name), getattr(last[stay], name))
        assert set(evaluated.id.tolist()) & set(last.id.tolist()) == set(evaluated.id[stay].tolist())
        kept += len(stay)
    assert kept > 6


def test_kept_samples_cost_no_step_and_no_update_and_are_not_stored_again() -> None:
    with counted() as made:
        run, actor, played = CEMRL(mixing()), 0, 0
        for _ in range(6):
            actor += played
            before = total_steps(made)
            report = run.step()
            played = total_steps(made) - before
            assert run.replay is not None
            assert run.ledger.spent == run.ledger.stored == sum(run.replay.sizes) == total_steps(made)
            assert run.ledger.updates["actor"] == dict.fromkeys(range(5), actor)
        assert run.ledger.episodes < 60
        assert report["cem_rl/reused"] >= 0


def test_the_elite_is_what_gradients_made_of_the_best() -> None:
    run = CEMRL(config(elitism=True))
    run.step()
    drawn, trained = learned(run)
    run.select(trained.with_fitness(-torch.arange(N)))
    candidates, after = learned(run)
    assert candidates.origin == (*("sample",) * (N - 1), "elite")
    assert candidates.parent[-1] == trained.id[0]
    assert torch.equal(after.params[-1], trained.params[0])
    assert not torch.equal(after.params[-1], drawn.params[0])


@pytest.mark.parametrize("settings", [{"elitism": True, "importance_mixing": False}, {}, {"elitism": True}])
def test_the_switches_conform(settings: dict[str, Any]) -> None:
    check_algorithm(CEMRL, mixing(start_steps=30, **settings))


def test_a_run_with_both_switches_that_is_cut_and_resumed_equals_one_that_is_not() -> None:
    whole, cut = CEMRL(mixing(elitism=True)), CEMRL(mixing(elitism=True))
    reused = 0.0
    for run in (whole, cut):
        for _ in range(3):
            run.step()
    resumed = copy_of(cut)
    for _ in range(4):
        ours, theirs = resumed.step(), whole.step()
        assert same(ours, theirs)
        reused += ours["cem_rl/reused"]
    assert same(resumed.state_dict(), whole.state_dict())
    assert reused > 0


@pytest.mark.parametrize(
    ("settings", "got"), [({"gradient_members": N}, N), ({"gradient_members": 5, "elitism": True}, 5)]
)
def test_mixing_with_nothing_that_could_be_kept_is_refused(settings: dict[str, Any], got: int) -> None:
    with pytest.raises(ConfigError) as raised:
        config(importance_mixing=True, **settings)
    assert str(raised.value) == f"gradient_members must leave samples for importance_mixing to keep, got {got}"


def test_presets_are_those_of_the_authors_and_the_common_one() -> None:
    published: Config = CEMRL.preset("published", env_id=ORACLE)
    assert published == Config(env_id=ORACLE)
    assert (published.population_size, published.trained, published.start_steps) == (10, 5, 10_000)
    assert published.network == NetworkConfig(hidden_sizes=(400, 300), activation="tanh")
    learner: Any = published.learner
    assert isinstance(learner, TD3Config)
    assert learner.critic == NetworkConfig(hidden_sizes=(400, 300), activation="leaky_relu")
    assert (learner.batch_size, learner.discount, learner.tau) == (100, 0.99, 0.005)
    assert (learner.actor_learning_rate, learner.critic_learning_rate) == (1e-3, 1e-3)
    common: Config = CEMRL.preset("common", env_id=ORACLE)
    assert (common.network, common.learner) == (NetworkConfig(hidden_sizes=(256, 256)), TD3Config())
    ddpg: Any = CEMRL.preset("ddpg", env_id=ORACLE).learner
    assert isinstance(ddpg, DDPGConfig)
    assert (ddpg.critic_architecture, ddpg.gradient_clip, ddpg.tau, ddpg.batch_size) == ("joint", None, 0.005, 100)
