"""ERL's crossover and mutation against loops in plain Python, and what they must leave alone."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
import pytest
from scipy import stats

from evorl.errors import ConfigError
from evorl.policies import MLP, Block, NetworkConfig
from evorl.policies.network import lay_out
from evorl.population import Individual
from evorl.variation import MutationConfig, mate_rows, mutate_sparse

LAYOUT = MLP(3, 2, NetworkConfig(hidden_sizes=(8, 6), layer_norm="unbiased")).layout
SIZE = LAYOUT[-1].slice.stop
STILL = np.concatenate([np.arange(SIZE)[block.slice] for block in LAYOUT if block.kind != "weight"])
#: Few entries and many edits: each is edited several times.
CROWDED = lay_out([("weight1", (2, 3), "weight"), ("bias1", (2,), "bias")])


def genome(seed: int = 0, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def mutated(start: np.ndarray, seed: int, layout: Sequence[Block] = LAYOUT, **settings: Any) -> np.ndarray:
    individual = Individual(start.copy())
    returned = mutate_sparse(individual, layout, np.random.default_rng(seed), MutationConfig(**settings))
    assert returned == (individual,)
    assert returned[0] is individual, "DEAP's operators work in place"
    return individual.genome


def test_without_strength_super_edits_and_resets_mutation_is_the_identity() -> None:
    start = genome()
    for seed in range(100):
        quiet: dict[str, Any] = {"mutation_strength": 0, "super_probability": 0, "reset_probability": 0}
        assert np.array_equal(mutated(start, seed, mutation_fraction=1.0, **quiet), start)
    assert not np.array_equal(mutated(start, 0, mutation_fraction=1.0), start)


def test_a_fraction_of_zero_is_the_identity_too() -> None:
    assert np.array_equal([mutated(genome(), seed, mutation_fraction=0.0) for seed in range(20)], [genome()] * 20)


@pytest.mark.parametrize("mutation", ["additive", "multiplicative"])
def test_biases_and_layer_norms_are_left_alone_and_every_weight_is_open(mutation: str) -> None:
    start, changed = genome(), np.zeros(SIZE, bool)
    for seed in range(200):
        now = mutated(start, seed, mutation_fraction=1.0, mutation=mutation)
        changed |= now != start
    assert not changed[STILL].any()
    assert changed.sum() == SIZE - len(STILL)


@pytest.mark.parametrize("mutation", ["additive", "multiplicative"])
def test_a_weight_of_zero_stays_zero_but_for_a_reset(mutation: str) -> None:
    start = np.zeros(SIZE, np.float32)
    kept = [mutated(start, seed, mutation_fraction=1.0, reset_probability=0, mutation=mutation) for seed in range(50)]
    assert not np.any(kept)
    reset = [mutated(start, seed, mutation_fraction=1.0, mutation=mutation) for seed in range(50)]
    assert np.any(reset)


def test_at_most_one_less_than_the_given_share_of_a_matrix_is_edited_rounded_up() -> None:
    most = dict.fromkeys((block.name for block in LAYOUT if block.kind == "weight"), 0)
    start = genome()
    for seed in range(2_000):
        now = mutated(start, seed, mutation_fraction=0.2)
        for block in LAYOUT:
            if block.kind == "weight":
                most[block.name] = max(most[block.name], int((now != start)[block.slice].sum()))
    assert most == {"weight1": ceil(0.2 * 24) - 1, "weight2": ceil(0.2 * 48) - 1, "weight3": ceil(0.2 * 12) - 1}


def test_no_weight_leaves_the_limit() -> None:
    start = genome()
    bounded = np.stack([mutated(start, seed, mutation_fraction=1.0, weight_limit=4.0) for seed in range(50)])
    weights = np.delete(bounded, STILL, axis=1)
    assert np.abs(weights).max() == 4
    assert (weights == 4).any()
    assert (weights == -4).any()
    assert np.abs([mutated(start, seed, mutation_fraction=1.0) for seed in range(50)]).max() > 8


def test_only_edited_weights_are_brought_within_the_limit() -> None:
    start = np.full(SIZE, 9.0, np.float32)
    now = mutated(start, 0, mutation_fraction=0.2, weight_limit=4.0)
    assert 0 < (now != start).sum() < 20
    assert np.abs(now[now != start]).max() <= 4


def single(mutation: str, trials: int = 6_000, **settings: Any) -> np.ndarray:
    """Return what one edit makes of a weight of 3, over many."""
    layout = lay_out([("weight1", (4, 5), "weight")])
    start, edited = np.full(20, 3.0), []
    for seed in range(trials):
        now = mutated(start, seed, layout, mutation_fraction=0.1, mutation=mutation, weight_limit=1e300, **settings)
        edited += now[now != start].tolist()
    assert len(edited) > 0.3 * trials
    return np.array(edited)


def test_the_papers_edit_multiplies_a_weight_by_noise_about_zero() -> None:
    normal = single("multiplicative", super_probability=0, reset_probability=0)
    assert stats.kstest(normal / 3, stats.norm(0, 0.1).cdf).pvalue > 1e-4
    far = single("multiplicative", super_probability=1, reset_probability=0)
    assert stats.kstest(far / 3, stats.norm(0, 10).cdf).pvalue > 1e-4


def test_the_codes_edit_adds_noise_in_proportion_to_the_weight() -> None:
    normal = single("additive", super_probability=0, reset_probability=0)
    assert stats.kstest(normal / 3 - 1, stats.norm(0, 0.1).cdf).pvalue > 1e-4


@pytest.mark.parametrize(("mutation", "share"), [("additive", 0.4), ("multiplicative", 0.7 * 0.4)])
def test_the_paper_draws_again_before_a_reset(mutation: str, share: float) -> None:
    """With super edits at 0.3 and resets at 0.4; a reset is seen as the weight is otherwise left or thrown far."""
    strengths: dict[str, Any] = {"mutation_strength": 1e-9, "super_strength": 1e12}
    edited = single(mutation, super_probability=0.3, reset_probability=0.4, **strengths)
    size = np.abs(edited)
    near = np.abs(edited - 3) < 1e-6 if mutation == "additive" else size < 1e-6
    far = size > 1e6
    counts = [int(far.sum()), int((~near & ~far).sum()), int(near.sum())]
    expected = np.array([0.3, share, 0.7 - share]) * len(edited)
    assert stats.chisquare(counts, expected).pvalue > 1e-4


class Noting(np.random.Generator):
    """A generator that notes what it gave in blocks."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.places: list[int] = []
        self.kinds: list[float] = []
        self.normals: list[float] = []

    def integers(self, low: Any, high: Any = None, size: Any = None, **given: Any) -> Any:  # type: ignore[override]
        drawn = super().integers(low, high, size=size, **given)
        self.places += [] if size is None else drawn.tolist()
        return drawn

    def random(self, size: Any = None, *_: Any, **__: Any) -> Any:
        drawn = super().random(size)
        self.kinds += [] if size is None else drawn.tolist()
        return drawn

    def standard_normal(self, size: Any = None, *_: Any, **__: Any) -> Any:
        drawn = super().standard_normal(size)
        self.normals += drawn.tolist()
        return drawn


def edit(weight: float, kind: float, normal: float, config: MutationConfig) -> float:
    reset = 0.2 if config.mutation == "additive" else 0.2 * 0.9
    if kind < 0.1:
        factor = 10 * normal
    elif kind < 0.1 + reset:
        return normal
    else:
        factor = 0.1 * normal
    return weight * (1 + factor) if config.mutation == "additive" else weight * factor


@pytest.mark.parametrize("mutation", ["additive", "multiplicative"])
def test_edits_of_one_entry_are_made_one_after_another(mutation: Any) -> None:
    """First edits of all entries are drawn first, by place, then second ones, and so on; an entry keeps its order."""
    config = MutationConfig(mutation=mutation, mutation_fraction=1, super_probability=0.1, reset_probability=0.2)
    most = 0
    for seed in range(200):
        generator, start = Noting(seed), np.arange(1.0, 9.0)
        individual = Individual(start.copy())
        mutate_sparse(individual, CROWDED, generator, config)
        expected, left = start.tolist(), sorted(generator.places)
        most = max([most, *(left.count(place) for place in left)])
        draws = list(zip(generator.kinds, generator.normals, strict=True))
        assert len(draws) == len(left)
        while left:
            for place in sorted(set(left)):
                expected[place] = edit(expected[place], *draws.pop(0), config)
                left.remove(place)
        np.testing.assert_allclose(individual.genome, expected, rtol=1e-12)
    assert most >= 3


def crossed(one: np.ndarray, other: np.ndarray, seed: int, layout: Sequence[Block] = LAYOUT) -> list[np.ndarray]:
    pair = Individual(one.copy()), Individual(other.copy())
    returned = mate_rows(*pair, layout, np.random.default_rng(seed))
    assert returned[0] is pair[0]
    assert returned[1] is pair[1]
    return [individual.genome for individual in pair]


def test_crossing_identical_parents_changes_nothing() -> None:
    start = genome()
    for seed in range(100):
        assert np.array_equal(crossed(start, start, seed), [start, start])


def test_rows_are_copied_whole_to_the_same_index_and_never_exchanged() -> None:
    one, other = genome(1), genome(2)
    ways = set()
    for seed in range(300):
        children = crossed(one, other, seed)
        for block in LAYOUT:
            rows = zip(
                *(array[block.slice].reshape(block.shape[0], -1) for array in (one, other, *children)), strict=True
            )
            for first, second, child, sibling in rows:
                came = tuple(
                    [np.array_equal(row, first), np.array_equal(row, second)].index(True) for row in (child, sibling)
                )
                ways.add((block.name, came))
                assert came != (1, 0), "an exchange would need the row that the first copy overwrote"
    assert ways == {(block.name, came) for block in LAYOUT for came in ((0, 1), (0, 0), (1, 1))}


def test_a_vector_gets_at_most_one_copy_less_than_its_length_and_a_matrix_one_less_than_twice_its_rows() -> None:
    """A vector of one entry is never copied, one of two never as a whole; a matrix of one row in half of the cases."""
    layout = lay_out([("weight1", (1, 3), "weight"), ("bias1", (1,), "bias"), ("gain1", (2,), "norm")])
    one, other = np.arange(6.0), np.arange(6.0) + 10
    copied: Any = np.array(
        [
            [child != parent for child, parent in zip(crossed(one, other, seed, layout), (one, other), strict=True)]
            for seed in range(4_000)
        ]
    ).any(1)
    assert not copied[:, 3].any()
    assert copied[:, 4:].any(1).mean() == pytest.approx(0.5, abs=4 * 0.5 / 4_000**0.5)
    assert not copied[:, 4:].all(1).any()
    assert copied[:, :3].all(1).mean() == pytest.approx(0.5, abs=4 * 0.5 / 4_000**0.5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mutation_fraction", 1.1, "mutation_fraction must be between 0 and 1, got 1.1"),
        ("super_probability", -0.1, "super_probability must be between 0 and 1, got -0.1"),
        ("reset_probability", float("nan"), "reset_probability must be between 0 and 1, got nan"),
        ("mutation_strength", -1.0, "mutation_strength must be at least 0, got -1.0"),
        ("super_strength", float("inf"), "super_strength must be at least 0, got inf"),
        ("weight_limit", -1.0, "weight_limit must be at least 0, got -1.0"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        MutationConfig(**{name: value}).check()
    assert str(raised.value) == message
