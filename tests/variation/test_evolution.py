"""The evolution step: laws of blend, mutation and mates, deap.cma by hand, bounds, whole numbers and categories."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from deap import cma
from scipy import stats
from support import same

from evorl.errors import ConfigError
from evorl.hyperparameters import Categorical, Float, Int, Ordinal, Space, Values, traits_of
from evorl.population import FitnessMax, Identities, Population
from evorl.streams import Streams
from evorl.variation import Evolution, EvolutionConfig
from evorl.variation.evolution import fold, settle

UNIT = Space({"x": Float(0, 1), "y": Float(0, 1)})
MIXED = Space(
    {"rate": Float(1e-5, 1e-2, "log"), "epochs": Int(1, 20), "width": Ordinal((8, 16, 32)), "kind": Categorical((3, 5))}
)


def members(space: Space, values: Values) -> Population:
    """Return members with these hyperparameters, whose fitness rises with the row."""
    n = len(next(iter(values.values())))
    fresh = Population.fresh(torch.zeros(n, 1), Identities(), "initial", traits_of(values))
    return fresh.with_fitness(torch.arange(float(n)))


def drawn(space: Space, n: int, seed: int = 0) -> Population:
    return members(space, space.sample(Streams(seed).rows("prior", range(n))))


def at(*points: Sequence[float]) -> Population:
    columns = torch.tensor(points, dtype=torch.float64).unbind(1)
    return members(UNIT, dict(zip(UNIT, columns, strict=True)))


def evolution(space: Space, n: int, seed: int = 0, anew: float = 0.25, **settings: Any) -> Evolution:
    return Evolution(EvolutionConfig(**settings), space, n, anew, Streams(seed))


def test_a_child_is_anywhere_between_its_parents_and_half_their_distance_beyond() -> None:
    n = 3_000
    population = at(*[(0.3, 0.7)] * n, (0.5, 0.7))
    values = evolution(UNIT, n + 1, mutation_std=0.0).propose(population, range(n))
    assert stats.kstest(values["x"].numpy(), stats.uniform(0.2, 0.4).cdf).pvalue > 0.01
    assert values["y"].tolist() == pytest.approx([0.7] * n)


def test_the_mutation_is_gaussian_in_the_unit_cube_whatever_the_scale() -> None:
    n, space = 3_000, Space({"rate": Float(1e-6, 1e0, "log")})
    population = members(space, {"rate": torch.full((n + 1,), 1e-3, dtype=torch.float64)})
    values = evolution(space, n + 1, mutation_std=0.02).propose(population, range(n))
    assert stats.kstest((values["rate"].log10().numpy() + 3) / 6, stats.norm(0, 0.02).cdf).pvalue > 0.01


@pytest.mark.parametrize(("size", "expected"), [(1, [1 / 3, 1 / 3, 1 / 3]), (2, [1 / 9, 3 / 9, 5 / 9])])
def test_the_mate_is_the_winner_of_a_tournament_of_those_who_stayed(size: int, expected: list[float]) -> None:
    n = 3_000
    population = at(*[(0.5, 0.5)] * n, (0.1, 0.5), (0.2, 0.5), (0.3, 0.5))
    mates = evolution(UNIT, n + 3, tournament_size=size)._mates(population, range(n))
    counts = [mates.count(n + place) for place in range(3)]
    assert stats.chisquare(counts, [n * share for share in expected]).pvalue > 0.01


def test_a_member_of_unknown_fitness_is_no_mate_if_there_is_another() -> None:
    population = at(*[(0.5, 0.5)] * 4).with_fitness(torch.tensor([torch.nan, torch.nan, 1.0, torch.nan]))
    mates = evolution(UNIT, 4, tournament_size=50)._mates(population, [0])
    assert mates == [2]


def test_the_gaussian_is_that_of_deap_cma_begun_as_the_prior_and_told_all_members() -> None:
    population = drawn(UNIT, 8)
    genomes = UNIT.to_unit(UNIT.values_of(population.traits)).numpy()
    strategy = cma.Strategy([0.5, 0.5], 12**-0.5, lambda_=8)
    told = [Told(genome) for genome in genomes]
    for row, individual in enumerate(told):
        individual.fitness = FitnessMax((float(row),))
    strategy.update(told)
    before, streams = np.random.get_state(), Streams(0)  # noqa: NPY002
    with streams.as_global("vary"):
        expected = np.stack(strategy.generate(np.asarray))[:3]
    ours = evolution(UNIT, 8, evolution="cma", mutation_std=0.0).propose(population, [1, 4, 6])
    np.testing.assert_allclose(torch.stack(list(ours.values()), 1), fold(expected))
    assert same(list(before), list(np.random.get_state()))  # noqa: NPY002


class Told(list[float]):
    """An individual of stock DEAP."""

    fitness: FitnessMax


def test_the_gaussian_does_not_fall_below_the_mutation() -> None:
    step = evolution(UNIT, 6, evolution="cma", mutation_std=0.05)
    for _ in range(40):
        step.propose(at(*[(0.4, 0.6)] * 6), [0])
    assert step._gaussian is not None
    assert np.sqrt(step._gaussian.variance.mean()) == pytest.approx(0.05)


@pytest.mark.parametrize("how", ["blend", "cma"])
def test_bounds_and_types_are_kept_and_global_states_left_alone(how: str) -> None:
    before, n = (random.getstate(), str(np.random.get_state())), 40  # noqa: NPY002
    step, population = evolution(MIXED, n, evolution=how, mutation_std=0.5), drawn(MIXED, n)
    for _ in range(10):
        values = step.propose(population, range(0, n, 2))
        assert set(values) == set(MIXED)
        for name, value in values.items():
            assert same(MIXED.clip(values)[name], value)
            assert value.dtype == torch.float64
            assert len(value) == n // 2
    assert before == (random.getstate(), str(np.random.get_state()))  # noqa: NPY002


@pytest.mark.parametrize("how", ["blend", "cma"])
def test_frozen_hyperparameters_stay_and_there_may_be_nothing_to_search(how: str) -> None:
    space = Space({"x": Float(0.3, 0.3), "n": Int(4, 4), "kind": Categorical((1, 2, 3))})
    values = evolution(space, 6, evolution=how, mutation_std=0.5).propose(drawn(space, 6), range(3))
    assert values["x"].tolist() == [0.3] * 3
    assert values["n"].tolist() == [4.0] * 3


def test_whole_numbers_always_move_unless_a_bound_is_in_the_way() -> None:
    space, n = Space({"n": Int(1, 100), "o": Ordinal((1, 2, 4))}), 200
    population = members(
        space,
        {"n": torch.full((n,), 50, dtype=torch.float64), "o": torch.full((n,), 2, dtype=torch.float64)},
    )
    values = evolution(space, n, mutation_std=1e-4).propose(population, range(n - 1))
    assert set(values["n"].tolist()) == {49.0, 51.0}
    assert set(values["o"].tolist()) == {1.0, 4.0}


@pytest.mark.parametrize("start", [1, 2, 3, 4])
def test_a_small_whole_number_can_reach_both_bounds(start: int) -> None:
    space, seen, value = Space({"n": Int(1, 12)}), set(), float(start)
    step = evolution(space, 2, mutation_std=0.05)
    for _ in range(400):
        both = torch.full((2,), value, dtype=torch.float64)
        value = step.propose(members(space, {"n": both}), [0])["n"].item()
        seen.add(value)
    assert seen == set(range(1, 13))


def test_a_category_is_of_either_parent_or_drawn_anew_with_its_probability() -> None:
    space, n = Space({"kind": Categorical((1, 2, 3, 4))}), 4_000
    kinds = torch.tensor([1.0] * n + [2.0], dtype=torch.float64)
    steps = [evolution(space, n + 1, seed, anew=0.2) for seed in range(5)]
    drawn = torch.cat([step.propose(members(space, {"kind": kinds}), range(n))["kind"] for step in steps])
    counts = [(drawn == kind).sum().item() for kind in (1, 2, 3, 4)]
    assert stats.chisquare(counts, [5 * n * share for share in (0.45, 0.45, 0.05, 0.05)]).pvalue > 0.01


def test_values_are_settled_as_by_hand() -> None:
    own = {
        name: torch.tensor([value], dtype=torch.float64) for name, value in zip(MIXED, (1e-3, 10, 8, 3), strict=True)
    }
    others = {name: value.clone() for name, value in own.items()} | {"kind": torch.tensor([5.0], dtype=torch.float64)}
    points = torch.tensor([[1 / 3, 0.4751, 0.9, 0.0]], dtype=torch.float64)
    draws = torch.tensor([[[0.7, 0.9, 0.1]] * 4], dtype=torch.float64)
    values = settle(MIXED, own, others, points, draws, 0.25)
    assert [value.item() for value in values.values()] == pytest.approx([1e-4, 11, 32, 5])


def test_points_are_reflected_at_the_faces() -> None:
    points = np.array([-0.25, 0.0, 0.5, 1.0, 1.25, 2.0, 2.5, -1.5])
    assert fold(points).tolist() == pytest.approx([0.25, 0, 0.5, 1, 0.75, 0, 0.5, 0.5])


@pytest.mark.parametrize("how", ["blend", "cma"])
def test_it_goes_on_from_a_state(how: str) -> None:
    one, population = evolution(MIXED, 6, evolution=how), drawn(MIXED, 6)
    one.propose(population, [0, 1])
    other = evolution(MIXED, 6, seed=5, evolution=how)
    other.load_state_dict(one.state_dict())
    other.streams.load_state_dict(one.streams.state_dict())
    assert same(one.propose(population, [2, 3]), other.propose(population, [2, 3]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blend_alpha": -0.1}, "blend_alpha must be at least 0, got -0.1"),
        ({"mutation_std": 2}, "mutation_std must be between 0 and 1, got 2"),
        ({"tournament_size": 0}, "tournament_size must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvolutionConfig(**settings).check()
