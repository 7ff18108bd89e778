"""The diagonal Gaussian inside DEAP, over a checkpoint, and what it refuses; its numbers are in fidelity/test_cem."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from deap import algorithms, base, cma, tools
from scipy import stats

from evorl.errors import ConfigError
from evorl.population import Individual
from evorl.streams import Streams
from evorl.variation import DiagonalGaussian, GaussianConfig, log_rank_weights

OPTIMUM = np.array([1.0, -2.0, 0.5, 3.0])


def distance(individual: Individual) -> tuple[float]:
    return (-float(np.square(individual[:] - OPTIMUM).sum()),)


def gaussian(streams: Streams, **settings: Any) -> DiagonalGaussian:
    config = GaussianConfig(**{"variance_init": 1.0, "variance_end": 1e-4, **settings})
    return DiagonalGaussian(np.zeros(4), 20, streams.generator("vary"), config)


def toolbox_of(strategy: Any) -> base.Toolbox:
    toolbox = base.Toolbox()
    toolbox.register("evaluate", distance)
    toolbox.register("generate", strategy.generate, Individual)
    toolbox.register("update", strategy.update)
    return toolbox


def test_the_mean_comes_to_the_optimum_and_the_width_is_the_extra_variance_alone() -> None:
    """The code's refit divides by the K parents once more: its fixed point is eps / (1 - 1/K), 1.25 eps for K = 5."""
    size, parents, extra = 100, 5, 1e-2
    config = GaussianConfig(variance_init=1.0, variance_end=extra, variance_decay=0.5)
    strategy = DiagonalGaussian(np.full(size, 2.0), 2 * parents, Streams(3).generator("vary"), config)
    widths = []
    for turn in range(800):
        samples = strategy.generate(Individual)
        for sample in samples:
            sample.fitness.values = (-float(np.square(sample[:]).sum()),)
        strategy.update(samples)
        if turn >= 400:
            widths.append(strategy.variance.mean())
    assert np.square(strategy.centroid).mean() < 0.1 * 2.0**2
    assert np.mean(widths) == pytest.approx(1.25 * extra, rel=0.1)


@pytest.mark.parametrize("kind", ["ours", "deap's"])
def test_stock_generate_and_update_of_deap_runs_on_either_strategy(kind: str) -> None:
    """`deap.cma.Strategy` has the same two verbs, so either takes the other's place in a toolbox."""
    streams = Streams(0)
    strategy = gaussian(streams) if kind == "ours" else cma.Strategy([0.0] * 4, 1.0, lambda_=20)
    hall, statistics = tools.HallOfFame(1), tools.Statistics(lambda individual: individual.fitness.values)
    statistics.register("max", np.max)
    with streams.as_global("cma"):
        population, logbook = algorithms.eaGenerateUpdate(
            toolbox_of(strategy), ngen=60, halloffame=hall, stats=statistics, verbose=False
        )
    assert all(isinstance(individual, Individual) for individual in population)
    assert logbook.select("max")[0] < -1
    assert logbook.select("max")[-1] > -0.05
    assert hall[0].fitness.values[0] == max(logbook.select("max"))
    np.testing.assert_allclose(hall[0][:], OPTIMUM, atol=0.2)


def test_stock_generate_and_update_of_deap_equals_the_loop_by_hand() -> None:
    theirs, ours = gaussian(Streams(0)), gaussian(Streams(0))
    algorithms.eaGenerateUpdate(toolbox_of(theirs), ngen=10, verbose=False)
    for _ in range(10):
        samples = ours.generate(np.asarray)
        ours.update([Individual(row, i, distance(Individual(row))[0]) for i, row in enumerate(samples)])
    assert np.array_equal(theirs.mean, ours.mean)
    assert np.array_equal(theirs.variance, ours.variance)


def test_samples_follow_the_gaussian() -> None:
    strategy = DiagonalGaussian([3.0, -1.0], 4_000, np.random.default_rng(0), GaussianConfig(antithetic=False))
    strategy.variance = np.array([0.25, 4.0])
    samples = np.stack(strategy.generate(np.asarray))
    for place, (mean, std) in enumerate([(3.0, 0.5), (-1.0, 2.0)]):
        assert stats.kstest(samples[:, place], "norm", args=(mean, std)).pvalue > 0.01
    assert abs(stats.pearsonr(*samples.T).statistic) < 0.06


def test_the_second_half_mirrors_the_first_about_the_mean() -> None:
    strategy = DiagonalGaussian([3.0, -1.0], 6, np.random.default_rng(0))
    samples = np.stack(strategy.generate(np.asarray))
    np.testing.assert_allclose(samples[:3] + samples[3:], np.tile([6.0, -2.0], (3, 1)), rtol=1e-12)
    assert len(np.unique(samples, axis=0)) == 6


@pytest.mark.parametrize("size", [2, 7])
def test_without_mirroring_any_size_works_and_the_better_half_refits(size: int) -> None:
    strategy = DiagonalGaussian(np.zeros(3), size, np.random.default_rng(0), GaussianConfig(antithetic=False))
    samples = strategy.generate(np.asarray)
    assert len(samples) == size
    strategy.update([Individual(row, i, float(i)) for i, row in enumerate(samples)])
    best = np.stack(samples)[::-1][: size // 2]
    np.testing.assert_allclose(strategy.mean, log_rank_weights(size // 2) @ best, rtol=1e-12)


def test_updating_leaves_the_population_in_its_order() -> None:
    strategy = DiagonalGaussian(np.zeros(3), 6, np.random.default_rng(0))
    population = [Individual(row, i, float(i)) for i, row in enumerate(strategy.generate(np.asarray))]
    genes = [individual.genome.copy() for individual in population]
    strategy.update(population)
    assert [individual.row for individual in population] == list(range(6))
    assert all(np.array_equal(individual.genome, kept) for individual, kept in zip(population, genes, strict=True))


def test_a_restored_gaussian_goes_on_as_if_it_had_not_been_cut() -> None:
    streams = Streams(0)
    uncut = gaussian(streams)
    algorithms.eaGenerateUpdate(toolbox_of(uncut), ngen=5, verbose=False)
    buffer = io.BytesIO()
    torch.save({"strategy": uncut.state_dict(), "streams": streams.state_dict()}, buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    others = Streams(9)
    resumed = gaussian(others)
    others.load_state_dict(state["streams"])
    resumed.load_state_dict(state["strategy"])
    for strategy in (uncut, resumed):
        algorithms.eaGenerateUpdate(toolbox_of(strategy), ngen=5, verbose=False)
    assert np.array_equal(uncut.mean, resumed.mean)
    assert np.array_equal(uncut.variance, resumed.variance)
    assert uncut.extra == resumed.extra
    assert resumed.mean.dtype == resumed.variance.dtype == np.float64


def test_a_saved_state_does_not_change_with_what_follows() -> None:
    strategy = gaussian(Streams(0))
    state = strategy.state_dict()
    strategy.mean += 1.0
    strategy.variance *= 2.0
    restored = gaussian(Streams(0))
    restored.load_state_dict(state)
    restored.mean += 5.0
    assert state["mean"].tolist() == [0.0] * 4
    assert state["variance"].tolist() == [1.0] * 4


def test_the_first_mean_is_kept_in_float64() -> None:
    centroid = np.array([0.1, 0.2], np.float32)
    strategy = DiagonalGaussian(centroid, 2, np.random.default_rng(0))
    assert strategy.mean.dtype == np.float64
    assert strategy.mean.tolist() == centroid.tolist()


@pytest.mark.parametrize(
    ("size", "settings", "message"),
    [
        (7, {}, "population_size must be even to mirror samples, got 7"),
        (1, {"antithetic": False}, "population_size must be at least 2, got 1"),
        (4, {"variance_init": 0.0}, "variance_init must be above 0, got 0.0"),
        (4, {"variance_end": -1.0}, "variance_end must be above 0, got -1.0"),
        (4, {"variance_decay": 1.5}, "variance_decay must be between 0 and 1, got 1.5"),
    ],
)
def test_settings_that_cannot_work_are_refused(size: int, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DiagonalGaussian(np.zeros(2), size, np.random.default_rng(0), GaussianConfig(**settings))
