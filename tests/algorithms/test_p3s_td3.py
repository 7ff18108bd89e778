"""P3S-TD3: against a plain loop of TD3 learners, alone, and what is chosen, pulled, measured and counted."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from plain_p3s_td3 import PlainRun, plain_actor
from support import ORACLE, counted, same, total_steps
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from evorl import check_algorithm
from evorl.algorithms import td3
from evorl.algorithms.p3s_td3 import P3STD3, Config
from evorl.algorithms.td3 import TD3
from evorl.errors import ConfigError
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.selection import NOBODY
from evorl.streams import Streams

TINY = NetworkConfig(hidden_sizes=(4,))
LEARNER = TD3Config(critic=TINY, batch_size=8, actor_learning_rate=1e-2, critic_learning_rate=1e-2)
N, WARMUP, INTERVAL, LIMIT = 3, 12, 10, 4


def settings_of(n: int, **settings: Any) -> dict[str, Any]:
    given = {"warmup_steps": WARMUP, "interval": INTERVAL, "total_timesteps": 2_000, "updates_per_step": 1}
    fixed = {"env_id": ORACLE, "env_kwargs": {"max_episode_steps": LIMIT}, "network": TINY, "learner": LEARNER}
    return {**fixed, **given, "population_size": n, **settings}


def config(n: int = N, **settings: Any) -> Config:
    return Config(**settings_of(n, **settings))


def after(run: P3STD3, periods: int) -> P3STD3:
    for _ in range(periods):
        run.step()
    return run


def measured(run: P3STD3, fitness: list[float], spread: list[float], change: list[float]) -> Population:
    """Return the population as if it had been evaluated so, and had such distances."""
    columns = {"distance.spread": spread, "distance.change": change, "distance.count": [1.0] * len(fitness)}
    traits = {name: torch.tensor(column, dtype=torch.float64) for name, column in columns.items()}
    return run.population.with_traits(**traits).with_fitness(torch.tensor(fitness))


VARIANTS: dict[str, dict[str, Any]] = {
    "shared replay": {"beta": 0.0},
    "pulled": {"beta": 1.0},
    "pulled from fresh starts": {"beta": 1.0, "identical_start": False, "minimum_distance": 0.01},
    "summed": {"beta": 1.0, "distance": "sum", "order": "code"},
    "many updates": {"beta": 1.0, "updates_per_step": 3, "minimum_distance": 0.0},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_equals_a_plain_loop_of_learners_over_one_replay(variant: str) -> None:
    settings = config(**VARIANTS[variant])
    run = P3STD3(settings)
    first, plain = run.population, PlainRun(run.population, settings)
    for _ in range(6):
        run.step()
        plain.period()
        assert (run.best, run.beta) == (plain.best, plain.beta)
        assert [run.spread, run.change] == pytest.approx([plain.spread, plain.change], rel=1e-2, nan_ok=True)
        for row, learner in enumerate(plain.learners):
            expected = {
                "critic": parameters_to_vector(learner.critics.parameters()),
                "target_critic": parameters_to_vector(learner.target_critics.parameters()),
                "target_actor": parameters_to_vector(learner.target_actor.parameters()),
            }
            actor = parameters_to_vector(learner.actor.parameters())
            torch.testing.assert_close(run.population.params[row], actor.detach(), rtol=0, atol=2e-4)
            for name, params in expected.items():
                torch.testing.assert_close(run.population.traits[name][row], params.detach(), rtol=0, atol=2e-4)
    assert (run.population.params - first.params).abs().amax(1).min() > 1e-2
    assert (run.beta == 0) == (settings.beta == 0)


def test_a_single_learner_is_td3_to_the_last_bit() -> None:
    alone, control = P3STD3(config(1)), TD3(td3.Config(**settings_of(1)))
    for _ in range(6):
        alone.step()
        control.step()
        assert same(alone.population.params, control.population.params)
        for name, trait in control.population.traits.items():
            assert same(alone.population.traits[name], trait)
        assert same(alone.training.state_dict(), control.training.state_dict())
        assert same(alone.ledger.state_dict(), control.ledger.state_dict())
    assert (alone.best, alone.beta) == (0, 1.0)
    assert np.isnan(alone.report(alone.population)["p3s_td3/spread"])
    assert alone.population.traits["updates"].tolist() == [6 * INTERVAL - WARMUP]


@pytest.mark.parametrize("n", [1, N])
@pytest.mark.parametrize(
    "settings",
    [{}, {"exchange": "copy"}, {"distance_at": "period_end"}, {"delayed_reward": 3, "order": "code"}],
    ids=str,
)
def test_it_keeps_the_contract(n: int, settings: dict[str, Any]) -> None:
    check_algorithm(P3STD3, config(n, **settings))


def test_the_best_learns_as_it_would_alone_and_the_others_are_pulled() -> None:
    """In a period of two steps the actors move once, so that all act and draw the same with and without a pull."""
    cut = after(P3STD3(config(interval=2, updates_per_step=1)), 12).state_dict()
    learned = {}
    for beta in (0.0, 5.0):
        run = P3STD3(config(interval=2), copy.deepcopy(cut))
        pull = run.population.traits["pull"]
        learned[beta] = run.learn(run.population.with_traits(pull=pull.sign() * beta))
    best, others = run.best, [row for row in range(N) if row != run.best]
    plain, pulled = learned[0.0], learned[5.0]
    assert same(plain[[best]].state_dict(), pulled[[best]].state_dict())
    assert torch.equal(plain.traits["critic"], pulled.traits["critic"])
    assert (plain.params[others] != pulled.params[others]).any(1).all()


def test_all_but_the_best_have_beta_as_their_pull() -> None:
    run = P3STD3(config())
    run.beta = 0.25
    chosen = run.select(measured(run, [1.0, 3.0, 2.0], [0.0] * N, [0.0] * N))
    assert run.best == 1
    assert chosen.traits["pull"].tolist() == [0.25, 0.0, 0.25]
    assert torch.equal(run.reference, chosen.params[[1]])


@pytest.mark.parametrize(("order", "beta", "spread"), [("paper", 0.5, 0.025), ("code", 2.0, 0.525)])
def test_distances_leave_out_the_best_of_the_period_or_of_the_next(order: str, beta: float, spread: float) -> None:
    run = P3STD3(config(order=order))
    run.best = 0
    evaluated = measured(run, [0.0, 1.0, 2.0], [1.0, 0.05, 0.0], [0.0] * N)
    run.select(evaluated)
    assert (run.best, run.beta) == (2, beta)
    report = run.report(evaluated)
    assert report == {"p3s_td3/beta": beta, "p3s_td3/spread": pytest.approx(spread), "p3s_td3/change": 0.0}


def test_the_least_distance_counts_once_for_each_coordinate_that_is_summed() -> None:
    for distance, beta in (("mean", 1.0), ("sum", 0.5)):
        run = P3STD3(config(distance=distance))
        run.best = 0
        run.select(measured(run, [1.0, 0.0, 0.0], [0.0, 0.05, 0.05], [0.0] * N))
        assert run.beta == beta


def test_learners_begin_as_copies_or_as_independent_ones() -> None:
    copies, fresh = P3STD3(config()).population, P3STD3(config(identical_start=False)).population
    independent = TD3(td3.Config(**settings_of(N))).population
    for name in ("critic", "target_critic", "target_actor"):
        assert torch.equal(copies.traits[name], independent.traits[name][[0] * N])
        assert torch.equal(fresh.traits[name], independent.traits[name])
    assert torch.equal(copies.params, independent.params[[0] * N])
    assert torch.equal(fresh.params, independent.params)
    assert len(set(copies.id.tolist())) == N


def test_nobody_is_best_until_an_episode_is_finished() -> None:
    run = P3STD3(config(env_kwargs={"max_episode_steps": 25}))
    for _ in range(2):
        report = run.step()
        assert (run.best, run.beta) == (NOBODY, 1.0)
        assert not run.population.traits["pull"].any()
        assert torch.equal(run.answer().id, run.population.id[[0]])
        assert np.isnan([report["p3s_td3/spread"], report["p3s_td3/change"]]).all()
    assert run.population.traits["updates"].all()
    run.step()
    assert run.best != NOBODY
    assert run.beta == 1.0
    assert torch.equal(run.answer().id, run.population.id[[run.best]])


def test_a_learner_without_a_finished_episode_is_not_the_best() -> None:
    run = P3STD3(config())
    run.select(measured(run, [torch.nan, -5.0, torch.nan], [0.0] * N, [0.0] * N))
    assert run.best == 1


def test_fitness_is_the_mean_of_the_latest_training_returns() -> None:
    run = P3STD3(config())
    returns = torch.tensor([[1.0, torch.nan], [4.0, 2.0], [torch.nan, torch.nan]], dtype=torch.float64)
    evaluated = run.evaluate(run.population.with_traits(recent_returns=returns))
    assert same(evaluated.fitness, torch.tensor([1.0, 3.0, torch.nan], dtype=torch.float64))
    assert run.ledger.spent == 0


def test_copies_of_the_best_have_all_its_traits_and_ids_of_their_own() -> None:
    preset = P3STD3.preset("re-td3", env_id=ORACLE)
    assert (preset.beta, preset.exchange) == (0.0, "copy")
    run = after(P3STD3(config(beta=0.0, exchange="copy")), 4)
    before = run.population
    evaluated = run.evaluate(run.learn(before))
    parents = run.select(evaluated)
    best, others = run.best, [row for row in range(N) if row != run.best]
    assert len(set(map(tuple, evaluated.params.tolist()))) == N
    assert torch.equal(parents.params, evaluated.params[[best] * N])
    for name, trait in evaluated.traits.items():
        assert same(parents.traits[name], torch.zeros(N) if name == "pull" else trait[[best] * N])
    assert parents.id[best] == before.id[best]
    assert not set(parents.id[others].tolist()) & set(before.id.tolist())
    assert parents.parent[others].tolist() == [before.id[best].item()] * (N - 1)
    assert [parents.origin[row] for row in others] == ["copy"] * (N - 1)


def test_who_is_as_good_as_the_best_is_not_replaced_and_who_has_no_return_is() -> None:
    run = after(P3STD3(config(4, beta=0.0, exchange="copy")), 1)
    evaluated = run.population.with_fitness(torch.tensor([1.0, 2.0, torch.nan, 2.0]))
    parents = run.select(evaluated)
    assert run.best == 1
    assert parents.id[[1, 3]].tolist() == evaluated.id[[1, 3]].tolist()
    assert torch.equal(parents.params, evaluated.params[[1, 1, 1, 3]])


def test_copies_learn_on_until_one_of_them_has_a_return_of_its_own() -> None:
    run = after(P3STD3(config(beta=0.0, exchange="copy", interval=LIMIT // 2)), 1)
    for _ in range(6):
        before = run.population
        run.step()
        finished = run.population.traits["recent_returns"].nan_to_num().ne(before.traits["recent_returns"].nan_to_num())
        assert finished.any() or torch.equal(run.population.id, before.id)


def test_pulled_learners_stay_who_they_are() -> None:
    run = P3STD3(config())
    before = run.population
    after(run, 4)
    assert torch.equal(run.population.id, before.id)
    assert run.population.origin == ("initial",) * N


def test_the_reference_is_the_best_of_a_period_ago_until_the_next_choice() -> None:
    run = after(P3STD3(config()), 3)
    reference = run.reference.clone()
    assert torch.equal(reference, run.population.params[[run.best]])
    learned = run.learn(run.population)
    assert torch.equal(run.reference, reference)
    assert not torch.isclose(learned.params[run.best], reference[0]).all()
    run.select(run.evaluate(learned))
    assert torch.equal(run.reference, learned.params[[run.best]])


@pytest.mark.parametrize("per_step", [1, 4])
def test_a_period_is_an_interval_of_every_learner_each_step_with_its_updates(per_step: int) -> None:
    with counted() as made:
        run = P3STD3(config(warmup_steps=INTERVAL, updates_per_step=per_step))
        for period in range(1, 4):
            run.step()
            assert run.ledger.spent == total_steps(made) == run.ledger.stored == period * N * INTERVAL
            assert run.ledger.steps["fitness"] == 0
            each = (period - 1) * INTERVAL * per_step
            for part, updates in (("critic", each), ("actor", each // 2)):
                assert run.ledger.updates[part] == dict.fromkeys(range(N), updates)
    assert run.training.replay.sizes == [3 * N * INTERVAL]


@pytest.mark.parametrize("order", ["paper", "code"])
def test_another_order_of_learners_changes_who_is_best_and_nothing_else(order: str) -> None:
    places = [2, 0, 1]
    run, other = (P3STD3(config(order=order, identical_start=False)) for _ in range(2))
    evaluated = measured(run, [1.0, 3.0, 2.0], [0.5, 0.01, 0.02], [0.01, 0.02, 0.03])
    run.best, other.best = 0, places.index(0)
    parents, permuted = run.select(evaluated), other.select(evaluated[places])
    assert places[other.best] == run.best == 1
    assert (other.beta, other.spread, other.change) == pytest.approx((run.beta, run.spread, run.change))
    assert torch.equal(other.reference, run.reference)
    assert same(permuted.state_dict(), parents[places].state_dict())


def test_at_the_end_of_a_period_distances_are_those_on_one_minibatch_of_each() -> None:
    run = P3STD3(config(distance_at="period_end", identical_start=False, warmup_steps=INTERVAL))
    run.step()
    assert not run.population.traits["distance.count"].any()
    before, reference = run.population, run.reference
    learned = run.learn(before)
    assert learned.traits["distance.count"].tolist() == [1.0] * N
    for row, draws in enumerate(Streams(0).rows("distance", range(N)).generators):
        stored = run.training.replay.take(torch.from_numpy(draws.integers(2 * N * INTERVAL, size=8))[None])
        ours, best, begun = (
            _actions(p, stored.observations[0]) for p in (learned.params[row], reference[0], before.params[row])
        )
        for name, theirs in (("spread", best), ("change", begun)):
            by_hand = (0.5 * (ours - theirs).square()).mean(1).clamp(1e-4, 1e4).double().mean()
            torch.testing.assert_close(learned.traits[f"distance.{name}"][row], by_hand, rtol=1e-5, atol=1e-9)


def _actions(params: Tensor, observations: Tensor) -> Tensor:
    actor = plain_actor()
    vector_to_parameters(params.clone(), actor.parameters())
    actions: Tensor = actor(observations).detach()
    return actions


def test_every_preset_makes_settings_and_those_of_the_tasks_are_their_papers() -> None:
    for name in ("published", "common", *P3STD3.presets):
        assert P3STD3.preset(name, env_id=ORACLE).population_size == 4
    found = {name: P3STD3.preset(name, env_id=ORACLE) for name in ("published", "hopper", "walker2d", "ant")}
    assert {name: (c.warmup_steps, c.minimum_distance) for name, c in found.items()} == {
        "published": (2_500, 0.05),
        "hopper": (250, 0.05),
        "walker2d": (250, 0.02),
        "ant": (2_500, 0.02),
    }


@pytest.mark.parametrize("name", ["beta", "rho", "minimum_distance"])
def test_a_setting_that_cannot_work_is_refused(name: str) -> None:
    given: dict[str, Any] = {name: -0.1}
    with pytest.raises(ConfigError) as raised:
        config(**given)
    assert str(raised.value) == f"{name} must be at least 0, got -0.1"
