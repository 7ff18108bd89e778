"""GA: the evolution of ERL without its agent."""

import copy
from typing import Any

import pytest
import torch
from support import ORACLE, counted, same, total_steps

from evorl import check_algorithm
from evorl.algorithms import erl
from evorl.algorithms.ga import GA, Config
from evorl.errors import ConfigError
from evorl.learning import DDPGConfig
from evorl.policies import NetworkConfig
from evorl.population import Population

TINY = NetworkConfig(hidden_sizes=(8, 8), activation="tanh", layer_norm="unbiased")
LENGTHS: dict[str, Any] = {"terminate_at": 3, "spread": 7}
N = 6


def settings(**given: Any) -> dict[str, Any]:
    return {
        "env_id": ORACLE,
        "env_kwargs": LENGTHS,
        "network": TINY,
        "population_size": N,
        "total_timesteps": 2_000,
        **given,
    }


def config(**given: Any) -> Config:
    return Config(**settings(**given))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("env_id", [ORACLE, "Pendulum-v1"])
def test_it_is_erls_evolution_without_the_agent(env_id: str, seed: int) -> None:
    """With injections beyond the run, ERL has the same members and fitness, and only its budget differs."""
    common = settings(env_id=env_id, env_kwargs={"max_episode_steps": 8}, seed=seed, elite_fraction=0.4)
    learner = DDPGConfig(critic=NetworkConfig(hidden_sizes=(8, 8)), batch_size=8)
    ga, hybrid = GA(Config(**common)), erl.ERL(erl.Config(**common, learner=learner, injection_interval=1_000))
    for _ in range(5):
        ours, theirs = ga.step(), hybrid.step()
        tags = [tag for tag in ours if tag.startswith(("fitness", "population"))]
        assert len(tags) > N
        assert [ours[tag] for tag in tags] == [theirs[tag] for tag in tags]
        assert torch.equal(ga.population.params, hybrid.population.params)
        assert torch.equal(ga.answer().params, hybrid.answer().params)
        assert theirs["budget/train_steps"] > ours["budget/train_steps"] == 0
        assert ours["budget/fitness_steps"] == theirs["budget/fitness_steps"]


def test_generation_zero_is_evaluated_and_selected_like_any_other() -> None:
    run = GA(config())
    expected = sum(3 + run.streams.episode_seed("initial", 0, row, 0) % 7 for row in range(N))
    assert run.ledger.steps["fitness"] == expected
    assert run.ledger.episodes == N
    assert run.population.traits["protected"].tolist() == [True] + [False] * (N - 1)
    assert run.population.fitness.isfinite().all()
    assert run.population.fitness[0] == run.champion.fitness[0] == run.population.fitness.max()


@pytest.mark.parametrize("episodes", [1, 3])
def test_a_generation_takes_the_steps_of_its_episodes_and_no_updates(episodes: int) -> None:
    with counted() as made:
        run = GA(config(episodes_per_member=episodes))
        for generation in range(3):
            before = run.ledger.spent
            run.step()
            rows = [(row, trial) for row in range(N) for trial in range(episodes)]
            seeds = [run.streams.episode_seed("fitness", generation, *key) for key in rows]
            assert run.ledger.spent - before == sum(3 + seed % 7 for seed in seeds)
            assert run.ledger.spent == total_steps(made)
            assert run.ledger.episodes == N * episodes * (generation + 2)
    assert run.ledger.updates == {"critic": {}, "actor": {}}
    assert run.ledger.stored == 0


@pytest.mark.parametrize(("fraction", "elites"), [(0.1, 1), (0.34, 2), (0.5, 3)])
def test_the_best_vectors_are_bit_identical_among_the_next_candidates(fraction: float, elites: int) -> None:
    run = GA(config(elite_fraction=fraction, seed=3))
    for _ in range(5):
        evaluated = run.evaluate(run.vary(run.population))
        best = evaluated.fitness.argsort(descending=True)[:elites]
        following = run.vary(run.select(evaluated))
        for row in best.tolist():
            assert (following.params == evaluated.params[row]).all(1).any()
        run.step()


def test_the_answer_is_the_champion_of_the_last_evaluated_generation() -> None:
    seen: list[Population] = []

    class Watched(GA[Config]):
        def select(self, evaluated: Population) -> Population:
            seen.append(evaluated)
            return super().select(evaluated)

    run = Watched(config())
    for turn in range(4):
        best = int(seen[-1].fitness.argmax())
        assert len(seen) == turn + 1
        assert torch.equal(run.answer().params[0], seen[-1].params[best])
        assert run.answer().id.tolist() == [seen[-1].id[best].item()]
        assert run.answer().fitness.item() == seen[-1].fitness.max()
        run.step()


def test_the_operators_can_be_named_and_have_an_effect() -> None:
    plain, other = GA(config()), GA(config(mate="deap.tools:cxTwoPoint", mutation_probability=0.0))
    assert torch.equal(plain.population.params, other.population.params)
    plain.step()
    other.step()
    assert not torch.equal(plain.population.params, other.population.params)


def test_evolution_finds_the_optimum_of_the_quadratic() -> None:
    run = GA(config(env_id="evorl/Quadratic-v0", env_kwargs={}, population_size=10, total_timesteps=3_000))
    first = run.answer().fitness.item()
    while not run.finished:
        run.step()
    assert run.answer().fitness.item() > -0.01
    assert first < -0.05


def test_it_conforms() -> None:
    check_algorithm(GA, config())
    check_algorithm(GA, config(mate="deap.tools:cxTwoPoint", episodes_per_member=2))


def test_a_run_that_is_cut_and_resumed_equals_one_that_is_not() -> None:
    whole, cut = GA(config(seed=2)), GA(config(seed=2))
    for run in (whole, cut):
        run.step()
    resumed = GA(cut.config, copy.deepcopy(cut.state_dict()))
    for _ in range(2):
        assert same(resumed.step(), whole.step())
    assert torch.equal(resumed.answer().params, whole.answer().params)
    assert same(resumed.state_dict(), whole.state_dict())


def test_a_resumed_run_answers_before_it_goes_on() -> None:
    run = GA(config(seed=2))
    run.step()
    resumed = GA(run.config, copy.deepcopy(run.state_dict()))
    answer: Any = resumed.answer()
    assert isinstance(answer, Population)
    assert same(answer.state_dict(), run.answer().state_dict())


@pytest.mark.parametrize("n", [2, 3])
def test_the_smallest_populations_evolve(n: int) -> None:
    run = GA(config(population_size=n))
    for _ in range(30):
        run.step()
    assert run.generation == 30


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"population_size": 1}, "population_size must be at least 2, got 1"),
        ({"episodes_per_member": 0}, "episodes_per_member must be at least 1, got 0"),
        ({"elite_fraction": 0.7}, "elite_fraction must be between 0 and 0.5, got 0.7"),
        ({"mutation_probability": -0.1}, "mutation_probability must be between 0 and 1, got -0.1"),
        ({"mutation_fraction": 2.0}, "mutation_fraction must be between 0 and 1, got 2.0"),
        (
            {"mutation": "additiv"},
            "mutation must be one of additive, multiplicative, got 'additiv'; did you mean 'additive'?",
        ),
    ],
)
def test_a_setting_that_cannot_work_is_refused(given: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config(**given)
    assert str(raised.value) == line


def test_a_wrong_operator_is_refused_before_anything_runs() -> None:
    with counted() as made, pytest.raises(ConfigError, match=r"^mate must name an operator"):
        GA(config(mate="deap.tools:cxTowPoint"))
    assert total_steps(made) == 0
