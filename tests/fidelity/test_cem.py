"""The diagonal Gaussian against a trace of the authors' `sepCEM` (golden/cem.npz), and against exact properties."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evorl.population import Individual
from evorl.variation import DiagonalGaussian, GaussianConfig, log_rank_weights, refit, sample

TRACE = np.load(Path(__file__).parent / "golden" / "cem.npz", allow_pickle=False)
GENERATIONS = len(TRACE["mu"]) - 1  # in the last one ties straddle the cut, and the authors' sort is not stable


class Recorded:
    """A generator that gives the trace's normals."""

    def __init__(self) -> None:
        self.draws = iter(TRACE["half_normals"])

    def standard_normal(self, shape: tuple[int, int]) -> np.ndarray:
        draw: np.ndarray = next(self.draws)
        assert draw.shape == shape
        return draw


def strategy(divisor: str) -> DiagonalGaussian:
    config = GaussianConfig(
        variance_init=float(TRACE["sigma_init"]),
        variance_end=float(TRACE["damp_limit"]),
        variance_decay=float(TRACE["tau"]),
        covariance_divisor=divisor,  # type: ignore[arg-type]
    )
    recorded: Any = Recorded()
    return DiagonalGaussian(TRACE["mu_init"], int(TRACE["population_size"]), recorded, config)


def told(generation: int) -> list[Individual]:
    rows = zip(TRACE["solutions"][generation], TRACE["fitness"][generation], strict=True)
    return [Individual(solution, row, fitness) for row, (solution, fitness) in enumerate(rows)]


def test_the_trace_is_reproduced_over_all_generations() -> None:
    cem = strategy("code")
    for generation in range(GENERATIONS):
        samples = cem.generate(np.asarray)
        np.testing.assert_allclose(samples, TRACE["population"][generation], rtol=0, atol=1e-12)
        cem.update(told(generation))
        np.testing.assert_allclose(cem.mean, TRACE["mu"][generation], rtol=0, atol=1e-12)
        np.testing.assert_allclose(cem.variance, TRACE["cov"][generation], rtol=0, atol=1e-12)
        assert cem.extra == pytest.approx(TRACE["damp"][generation], abs=1e-15)


def test_the_last_generation_follows_once_the_ties_are_ranked_as_the_authors_sort_did() -> None:
    last = GENERATIONS
    parents = TRACE["solutions"][last][TRACE["order"][last][: int(TRACE["parents"])]]
    mean, variance = refit(TRACE["mu"][last - 1], parents, float(TRACE["damp"][last]), float(TRACE["parents"]))
    np.testing.assert_allclose(mean, TRACE["mu"][last], rtol=0, atol=1e-12)
    np.testing.assert_allclose(variance, TRACE["cov"][last], rtol=0, atol=1e-12)


def test_the_papers_variance_is_the_codes_without_the_divisor() -> None:
    cem = strategy("paper")
    cem.generate(np.asarray)
    cem.update(told(0))
    of_the_code, extra = TRACE["cov"][0], TRACE["damp"][0]
    np.testing.assert_allclose(cem.variance, TRACE["parents"] * (of_the_code - extra) + extra, rtol=0, atol=1e-12)
    np.testing.assert_allclose(cem.mean, TRACE["mu"][0], rtol=0, atol=1e-12)


def test_weights_are_the_five_of_the_code() -> None:
    np.testing.assert_allclose(log_rank_weights(5), TRACE["weights"], rtol=0, atol=1e-15)
    np.testing.assert_allclose(log_rank_weights(5), [0.4296, 0.2634, 0.1662, 0.0972, 0.0437], atol=1e-4)


def test_antithetic_samples_mirror_each_other_about_the_mean() -> None:
    normals = np.random.default_rng(0).standard_normal((5, 7))
    mean, variance = np.linspace(-1, 1, 7), np.linspace(0.1, 2, 7)
    samples = sample(mean, variance, normals, antithetic=True)
    np.testing.assert_allclose(samples[:5] + samples[5:], np.tile(2 * mean, (5, 1)), rtol=0, atol=1e-14)
    np.testing.assert_allclose(samples.mean(0), mean, rtol=0, atol=1e-15)


def test_the_extra_variance_has_the_closed_form_and_bounds_the_variance_from_below() -> None:
    cem = DiagonalGaussian(np.zeros(3), 10, np.random.default_rng(0))
    for tells in range(1, 101):
        cem.update([Individual(row, i, float(i)) for i, row in enumerate(cem.generate(np.asarray))])
        assert cem.extra == pytest.approx(1e-5 + 9.9e-4 * 0.95**tells, rel=1e-12)
        assert (cem.variance >= cem.extra).all()


def _refitted(fitness: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cem = DiagonalGaussian(np.zeros(4), 10, np.random.default_rng(1))
    samples = np.stack(cem.generate(np.asarray))
    cem.update([Individual(samples[i], row, float(fitness[i])) for row, i in enumerate(order)])
    return cem.mean, cem.variance


def test_only_the_ranks_matter_and_not_the_order_of_the_rows() -> None:
    fitness, rows = np.random.default_rng(2).normal(size=10), np.arange(10)
    plain = _refitted(fitness, rows)
    np.testing.assert_array_equal(_refitted(np.exp(3 * fitness) - 7, rows), plain)
    np.testing.assert_array_equal(_refitted(fitness, np.random.default_rng(3).permutation(10)), plain)


def test_nan_is_worst_and_ties_go_to_the_lower_row() -> None:
    fitness = np.array([np.nan, 1, 1, 1, 1, 1, 1, np.nan, 1, 1], float)
    cem = DiagonalGaussian(np.zeros(4), 10, np.random.default_rng(1))
    samples = np.stack(cem.generate(np.asarray))
    cem.update([Individual(row, i, float(fitness[i])) for i, row in enumerate(samples)])
    np.testing.assert_allclose(cem.mean, log_rank_weights(5) @ samples[[1, 2, 3, 4, 5]], rtol=0, atol=1e-15)


def test_selection_among_equals_narrows_the_gaussian_to_a_fifth_more_than_the_extra_variance() -> None:
    """Without selection pressure `variance' = variance / 5 + extra` in expectation: the fixed point is 1.25 extra."""
    rng = np.random.default_rng(4)
    cem = DiagonalGaussian(np.zeros(20_000), 10, rng, GaussianConfig(variance_init=1e-5, variance_end=1e-5))
    for _ in range(12):
        cem.mean[:] = 0.0
        fitness = rng.normal(size=10)
        cem.update([Individual(row, i, fitness[i]) for i, row in enumerate(cem.generate(np.asarray))])
    assert cem.variance.mean() == pytest.approx(1.25e-5, rel=0.02)
