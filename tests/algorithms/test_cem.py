"""CEM: one row of parents, antithetic samples, whole episodes, and a refit that finds the optimum."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from support import ORACLE, counted, same, total_steps

from evorl import check_algorithm
from evorl.algorithms.cem import CEM, Config
from evorl.errors import ConfigError
from evorl.policies import NetworkConfig
from evorl.population import Individual, Population
from evorl.running import testing
from evorl.streams import Streams
from evorl.variation import MixingGaussian

TINY = NetworkConfig(hidden_sizes=(4,), activation="tanh")
N = 10


def config(**settings: Any) -> Config:
    given = {"env_id": ORACLE, "env_kwargs": {"max_episode_steps": 5}, "network": TINY, **settings}
    return Config(**given)


def test_the_parents_are_one_row_the_float32_image_of_the_mean() -> None:
    run = CEM(config())
    for _ in range(3):
        assert run.population.params.dtype == torch.float32
        assert torch.equal(run.population.params, torch.from_numpy(run.strategy.centroid.astype(np.float32))[None])
        assert run.strategy.centroid.dtype == np.float64
        run.step()
    assert not np.array_equal(run.strategy.centroid, run.strategy.centroid.astype(np.float32))


def test_the_first_mean_is_a_network_drawn_like_any_other() -> None:
    run = CEM(config(seed=3))
    assert torch.equal(run.population.params, run.policy.network.init(Streams(3).rows("initialise", [0])))


def test_samples_are_antithetic_about_the_row_of_the_parents() -> None:
    run = CEM(config())
    run.step()
    samples = run.vary(run.population).params.double()
    parent = run.population.params.double()
    assert len(samples) == N
    assert torch.allclose(samples[: N // 2] + samples[N // 2 :], 2 * parent.expand(N // 2, -1), rtol=0, atol=1e-6)
    assert torch.allclose(samples.mean(0), parent[0], rtol=0, atol=1e-6)
    assert len({tuple(row) for row in samples.tolist()}) == N


def test_samples_are_independent_when_asked() -> None:
    samples = CEM(config(antithetic=False, population_size=5)).vary(CEM(config()).population).params
    assert len(samples) == 5
    assert not torch.allclose(samples[:2] + samples[2:4], samples[0] + samples[2])


def test_the_spread_of_the_samples_is_the_variance() -> None:
    run = CEM(config(population_size=2_000, variance_init=0.04))
    spread = (run.vary(run.population).params - run.population.params).square().mean()
    assert spread.item() == pytest.approx(0.04, rel=0.03)


def test_the_answer_is_the_mean_and_not_a_sample() -> None:
    run = CEM(config())
    run.step()
    assert torch.equal(run.answer().params, torch.from_numpy(run.strategy.centroid.astype(np.float32))[None])


def test_the_mean_moves_to_the_better_half_weighted_by_rank() -> None:
    run = CEM(config())
    evaluated = run.evaluate(run.vary(run.population))
    rows = evaluated.fitness.argsort(descending=True, stable=True)[: N // 2]
    weights = torch.log((1 + N / 2) / torch.arange(1, N / 2 + 1).double())
    expected = weights / weights.sum() @ evaluated.params[rows].double()
    assert torch.allclose(run.select(evaluated).params[0].double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("episodes", [1, 2])
def test_a_generation_takes_the_steps_of_its_episodes(episodes: int) -> None:
    lengths: dict[str, Any] = {"terminate_at": 3, "spread": 7}
    run = CEM(config(env_kwargs=lengths, episodes_per_member=episodes))
    expected = 0
    for generation in range(3):
        run.step()
        for row in range(N):
            seeds = [run.streams.episode_seed("fitness", generation, row, trial) for trial in range(episodes)]
            expected += sum(3 + seed % 7 for seed in seeds)
        assert run.ledger.steps["fitness"] == run.ledger.spent == expected
        assert run.ledger.episodes == episodes * N * (generation + 1)
    assert run.ledger.updates == {"critic": {}, "actor": {}}


def test_fitness_is_the_mean_return_of_the_members_episodes() -> None:
    one = CEM(config(env_id="Pendulum-v1", env_kwargs={"max_episode_steps": 20}))
    two = CEM(config(env_id="Pendulum-v1", env_kwargs={"max_episode_steps": 20}, episodes_per_member=2))
    candidates = two.vary(two.population)
    seeds = [two.streams.episode_seed("fitness", 0, row, 1) for row in range(N)]
    second = two.episodes.play(candidates, seeds, "fitness").returns
    expected = (one.evaluate(candidates).fitness.numpy() + second) / 2
    np.testing.assert_allclose(two.evaluate(candidates).fitness, expected, rtol=1e-12)


def score(run: CEM[Config]) -> float:
    tester = testing.Tester(run.task, run.policy, 0, run.ledger)
    return float(tester.test(run.answer(), 1)[0])


@pytest.mark.parametrize("seed", [0, 1])
def test_the_optimum_of_the_quadratic_is_found(seed: int) -> None:
    settings: dict[str, Any] = {"variance_init": 0.1, "covariance_divisor": "paper", "seed": seed}
    run = CEM(Config(env_id="evorl/Quadratic-v0", network=TINY, total_timesteps=1_000, **settings))
    before = score(run)
    while not run.finished:
        run.step()
    assert run.generation == 100
    assert before < -0.1
    assert -1e-3 < score(run) <= 0


def test_generate_and_update_can_be_registered_anew() -> None:
    told: list[list[float]] = []

    class Grid(CEM[Config]):
        def build(self) -> None:
            super().build()
            self.toolbox.register("generate", self.shifted, 0.5)
            self.toolbox.register("update", self.to_the_best)

        def shifted(self, step: float) -> list[np.ndarray[Any, Any]]:
            return [np.asarray(self.strategy.centroid + step * row, np.float32) for row in range(N)]

        def to_the_best(self, individuals: Sequence[Individual]) -> None:
            told.append([individual.fitness.values[0] for individual in individuals])
            best = max(individuals, key=lambda individual: individual.fitness)
            strategy: Any = self.strategy
            strategy.mean = np.asarray(best[:], np.float64)

    run = Grid(config())
    first = run.population.params
    evaluated = run.evaluate(run.vary(run.population))
    assert torch.allclose(evaluated.params, first + 0.5 * torch.arange(N)[:, None])
    selected = run.select(evaluated)
    assert told == [evaluated.fitness.tolist()]
    assert torch.equal(selected.params[0], evaluated.params[evaluated.fitness.argmax()])


def test_what_select_was_handed_is_left_as_it_was() -> None:
    run = CEM(config())
    evaluated = run.evaluate(run.vary(run.population))
    params, fitness = evaluated.params.clone(), evaluated.fitness.clone()
    run.select(evaluated)
    assert torch.equal(evaluated.params, params)
    assert torch.equal(evaluated.fitness, fitness)


def test_the_report_tells_the_spread_of_the_gaussian() -> None:
    run = CEM(config(variance_init=0.25))
    assert run.step()["cem/std"] == pytest.approx(np.sqrt(run.strategy.variance).mean())


def test_presets_have_the_networks_they_are_named_for() -> None:
    published: Config = CEM.preset("published", env_id=ORACLE)
    common: Config = CEM.preset("common", env_id=ORACLE)
    assert published == Config(env_id=ORACLE)
    assert published.network == NetworkConfig(hidden_sizes=(400, 300), activation="tanh")
    assert common.network == NetworkConfig(hidden_sizes=(256, 256), activation="relu")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"population_size": 5}, "population_size must be even to mirror samples, got 5"),
        ({"population_size": 1, "antithetic": False}, "population_size must be at least 2, got 1"),
        ({"episodes_per_member": 0}, "episodes_per_member must be at least 1, got 0"),
        ({"variance_init": 0.0}, "variance_init must be above 0, got 0.0"),
        ({"variance_init": float("inf")}, "variance_init must be above 0, got inf"),
        ({"variance_end": -1.0}, "variance_end must be above 0, got -1.0"),
        ({"variance_decay": 1.1}, "variance_decay must be between 0 and 1, got 1.1"),
        (
            {"covariance_divisor": "cod"},
            "covariance_divisor must be one of code, paper, got 'cod'; did you mean 'code'?",
        ),
        (
            {"importance_mixing": True, "covariance": "full"},
            "covariance must be diagonal for importance_mixing, got 'full'",
        ),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        CEM(config(**settings))
    assert str(raised.value) == line


def test_the_smallest_budget_is_one_generation_with_all_its_episodes() -> None:
    CEM(config(total_timesteps=3 * N * 5, episodes_per_member=3))
    with pytest.raises(ConfigError, match=r"total_timesteps must be at least 150, .* got 149"):
        CEM(config(total_timesteps=149, episodes_per_member=3))


def test_candidates_are_samples_without_parents() -> None:
    candidates: Population = CEM(config()).vary(CEM(config()).population)
    assert candidates.origin == ("sample",) * N
    assert candidates.fitness.isnan().all()


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_the_elite_is_the_best_of_the_generation_before_as_evaluated_and_is_evaluated_anew(covariance: str) -> None:
    run = CEM(config(elitism=True, covariance=covariance))
    first = run.vary(run.population)
    assert first.origin == ("sample",) * N, "nobody is the elite before the first refit"
    before = run.evaluate(first)
    run.population, run.generation = run.select(before), 1
    best = int(before.fitness.argmax())
    candidates = run.vary(run.population)
    assert candidates.origin == (*("sample",) * (N - 1), "elite")
    assert torch.equal(candidates.params[-1], before.params[best])
    assert candidates.parent.tolist() == [-1] * (N - 1) + [int(before.id[best])]
    assert len({*candidates.id.tolist(), *before.id.tolist()}) == 2 * N
    assert candidates.fitness.isnan().all()
    evaluated = run.evaluate(candidates)
    again = run.episodes.play(candidates[[-1]], [run.streams.episode_seed("fitness", 1, N - 1, 0)], "test").returns
    assert evaluated.fitness[-1].item() == again[0]
    assert evaluated.fitness[-1] != before.fitness[best]


def test_the_elite_takes_the_place_of_the_last_sample_alone() -> None:
    plain, elitist = CEM(config()), CEM(config(elitism=True))
    for run in (plain, elitist):
        run.step()
    ours, theirs = elitist.vary(elitist.population), plain.vary(plain.population)
    assert torch.equal(ours.params[:-1], theirs.params[:-1])
    assert not torch.equal(ours.params[-1], theirs.params[-1])
    plain.step()
    elitist.step()
    assert not torch.equal(plain.population.params, elitist.population.params)


def test_an_elite_that_stays_the_best_begets_the_next() -> None:
    run = CEM(config(elitism=True))
    run.step()
    candidates = run.vary(run.population)
    run.select(candidates.with_fitness(torch.arange(N)))
    following = run.vary(run.population)
    assert torch.equal(following.params[-1], candidates.params[-1])
    assert following.parent[-1] == candidates.id[-1]


def mixing(**settings: Any) -> Config:
    """Return settings under which many samples are kept: few parameters, and a lasting extra variance."""
    lengths: dict[str, Any] = {"terminate_at": 3, "spread": 7}
    small = NetworkConfig(hidden_sizes=(1,), activation="tanh")
    return config(**{"importance_mixing": True, "env_kwargs": lengths, "network": small, **settings})


@pytest.mark.parametrize("elitism", [False, True])
def test_kept_samples_are_the_same_individuals_with_their_own_fitness_and_cost_no_step(elitism: bool) -> None:
    with counted() as made:
        run = CEM(mixing(elitism=elitism))
        kept = 0
        for _ in range(8):
            last, steps = run.last, total_steps(made)
            twin = CEM(run.config, copy.deepcopy(run.state_dict()))
            evaluated = twin.evaluate(twin.vary(twin.population))
            steps = total_steps(made) - steps
            before, episodes = run.ledger.spent, run.ledger.episodes
            report = run.step()
            stay = evaluated.traits["reused"].nonzero()[:, 0].tolist()
            assert report["cem/reused"] == len(stay) / N
            assert run.ledger.spent - before == steps
            assert run.ledger.episodes - episodes == N - len(stay)
            assert run.last is not None
            assert same(run.last.state_dict(), evaluated.state_dict())
            assert evaluated.fitness.isfinite().all()
            if last is not None:
                for name in ("params", "fitness", "id", "parent"):
                    assert torch.equal(getattr(evaluated[stay], name), getattr(last[stay], name))
                assert set(evaluated.id.tolist()) & set(last.id.tolist()) == set(evaluated.id[stay].tolist())
                assert not (elitism and N - 1 in stay)
            else:
                assert stay == []
            kept += len(stay)
        assert 8 < kept < 60
        assert run.ledger.spent == run.ledger.steps["fitness"]


def test_a_generation_that_could_be_kept_whole_plays_one_fresh_sample() -> None:
    run = CEM(mixing())
    run.step()
    assert isinstance(run.strategy, MixingGaussian)
    run.strategy.earlier = run.strategy.mean, run.strategy.variance
    assert run.last is not None
    last, spent = run.last, run.ledger.spent
    evaluated = run.evaluate(run.vary(run.population))
    assert run.ledger.spent > spent
    for name in ("params", "fitness", "id"):
        assert torch.equal(getattr(evaluated, name)[:-1], getattr(last, name)[:-1])
    assert evaluated.id[-1] not in last.id


def test_where_no_sample_can_be_kept_mixing_changes_nothing() -> None:
    """Once the mean is far from all samples, the very samples of a plain run are drawn and accepted."""
    plain, mixed = CEM(config()), CEM(config(importance_mixing=True))
    for _ in range(3):
        ours, theirs = mixed.step(), plain.step()
        assert ours.pop("cem/reused") == 0
        assert ours.keys() == theirs.keys()
        assert ours["fitness/mean"] == theirs["fitness/mean"]
        assert np.array_equal(mixed.strategy.centroid, plain.strategy.centroid)
        assert np.array_equal(mixed.strategy.variance, plain.strategy.variance)
        for run in (plain, mixed):
            strategy: Any = run.strategy
            strategy.mean = strategy.mean + 1.0


@pytest.mark.parametrize("settings", [{"elitism": True, "importance_mixing": False}, {}, {"elitism": True}])
def test_the_switches_conform(settings: dict[str, Any]) -> None:
    check_algorithm(CEM, mixing(**settings))


def test_a_plain_run_remembers_no_generation_and_has_no_share_of_kept_samples() -> None:
    run = CEM(config())
    assert "cem/reused" not in run.step()
    assert run.last is None
