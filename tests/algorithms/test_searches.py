"""Searches of hyperparameters that stay: random, grid, Bayesian, successive halving."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from support import ORACLE, same

import evorl
from evorl import tuned
from evorl.algorithms import bayesian_search, grid_search, pbt, random_search, successive_halving
from evorl.algorithms.bayesian_search import BayesianSearch
from evorl.algorithms.grid_search import GridSearch
from evorl.algorithms.pbt import PBT
from evorl.algorithms.random_search import RandomSearch
from evorl.algorithms.successive_halving import SuccessiveHalving
from evorl.errors import ConfigError
from evorl.learning import OffPolicy, TD3Config
from evorl.learning.ppo import PPOConfig
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.task import Task
from evorl.template import EvoRL

TINY = NetworkConfig(hidden_sizes=(4,))
WARMUP, INTERVAL, LIMIT = 4, 12, 4
SPACE = {"actor_learning_rate": "log:1e-4:1e-2", "discount": "complement:0.9:0.999"}
GRID = {"actor_learning_rate": "log:1e-4:1e-2", "tau": "categorical:0.005,0.01"}
COMMON: dict[str, Any] = {"warmup_steps": WARMUP, "interval": INTERVAL, "window": 2, "network": TINY, "space": SPACE}
COMMON |= {
    "env_id": ORACLE,
    "env_kwargs": {"max_episode_steps": LIMIT},
    "learner": TD3Config(critic=TINY, batch_size=8),
}


def random_config(n: int = 4, **settings: Any) -> random_search.Config:
    return random_search.Config(**{**COMMON, "population_size": n, "total_timesteps": 2_000, **settings})


def grid_config(**settings: Any) -> grid_search.Config:
    given = {"space": GRID, "points": 2, "population_size": 4, "total_timesteps": 2_000, **settings}
    return grid_search.Config(**{**COMMON, **given})


def bayesian_config(**settings: Any) -> bayesian_search.Config:
    given = {"population_size": 2, "trials": 8, "startup_trials": 4, "total_timesteps": 8 * 24, **settings}
    return bayesian_search.Config(**{**COMMON, **given})


def halving_config(n: int = 4, **settings: Any) -> successive_halving.Config:
    given = {
        "population_size": n,
        "first_rung": 1,
        "reduction_factor": 2,
        "rungs": 2,
        "total_timesteps": 2_000,
        **settings,
    }
    return successive_halving.Config(**{**COMMON, **given})


def turns(run: EvoRL[Any], generations: int) -> list[Population]:
    """Return the evaluated members of each generation."""
    seen: list[Population] = []
    for _ in range(generations):
        run.step(seen.append)
    return seen


def h(members: Population) -> torch.Tensor:
    return torch.stack([members.traits[f"h.{name}"] for name in SPACE], dim=1)


@pytest.mark.parametrize(
    ("algorithm", "config"),
    [
        (RandomSearch, random_config()),
        (GridSearch, grid_config()),
        (BayesianSearch, bayesian_config(total_timesteps=8 * 12)),
        (BayesianSearch, bayesian_config(total_timesteps=8 * 16, startup_trials=2, fitness="fresh", window=1)),
        (SuccessiveHalving, halving_config()),
        (SuccessiveHalving, halving_config(2, exploration="ornstein_uhlenbeck", fitness="fresh", window=1)),
        (
            SuccessiveHalving,
            halving_config(space={}, learner=PPOConfig(rollout_length=12, minibatches=2, epochs=1), fitness="training"),
        ),
    ],
)
def test_the_contract_of_the_loop_is_kept(algorithm: type[EvoRL[Any]], config: Any) -> None:
    evorl.check_algorithm(algorithm, config)


@pytest.mark.parametrize(
    ("algorithm", "config", "generations"),
    [
        (RandomSearch, random_config(), 1),
        (GridSearch, grid_config(), 1),
        (BayesianSearch, bayesian_config(total_timesteps=8 * 12), 2),
        (SuccessiveHalving, halving_config(), 3),
    ],
)
def test_a_resumed_run_equals_the_one_that_was_not_cut(
    algorithm: type[EvoRL[Any]], config: Any, generations: int
) -> None:
    whole = algorithm(config)
    turns(whole, generations)
    resumed = algorithm(config, whole.state_dict())
    turns(whole, 2)
    turns(resumed, 2)
    assert same(whole.population.state_dict(), resumed.population.state_dict())
    assert same(whole.answer().state_dict(), resumed.answer().state_dict())


def test_all_but_the_grid_begin_with_the_first_draws_of_pbt() -> None:
    fields = {field.name for field in dataclasses.fields(pbt.Config)}
    first = PBT(pbt.Config(**{name: value for name, value in vars(random_config()).items() if name in fields}))
    drawn = h(first.population)
    assert torch.equal(h(RandomSearch(random_config()).population), drawn)
    assert torch.equal(h(SuccessiveHalving(halving_config()).population), drawn)
    run = BayesianSearch(bayesian_config())
    assert torch.equal(h(run.population), drawn[:2])
    while run.begun < 4:
        run.step()
    assert torch.equal(h(run.population), drawn[2:]), "the trials before the sampler proposes"


def test_random_search_is_learners_that_drew_and_answers_the_best_by_fitness() -> None:
    run = RandomSearch(random_config())
    shared = {field.name: getattr(run.config, field.name) for field in dataclasses.fields(tuned.Config)}
    plain = tuned.TunedLearners(tuned.Config(**shared))
    before = h(run.population)
    turns(run, 3)
    turns(plain, 3)
    assert same(run.population.state_dict(), plain.population.state_dict())
    assert torch.equal(h(run.population), before)
    assert run.answer().id.item() == run.population.id[run.population.fitness.argmax()]


def test_every_point_of_the_grid_is_a_member() -> None:
    run = GridSearch(grid_config())
    points = zip(run.population.traits["h.actor_learning_rate"], run.population.traits["h.tau"], strict=True)
    found = [(rate.item(), tau.item()) for rate, tau in points]
    assert found == [pytest.approx(point) for point in [(1e-4, 0.005), (1e-4, 0.01), (1e-2, 0.005), (1e-2, 0.01)]]
    turns(run, 2)
    assert run.population.id.tolist() == [0, 1, 2, 3]


def test_a_batch_of_trials_has_its_share_of_the_budget_and_then_fresh_members_begin() -> None:
    run = BayesianSearch(bayesian_config())
    first = run.population
    for batch in range(4):
        assert run.population.id.tolist() == [2 * batch, 2 * batch + 1]
        assert run.population.traits["age"].tolist() == [0, 0]
        assert isinstance(run.training, OffPolicy)
        assert run.training.replay.sizes == [0, 0]
        ended = turns(run, 2)[-1]
        assert run.ledger.spent == (batch + 1) * 2 * 24
        assert run.ledger.steps["warmup"] == (batch + 1) * 2 * WARMUP
        assert torch.equal(run.told["fitness"][-2:], ended.fitness)
        assert torch.equal(run.space.from_unit(run.told["places"])["discount"][-2:], ended.traits["h.discount"])
    assert run.finished
    assert len(run.told["fitness"]) == 8
    assert not torch.equal(run.population.params, first.params)


def test_the_first_batch_is_random_search_bit_for_bit() -> None:
    bayesian, plain = BayesianSearch(bayesian_config()), RandomSearch(random_config(2))
    one, other = turns(bayesian, 2)[-1], turns(plain, 2)[-1]
    assert same(one.params, other.params)
    assert same(one.fitness, other.fitness)


def test_the_answer_is_the_best_of_the_ended_and_the_running() -> None:
    for seed in range(3):
        run = BayesianSearch(bayesian_config(seed=seed))
        best, ended = -float("inf"), -float("inf")
        for generation in range(8):
            (evaluated,) = turns(run, 1)
            best = max(ended, evaluated.fitness.max().item())
            ended = best if generation % 2 else ended
            assert run.answer().fitness.item() == best


class Peak(BayesianSearch):
    """Fitness is how near the rate is to the middle of its range; nobody learns, and there is no environment."""

    @classmethod
    def describe(cls, config: bayesian_search.Config) -> Task:
        return Task.without_environment(config.env_id)

    def fresh(self, rows: Sequence[int]) -> Population:
        return self.members(np.zeros((len(rows), 1)), "initial")

    def learn(self, candidates: Population) -> Population:
        self.ledger.count_steps("train", self.config.interval * len(candidates))
        return candidates.with_traits(age=candidates.traits["age"] + 1)

    def evaluate(self, candidates: Population) -> Population:
        returns = -(candidates.traits["h.actor_learning_rate"].log10() + 3).abs()
        return candidates.with_traits(fitness_returns=returns[:, None]).with_fitness(returns)


def test_proposals_come_nearer_to_what_is_best_than_the_first_draws() -> None:
    space, sampler = {"actor_learning_rate": "log:1e-6:1e-1"}, "tpe"
    off = []
    for seed in range(5):
        config = bayesian_config(seed=seed, trials=24, startup_trials=8, total_timesteps=24 * 12, sampler=sampler)
        run = Peak(dataclasses.replace(config, space=space))
        turns(run, 12)
        off.append(-run.told["fitness"])
    early, late = torch.stack(off)[:, :8].median(), torch.stack(off)[:, 16:].median()
    assert late < early / 2


def test_what_is_left_of_the_budget_is_nobodys_trial() -> None:
    """The last trials keep the length at which they ended; who trains on is another individual."""
    run = BayesianSearch(bayesian_config(total_timesteps=8 * 24 + 60))
    seen = turns(run, 12)
    assert len(run.told["fitness"]) == run.config.trials
    last = next(k for k, members in enumerate(seen) if "continued" in members.origin)
    assert not set(seen[last].id.tolist()) & set(seen[last - 1].id.tolist())
    assert seen[last].parent.tolist() == seen[last - 1].id.tolist()
    assert run.incumbent is not None
    assert run.incumbent.traits["age"].tolist() == [run.length], "and not longer"


def test_who_is_stopped_leaves_its_slot_to_a_new_draw_and_costs_nothing() -> None:
    run = SuccessiveHalving(halving_config(first_rung=1))
    assert isinstance(run.training, OffPolicy)
    spent = begun = 0
    for _ in range(6):
        members = run.population
        new = int((members.traits["age"] == 0).sum())
        (evaluated,) = turns(run, 1)
        assert run.ledger.spent - spent == 4 * INTERVAL + new * WARMUP
        spent, begun = run.ledger.spent, begun + new
        judged = run.reports[-int(torch.isin(evaluated.traits["age"], torch.tensor([1, 2])).sum()) :]
        assert [number for number, _, _ in judged] == [
            number
            for number, age in zip(evaluated.id.tolist(), evaluated.traits["age"].tolist(), strict=True)
            if age in (1, 2)
        ]
        gone = ~torch.isin(evaluated.id, run.population.id)
        assert gone[evaluated.traits["age"] == 4].all(), "the end of a trial"
        assert torch.equal(run.population.traits["age"] == 0, gone)
        assert [size == 0 for size in run.training.replay.sizes] == gone.tolist()
        assert run.population.fitness.isnan().tolist() == gone.tolist()
        assert (h(run.population) != h(evaluated)).any(1).tolist() == gone.tolist()
    assert begun > 8
    assert begun <= run.begun
    assert run.step()["successive_halving/trials"] == run.begun


def test_a_new_trial_draws_the_same_whoever_else_begins_anew() -> None:
    alone, together = (SuccessiveHalving(halving_config(first_rung=2)) for _ in range(2))
    (evaluated,), (same_evaluated,) = turns(alone, 1), turns(together, 1)
    values = {name: torch.full((1,), 0.5, dtype=torch.float64) for name in alone.space}
    both = {name: value.repeat(2) for name, value in values.items()}
    first = alone.begin(evaluated, [2], values)
    second = together.begin(same_evaluated, [1, 2], both)
    assert torch.equal(first.params[2], second.params[2])
    assert torch.equal(first.traits["critic"][2], second.traits["critic"][2])
    assert not torch.equal(first.params[2], evaluated.params[2])
    assert first.id[2] == 4, "no id is taken for nobody"


def test_at_a_rung_only_the_best_of_those_that_came_go_on() -> None:
    run = SuccessiveHalving(halving_config(8, first_rung=1, total_timesteps=4_000))
    (evaluated,) = turns(run, 1)
    fitness, kept = evaluated.fitness.tolist(), []
    for row in range(8):
        come = sorted(fitness[: row + 1], reverse=True)
        kept.append(fitness[row] >= come[max(1, len(come) // 2) - 1])
    assert torch.isin(evaluated.id, run.population.id).tolist() == kept
    assert not all(kept)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (grid_config, {"population_size": 5}, r"population_size must be 4, one for each point .*\(2 of actor_.*got 5"),
        (grid_config, {"points": 0}, "points must be at least 1, got 0"),
        (bayesian_config, {"trials": 7}, "trials must be a multiple of population_size = 2, .* got 7"),
        (bayesian_config, {"sampler": "cma"}, "sampler must be one of tpe, gp, got 'cma'"),
        (bayesian_config, {"startup_trials": 0}, "startup_trials must be at least 1, got 0"),
        (halving_config, {"reduction_factor": 1}, "reduction_factor must be at least 2, got 1"),
        (halving_config, {"rungs": 0}, "rungs must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_runs(
    make: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interval": 25}, r"total_timesteps / trials must leave a trial at least one interval = 25 .* got 24"),
        ({"warmup_steps": 24}, r"total_timesteps / trials must leave .* beyond the warm-up, got 24"),
        ({"fitness": "fresh", "window": 4}, r"total_timesteps / trials must leave .* fresh episodes, .* got 24"),
        (
            {"env_kwargs": {}},
            r"bayesian-search needs a time limit to divide its budget; --env-kwargs max_episode_steps=N",
        ),
        ({"window": 7}, r"total_timesteps / trials, in whole intervals, must be at least 28, window = 7 episodes"),
    ],
)
def test_trials_too_short_to_be_judged_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BayesianSearch.check(bayesian_config(**settings))


def test_trials_are_of_equal_length_where_the_budget_does_not_divide() -> None:
    run = BayesianSearch(bayesian_config(fitness="fresh", window=1, total_timesteps=8 * 40))
    lengths = []
    while not run.finished:
        told = len(run.told["fitness"])
        (evaluated,) = turns(run, 1)
        if len(run.told["fitness"]) > told:
            lengths += evaluated.traits["age"].tolist()
    assert lengths == [2] * 8, "two intervals of 12 steps and an episode of 4 fit into 40 steps"


@pytest.mark.parametrize("algorithm", [(BayesianSearch, bayesian_config()), (SuccessiveHalving, halving_config())])
def test_without_optuna_one_line_says_what_to_install(algorithm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    kind, config = algorithm
    with pytest.raises(ConfigError, match=rf"^{kind.name} needs optuna; pip install 'evorl-torch\[tune\]'$"):
        kind.check(config)
