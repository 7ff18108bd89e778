"""ERL's mutation, crossover, generation and noise against what the authors' code did (golden/erl_*.npz).

The random draws differ, so the statistics are compared: chi-square and Kolmogorov-Smirnov at level 1e-4, with the
error of both samples. Where ours departs from the authors' code on purpose, the rule of ours is exact.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from evorl.policies import MLP, NetworkConfig, OrnsteinUhlenbeck
from evorl.policies.network import lay_out
from evorl.population import Identities, Individual, Population
from evorl.selection import elites_and_offspring
from evorl.streams import Streams
from evorl.variation import GeneticConfig, MutationConfig, breed, genetic_toolbox, mate_rows, mutate_sparse

GOLDEN = Path(__file__).parent / "golden"
TRACE = np.load(GOLDEN / "erl_mutation.npz", allow_pickle=False)
NOISE = np.load(GOLDEN / "erl_ddpg_noise.npz", allow_pickle=False)
LEVEL = 1e-4
LAYOUT = MLP(5, 2, NetworkConfig(hidden_sizes=(16, 16), activation="tanh", layer_norm="unbiased")).layout
MATRICES = [block for block in LAYOUT if block.kind == "weight"]
GENOME = TRACE["genome"]
MUTATIONS, CROSSINGS, GENERATIONS = 4000, 3000, 2000
#: One matrix that gets no edit or one, so that what an edit did can be read off.
SINGLE = lay_out([("weight1", (4, 5), "weight")])


def assert_same_distribution(ours: Sequence[int] | np.ndarray, theirs: Sequence[int] | np.ndarray) -> None:
    """Compare two histograms by chi-square, rare values pooled with their neighbours."""
    bins: list[np.ndarray] = []
    pool = np.zeros(2)
    for column in np.stack([np.asarray(ours, float), np.asarray(theirs, float)], 1):
        pool = pool + column
        if pool.sum() >= 25:
            bins.append(pool)
            pool = np.zeros(2)
    bins[-1] = bins[-1] + pool
    if len(bins) == 1:
        np.testing.assert_array_equal(np.flatnonzero(ours), np.flatnonzero(theirs))
        return
    assert stats.chi2_contingency(np.stack(bins), correction=False).pvalue > LEVEL, np.stack(bins)


def assert_same_quantiles(ours: np.ndarray, quantiles: np.ndarray, size: int, whole: bool = False) -> None:
    """Compare a sample with the quantiles of one of `size` by Kolmogorov-Smirnov; `whole`: the values are integers."""
    bound = np.sqrt(-np.log(LEVEL / 2) / 2 * (1 / len(ours) + 1 / size))
    assert bound < 0.08
    below, above = (np.floor(quantiles) - 1, np.ceil(quantiles)) if whole else (quantiles, quantiles)
    for level, low, high in zip(TRACE["quantile_levels"], below, above, strict=True):
        assert (ours <= low).mean() <= level + bound, (level, low)
        assert (ours <= high).mean() >= level - bound, (level, high)


def histogram(values: np.ndarray, length: int) -> np.ndarray:
    return np.bincount(values, minlength=length)


def mutants(n: int, config: MutationConfig | None = None, seed: int = 0) -> np.ndarray:
    """Return n mutations of the golden genome, (n, 466)."""
    generator, config = np.random.default_rng(seed), config or MutationConfig()
    genomes = np.tile(GENOME, (n, 1))
    for genome in genomes:
        mutate_sparse(Individual(genome), LAYOUT, generator, config)
    return genomes


@cache
def default_mutants() -> np.ndarray:
    return mutants(MUTATIONS)


class Doubling(np.random.Generator):
    """A generator whose normals are all 1, so that every edit of strength 1 doubles a weight."""

    def standard_normal(self, size: Any = None, *_: Any, **__: Any) -> Any:
        return np.ones(size)


def edits_of(n: int, fraction: float) -> np.ndarray:
    """Return how often the weights of each matrix were edited in n mutations, (n, 3)."""
    config = MutationConfig(
        super_probability=0, reset_probability=0, mutation_strength=1, mutation_fraction=fraction, weight_limit=1e300
    )
    generator = Doubling(np.random.PCG64(1))
    doublings = np.ones((n, len(GENOME)))
    for genome in doublings:
        mutate_sparse(Individual(genome), LAYOUT, generator, config)
    return np.stack([np.log2(doublings[:, block.slice]).sum(1).astype(int) for block in MATRICES], 1)


def test_the_genome_has_the_layout_of_the_authors_network() -> None:
    shapes = [tuple(int(n) for n in shape if n) for shape in TRACE["tensor_shapes"]]
    assert [block.shape for block in LAYOUT] == shapes


def test_the_number_of_edits_of_a_matrix_is_distributed_as_the_authors() -> None:
    edits = edits_of(MUTATIONS, 0.1)
    for matrix, theirs in enumerate(TRACE["mutation_draws_histogram"]):
        of_all = theirs.copy()
        of_all[0] += TRACE["mutations"] - theirs.sum()  # matrices that were not chosen have no edit either
        assert_same_distribution(histogram(edits[:, matrix], len(of_all)), of_all)
        assert edits[:, matrix].max() == TRACE["mutation_limits"][matrix] - 1


def test_each_matrix_is_chosen_as_often_as_by_the_authors_and_independently_of_the_others() -> None:
    """With a fraction of 1 a chosen matrix is left without an edit in one of as many cases as it has entries."""
    edited = edits_of(2000, 1.0) > 0
    n, sizes = int(TRACE["mutations"]), np.array([np.prod(block.shape) for block in MATRICES])
    for matrix, share in enumerate(TRACE["matrix_selected_share"] * (1 - 1 / sizes)):
        ours = edited[:, matrix].mean()
        error = np.sqrt(0.75 * 0.25 * (1 / len(edited) + 1 / n))
        assert abs(ours - share) < stats.norm.isf(LEVEL / 2) * error
    marginal = edited.mean(0)
    cells = np.array([[bool(cell >> matrix & 1) for matrix in range(3)] for cell in range(8)])
    expected = np.where(cells, marginal, 1 - marginal).prod(1) * len(edited)
    observed = [(edited == cell).all(1).sum() for cell in cells]
    assert stats.chisquare(observed, expected, ddof=3).pvalue > LEVEL


def test_as_many_distinct_entries_change_as_in_the_authors_code() -> None:
    changed = default_mutants() != GENOME
    for matrix, block in enumerate(MATRICES):
        counts = changed[:, block.slice].sum(1)
        theirs = TRACE["mutation_changed_histogram"][matrix]
        assert_same_distribution(histogram(counts, len(theirs)), theirs)
        assert_same_quantiles(counts, TRACE["mutation_changed_quantiles"][matrix], int(TRACE["mutations"]), whole=True)


def test_every_entry_of_a_matrix_is_as_likely_to_change() -> None:
    changed = default_mutants() != GENOME
    for block in MATRICES:
        assert stats.chisquare(changed[:, block.slice].sum(0)).pvalue > LEVEL


def test_biases_and_layer_norms_never_change() -> None:
    moved = np.abs(default_mutants() - GENOME)
    for tensor, block in enumerate(LAYOUT):
        if TRACE["tensor_max_change"][tensor] == 0:
            assert moved[:, block.slice].max() == 0, block.name
        else:
            assert block.kind == "weight"
            assert (moved[:, block.slice].max(0) > 0).all(), block.name


def single_edits(config: MutationConfig, n: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights that one edit changed, before and after it."""
    generator, before, after = np.random.default_rng(2), [], []
    for trial in range(n):
        genome = np.resize(np.roll(weights, -trial), 20).astype(np.float64)
        start = genome.copy()
        mutate_sparse(Individual(genome), SINGLE, generator, config)
        changed = np.flatnonzero(genome != start)
        assert len(changed) <= 1
        before += start[changed].tolist()
        after += genome[changed].tolist()
    return np.array(before), np.array(after)


def test_edits_are_super_reset_or_normal_as_often_as_the_authors() -> None:
    """The strengths are set so far apart that the size of a change gives its kind away."""
    config = MutationConfig(mutation_strength=1e-9, super_strength=1e9, weight_limit=1e300)
    before, after = single_edits(config, 12_000, np.ones(1))
    size = np.abs(after - before)
    ours = [(size > 1e3).sum(), ((size > 1e-7) & (size <= 1e3)).sum(), (size <= 1e-7).sum()]
    assert sum(ours) > 4000
    assert_same_distribution(ours, TRACE["kind_counts"].sum(0))


@pytest.mark.parametrize("kind", ["super", "reset", "normal"])
def test_an_edit_changes_a_weight_as_much_as_one_of_the_authors(kind: str) -> None:
    forced = MutationConfig(super_probability=float(kind == "super"), reset_probability=float(kind == "reset"))
    weights = np.concatenate([GENOME[block.slice] for block in MATRICES])
    before, after = single_edits(forced, 6000, weights)
    assert len(after) > 2000
    ours, quantiles = ((after - before) / before, f"{kind}_relative_quantiles")
    if kind == "reset":
        ours, quantiles = after, "reset_value_quantiles"
    size = TRACE["kind_first_hit_counts"][["super", "reset", "normal"].index(kind)]
    assert_same_quantiles(ours, TRACE[quantiles], int(size))


class Noting(np.random.Generator):
    """A generator that notes every single integer it was asked for, with its bound."""

    def __init__(self, bits: Any) -> None:
        super().__init__(bits)
        self.noted: list[tuple[int, int]] = []

    def integers(self, low: Any, high: Any = None, size: Any = None, **given: Any) -> Any:  # type: ignore[override]
        drawn = super().integers(low, high, size=size, **given)
        if size is None:
            self.noted.append((int(low), int(drawn)))
        return drawn


@cache
def crossings() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the second parent, the children of CROSSINGS crossings, and bounds and numbers of copies by tensor."""
    second = (GENOME + 1 + np.arange(len(GENOME)) / 1000).astype(np.float32)
    children = np.tile(np.stack([GENOME, second]), (CROSSINGS, 1, 1))
    generator = Noting(np.random.PCG64(3))
    for one, other in children:
        mate_rows(Individual(one), Individual(other), LAYOUT, generator)
    noted = np.array(generator.noted).reshape(CROSSINGS, len(LAYOUT), 2)
    return second, children, noted[..., 0], noted[..., 1]


def test_as_many_copies_are_drawn_for_every_tensor_as_in_the_authors_code() -> None:
    _, _, limits, copies = crossings()
    assert (limits == TRACE["crossover_draw_limits"]).all()
    for tensor, (quantiles, mean) in enumerate(
        zip(TRACE["crossover_draws_quantiles"], TRACE["crossover_draws_mean"], strict=True)
    ):
        assert_same_quantiles(copies[:, tensor], quantiles, int(TRACE["crossings"]), whole=True)
        assert_same_mean(copies[:, tensor], mean)


def assert_same_mean(ours: np.ndarray, theirs: float) -> None:
    error = ours.std() * np.sqrt(1 / len(ours) + 1 / int(TRACE["crossings"]))
    assert abs(ours.mean() - theirs) < stats.norm.isf(LEVEL / 2) * error


def received(child: int) -> list[np.ndarray]:
    """Return for every tensor which of its rows came from the other parent, (CROSSINGS, rows)."""
    second, children, _, _ = crossings()
    other = (second, GENOME)[child]
    rows = []
    for block in LAYOUT:
        came = children[:, child, block.slice] == other[block.slice]
        whole = came.reshape(CROSSINGS, block.shape[0], -1)
        assert (whole.all(2) == whole.any(2)).all(), "a row is copied whole or not at all"
        rows.append(whole.all(2))
    return rows


@pytest.mark.parametrize("child", [0, 1])
def test_each_child_receives_as_many_rows_as_in_the_authors_code(child: int) -> None:
    name = ("crossover_first_received", "crossover_second_received")[child]
    for tensor, rows in enumerate(received(child)):
        counts = rows.sum(1)
        assert_same_quantiles(counts, TRACE[f"{name}_quantiles"][tensor], int(TRACE["crossings"]), whole=True)
        assert_same_mean(counts, TRACE[f"{name}_mean"][tensor])


def test_copies_go_either_way_as_often_as_in_the_authors_code() -> None:
    ours = [sum(int(rows.sum()) for rows in received(child)) for child in (0, 1)]
    first, total = int(TRACE["crossover_first_receives_count"]), int(TRACE["crossover_total_count"])
    assert sum(ours) > 50_000
    assert_same_distribution(ours, np.array([first, total - first]))


def test_every_row_of_a_child_is_one_parents_row_of_the_same_index() -> None:
    """After a copy both children have the row, so that the two are never exchanged."""
    assert TRACE["crossover_rows_of_neither_parent"] == 0
    second, children, _, _ = crossings()
    assert ((children == GENOME) | (children == second)).all()
    for to_first, to_second in zip(received(0), received(1), strict=True):
        assert not (to_first & to_second).any()
        assert to_first.any(0).all(), "every row is copied at some time"
        assert to_second.any(0).all()


@cache
def generations(elites: int, mutating: bool) -> dict[str, np.ndarray]:
    """Return the quantities of the golden file over GENERATIONS generations of ten members around the genome."""
    n, rng = 10, np.random.default_rng(elites + 10 * mutating)
    config = GeneticConfig(elite_fraction=elites / n, mutation_probability=0.9 if mutating else 0.0)
    assert config.elites(n) == elites
    streams, winners = Streams(elites + 10 * mutating), []
    toolbox = genetic_toolbox(config, LAYOUT, streams.generator("operators"))
    draw = toolbox.select

    def select(individuals: list[Individual], k: int) -> list[Individual]:
        assert k == n - elites
        chosen: list[Individual] = draw(individuals, k)
        winners.append(len({winner.row for winner in chosen}))
        return chosen

    toolbox.register("select", select)
    params = (GENOME + 0.01 * rng.standard_normal((n, len(GENOME)))).astype(np.float32)
    found: dict[str, list[int]] = {}
    for _ in range(GENERATIONS):
        fitness = rng.permutation(n).astype(float)
        order = np.argsort(-fitness)
        evaluated = Population.fresh(torch.from_numpy(params), Identities(), "initial").with_fitness(
            torch.from_numpy(fitness)
        )
        selected = elites_and_offspring(evaluated, elites, toolbox, streams)
        children = breed(selected, config.mutation_probability, toolbox, streams).params.numpy()
        assert (selected.params[-1].numpy() == params[order[-1]]).all(), "the slot of the worst is the last"
        protected = selected.traits["protected"].numpy()
        best_in_last = protected[-1] and (selected.params[-1].numpy() == params[order[0]]).all()
        equal = children[:, None] == params[None]
        intact = equal.all(2)
        counted = {
            "best_survives": intact[:, order[0]].any(),
            "all_elites_survive": intact[:, order[:elites]].any(0).all(),
            "best_copies": intact[:, order[0]].sum(),
            "intact_parents": intact.any(0).sum(),
            "distinct_offsprings": winners[-1],
            "elites_distinct_slots": protected.sum(),
            "worst_slot_protected": protected[-1],
            "best_worst_slot_protected": best_in_last,
            "contributing_parents": equal.any((0, 2)).sum(),
        }
        for name, value in counted.items():
            found.setdefault(name, []).append(int(value))
    return {name: histogram(np.array(values), n + 1) for name, values in found.items()}


@pytest.mark.parametrize("mutating", [True, False], ids=["mutating", "unmutated"])
@pytest.mark.parametrize("elites", [1, 3])
def test_a_generation_treats_its_members_as_the_authors_epoch_does(elites: int, mutating: bool) -> None:
    """Where all free slots are needed for elites, ours leaves that of the worst and takes one of an offspring instead.

    Then one or two parents fewer remain, of the seven or eight that remain with three elites: those are counted as six.
    """
    setting, last = f"epoch_elite{elites}_{'mutating' if mutating else 'unmutated'}", 6 if elites == 3 else 10
    names = [name for name in TRACE if name.startswith(setting) and name.endswith("_histogram")]
    assert len(names) == (8 if mutating else 9)
    for name in names:
        quantity = name.removeprefix(f"{setting}_").removesuffix("_histogram")
        if quantity.endswith("worst_slot_protected"):
            continue
        ours, theirs = generations(elites, mutating)[quantity].tolist(), TRACE[name].tolist()
        if quantity in ("intact_parents", "contributing_parents"):
            ours, theirs = ([*found[:last], sum(found[last:])] for found in (ours, theirs))
        assert_same_distribution(ours, theirs)


@pytest.mark.parametrize("mutating", [True, False], ids=["mutating", "unmutated"])
@pytest.mark.parametrize("elites", [1, 3])
def test_the_slot_that_is_injected_into_never_holds_a_protected_elite_as_it_does_in_the_authors_code(
    elites: int, mutating: bool
) -> None:
    setting = f"epoch_elite{elites}_{'mutating' if mutating else 'unmutated'}"
    for quantity in ("worst_slot_protected", "best_worst_slot_protected"):
        assert TRACE[f"{setting}_{quantity}_histogram"][1] > 500
        assert generations(elites, mutating)[quantity].tolist() == [GENERATIONS] + [0] * 10


@pytest.mark.parametrize("case", [0, 1])
def test_the_noise_is_that_of_the_authors(case: int) -> None:
    normals = torch.from_numpy(NOISE[f"normals_{case}"])
    theta, sigma, scale = (float(NOISE[name]) for name in ("theta", "sigma", "scale"))
    assert NOISE["mu"] == 0
    noise = OrnsteinUhlenbeck(1, normals.shape[1])
    assert (noise.theta, noise.sigma, noise.scale) == (theta, sigma, scale)
    for draw, expected in zip(normals, NOISE[f"noise_{case}"], strict=True):
        np.testing.assert_allclose(noise.step(draw[None])[0], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(noise.state[0], NOISE[f"state_{case}"], rtol=0, atol=1e-12)
