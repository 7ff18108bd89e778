"""Importance mixing: the law of what comes out, the share that is kept, and that what is kept stays itself."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import integrate, stats
from support import same

from evorl.population import Identities, Population
from evorl.streams import Streams
from evorl.variation import DiagonalGaussian, GaussianConfig, MixingGaussian, sample
from evorl.variation.importance_mixing import TRIES, Moments, is_accepted, is_kept, log_ratio, mix

Matrix = NDArray[np.float64]

OLD: Moments = (np.array([0.0, 0.0]), np.array([1.0, 1.0]))
NEW: Moments = (np.array([0.7, -0.3]), np.array([0.36, 1.5]))


def first(moments: Moments, coordinates: int = 1) -> Moments:
    return moments[0][:coordinates], moments[1][:coordinates]


def drawn(moments: Moments, n: int, generator: np.random.Generator, antithetic: bool = False) -> Matrix:
    normals = generator.standard_normal((n // 2 if antithetic else n, len(moments[0])))
    return sample(*moments, normals, antithetic)


def mixed(
    n: int, seed: int, old: Moments = OLD, new: Moments = NEW, antithetic: bool = False
) -> tuple[Matrix, NDArray[Any]]:
    generator = np.random.default_rng(seed)
    return mix(
        drawn(old, n, generator, antithetic),
        drawn(new, n, generator, antithetic),
        lambda rows: log_ratio(rows, new, old),
        lambda count: drawn(new, count, generator),
        generator,
    )


def levels(samples: Matrix, moments: Moments = NEW) -> NDArray[Any]:
    """Return where each coordinate lies in its own distribution, in (0, 1); uniform if the law is that of `moments`."""
    return np.asarray(stats.norm.cdf(samples, moments[0], np.sqrt(moments[1])))


@pytest.mark.parametrize("seed", range(3))
def test_samples_are_distributed_as_the_new_gaussian(seed: int) -> None:
    samples, kept = mixed(20_000, seed)
    assert 0.2 < kept.mean() < 0.8
    places = levels(samples)
    for coordinate in places.T:
        assert stats.kstest(coordinate, "uniform").pvalue > 0.01
    cells = np.bincount((6 * places).astype(int) @ [6, 1], minlength=36)
    assert stats.chisquare(cells).pvalue > 0.01


def test_a_generation_of_five_has_the_law_too() -> None:
    """Whatever ends early or fills up with plain samples when few rows are open has too many old samples here."""
    samples = np.concatenate([mixed(5, seed, first(OLD), first(NEW))[0] for seed in range(8_000)])
    cells, _ = np.histogram(levels(samples, first(NEW)), bins=20, range=(0, 1))
    assert stats.chisquare(cells).pvalue > 0.01


def test_each_half_of_mirrored_samples_has_the_law() -> None:
    samples, _ = mixed(20_000, 0, antithetic=True)
    for half in np.split(samples, 2):
        for coordinate in levels(half).T:
            assert stats.kstest(coordinate, "uniform").pvalue > 0.01


@pytest.mark.parametrize(("mean", "variance"), [(0.5, 1.0), (2.0, 1.0), (0.0, 0.25), (-0.8, 3.0)])
def test_the_share_of_kept_samples_is_the_overlap_of_the_densities(mean: float, variance: float) -> None:
    n, new = 40_000, (np.array([mean]), np.array([variance]))
    both = [stats.norm(0, 1).pdf, stats.norm(mean, math.sqrt(variance)).pdf]
    overlap, _ = integrate.quad(lambda z: min(pdf(z) for pdf in both), -12, 12, limit=400)
    if variance == 1:
        assert overlap == pytest.approx(2 * stats.norm.cdf(-mean / 2), abs=1e-6)
    _, kept = mixed(n, 1, first(OLD), new)
    assert abs(kept.mean() - overlap) < 4 * math.sqrt(overlap * (1 - overlap) / n)


def test_the_log_ratio_is_the_difference_of_log_densities() -> None:
    generator = np.random.default_rng(0)
    new, old = ((generator.normal(size=300), generator.uniform(0.1, 3, 300)) for _ in range(2))
    samples = drawn(old, 7, generator)
    expected = [
        stats.norm.logpdf(row, new[0], np.sqrt(new[1])).sum() - stats.norm.logpdf(row, old[0], np.sqrt(old[1])).sum()
        for row in samples
    ]
    np.testing.assert_allclose(log_ratio(samples, new, old), expected, rtol=1e-10)
    assert (log_ratio(samples, old, old) == 0).all()


def test_ratios_that_no_exponential_holds_decide_without_a_fault() -> None:
    """Warnings are errors in this test run."""
    n = 200_000
    new, old = (np.full(n, 0.5), np.full(n, 1e-5)), (np.zeros(n), np.full(n, 1e-3))
    generator = np.random.default_rng(0)
    of_old, of_new = (log_ratio(drawn(moments, 2, generator), new, old) for moments in (old, new))
    assert (of_old < -1e6).all()
    assert (of_new > 1e6).all()
    uniforms = np.array([0.0, 1 - 2**-53])
    assert not is_kept(of_old, uniforms).any()
    assert is_kept(of_new, uniforms).all()
    assert not is_accepted(of_old, uniforms).any()
    assert is_accepted(of_new, uniforms).all()


def test_the_decisions_are_those_of_the_logarithms() -> None:
    ratios, uniforms = (grid.ravel() for grid in np.meshgrid(np.linspace(-4, 4, 81), np.linspace(0.003, 0.997, 97)))
    np.testing.assert_array_equal(is_kept(ratios, uniforms), np.log(uniforms) < ratios)
    np.testing.assert_array_equal(is_accepted(ratios, uniforms), np.log1p(-uniforms) >= -ratios)
    assert is_kept(np.zeros(1), np.array([1 - 2**-53])).all(), "equal densities: every old sample is kept"
    assert not is_accepted(np.zeros(1), np.zeros(1)).any(), "and no fresh one taken"


def test_the_steps_are_those_written_out_by_hand() -> None:
    old, fresh = (drawn(moments, 8, np.random.default_rng(i)) for i, moments in enumerate((OLD, NEW)))
    generator, again = np.random.default_rng(2), np.random.default_rng(2)
    samples, kept = mix(
        old, fresh, lambda rows: log_ratio(rows, NEW, OLD), lambda m: drawn(NEW, m, generator), generator
    )

    def difference(row: NDArray[Any]) -> float:
        new, before = (stats.norm.logpdf(row, mean, np.sqrt(variance)).sum() for mean, variance in (NEW, OLD))
        return float(new - before)

    expected, stay = fresh.copy(), again.random(8)
    open_rows = []
    for row in range(8):
        if np.log(stay[row]) < difference(old[row]):
            expected[row] = old[row]
        else:
            open_rows.append(row)
    assert [row for row in range(8) if not kept[row]] == open_rows
    while open_rows:
        enter = again.random(len(open_rows))
        open_rows = [row for u, row in zip(enter, open_rows, strict=True) if np.log(1 - u) < -difference(expected[row])]
        expected[open_rows] = drawn(NEW, len(open_rows), again)
    np.testing.assert_array_equal(samples, expected)


def test_gaussians_far_apart_leave_the_fresh_samples_as_they_are() -> None:
    generator, far = np.random.default_rng(0), (np.full(2, 100.0), np.ones(2))
    fresh = drawn(far, 50, generator)
    samples, kept = mix(
        drawn(OLD, 50, generator), fresh, lambda rows: log_ratio(rows, far, OLD), lambda m: fresh[:m], generator
    )
    assert not kept.any()
    np.testing.assert_array_equal(samples, fresh)


def test_what_is_refused_for_ever_ends_as_a_plain_sample() -> None:
    turns: list[int] = []

    def redraw(count: int) -> Matrix:
        turns.append(count)
        return np.full((count, 1), float(len(turns)))

    samples, kept = mix(
        np.zeros((3, 1)),
        np.zeros((3, 1)),
        lambda rows: np.full(len(rows), -np.inf),
        redraw,
        np.random.default_rng(0),
    )
    assert turns == [3] * TRIES
    assert samples.ravel().tolist() == [TRIES] * 3
    assert not kept.any()


def strategies(n: int, d: int = 1, **settings: Any) -> tuple[MixingGaussian, DiagonalGaussian]:
    config = GaussianConfig(**{"variance_init": 1.0, "variance_end": 0.5, "covariance_divisor": "paper", **settings})
    return (
        MixingGaussian(np.zeros(d), n, Streams(1), config),
        DiagonalGaussian(np.zeros(d), n, Streams(1).generator("vary"), config),
    )


def generation(strategy: DiagonalGaussian, identities: Identities) -> Population:
    rows = torch.from_numpy(np.stack(strategy.generate(np.float32)))
    return Population.fresh(rows, identities, "sample")


def evaluated(strategy: DiagonalGaussian, identities: Identities) -> Population:
    """Return a generation whose fitness is the first coordinate, all different."""
    samples = generation(strategy, identities)
    return samples.with_fitness(samples.params[:, 0])


def test_a_second_generation_has_the_law_of_the_refitted_gaussian_and_keeps_the_overlap() -> None:
    n, identities = 8_000, Identities()
    strategy, _ = strategies(n, antithetic=False)
    last = evaluated(strategy, identities)
    strategy.update(last.individuals())
    samples = strategy.keep(generation(strategy, identities), last, range(n))
    mean, std = strategy.mean[0], np.sqrt(strategy.variance[0])
    assert mean > 0.5
    assert stats.kstest(samples.params[:, 0], "norm", args=(mean, std)).pvalue > 0.01
    overlap, _ = integrate.quad(lambda z: min(stats.norm.pdf(z), stats.norm.pdf(z, mean, std)), -12, 12, limit=400)
    share = samples.traits["reused"].double().mean().item()
    assert abs(share - overlap) < 4 * math.sqrt(overlap * (1 - overlap) / n)


def test_kept_rows_are_the_same_individuals_to_the_bit_and_no_other_row_is_known() -> None:
    n, rows, identities = 40, range(10, 35), Identities()
    strategy, plain = strategies(n, d=3)
    last = evaluated(strategy, identities)
    plain.generate(np.asarray)  # as many draws as of the other
    for each in (strategy, plain):
        each.update(last.individuals())
    candidates = generation(strategy, identities)
    handed, before = candidates.clone(), last.clone()
    samples = strategy.keep(candidates, last, rows)
    kept = samples.traits["reused"].nonzero()[:, 0].tolist()
    others = sorted(set(range(n)) - set(kept))
    assert 2 < len(kept) < len(rows)
    assert set(kept) <= set(rows)
    for name in ("params", "fitness", "id", "parent"):
        assert torch.equal(getattr(samples[kept], name), getattr(last[kept], name))
    assert samples.fitness[others].isnan().all()
    assert torch.equal(samples.id[others], candidates.id[others])
    outside = sorted(set(range(n)) - set(rows))
    assert torch.equal(samples.params[outside], torch.from_numpy(np.stack(plain.generate(np.float32)))[outside])
    assert same(candidates.state_dict(), handed.state_dict())
    assert same(last.state_dict(), before.state_dict())
    np.testing.assert_array_equal(strategy.generate(np.asarray), plain.generate(np.asarray))


def test_of_many_parameters_the_three_best_stay_since_the_gaussian_is_fitted_to_them() -> None:
    """A parent of weight w > 0.15 or so is nearer to the new mean than a fresh sample, in every parameter."""
    identities = Identities()
    strategy = MixingGaussian(
        np.zeros(20_000), 10, Streams(0), GaussianConfig(antithetic=False, variance_init=1.0, variance_end=1.0)
    )
    last = generation(strategy, identities).with_fitness(torch.tensor([3, 9, 0, 7, 1, 2, 8, 4, 5, 6]))
    strategy.update(last.individuals())
    samples = strategy.keep(generation(strategy, identities), last, range(10))
    assert samples.traits["reused"].nonzero()[:, 0].tolist() == [1, 3, 6]


def test_before_the_first_update_nothing_is_kept() -> None:
    strategy, _ = strategies(4)
    candidates = generation(strategy, Identities())
    samples = strategy.keep(candidates, None, range(4))
    assert torch.equal(samples.params, candidates.params)
    assert not samples.traits["reused"].any()


def test_one_sample_is_fresh_even_where_all_could_be_kept() -> None:
    """Else nothing would be evaluated, the Gaussian would not move, and all would be kept for ever."""
    identities = Identities()
    strategy, _ = strategies(6)
    last = evaluated(strategy, identities)
    strategy.earlier = (strategy.mean, strategy.variance)
    candidates = generation(strategy, identities)
    samples = strategy.keep(candidates, last, range(6))
    assert samples.traits["reused"].tolist() == [True] * 5 + [False]
    assert torch.equal(samples.params[5], candidates.params[5])
    assert samples.fitness[5].isnan()
    assert strategy.keep(candidates, last, range(5)).traits["reused"][:5].all(), "where others are fresh anyway"


def test_no_rows_may_be_kept() -> None:
    identities = Identities()
    strategy, _ = strategies(4)
    last = evaluated(strategy, identities)
    strategy.update(last.individuals())
    candidates = generation(strategy, identities)
    assert torch.equal(strategy.keep(candidates, last, range(0)).params, candidates.params)


def test_a_restored_gaussian_keeps_what_the_one_that_was_not_cut_keeps() -> None:
    n, identities, streams = 20, Identities(), Streams(3)
    config = GaussianConfig(variance_init=1.0)
    uncut = MixingGaussian(np.zeros(2), n, streams, config)
    last = evaluated(uncut, identities)
    uncut.update(last.individuals())
    others = Streams(9)
    resumed = MixingGaussian(np.ones(2), n, others, config)
    others.load_state_dict(copy.deepcopy(streams.state_dict()))
    resumed.load_state_dict(uncut.state_dict())
    ours, theirs = (each.keep(generation(each, Identities()), last, range(n)) for each in (uncut, resumed))
    assert 0 < ours.traits["reused"].sum() < n
    assert torch.equal(ours.params, theirs.params)
    assert torch.equal(ours.traits["reused"], theirs.traits["reused"])


def test_a_saved_state_does_not_change_with_what_follows() -> None:
    strategy, _ = strategies(6, d=2)
    strategy.update(evaluated(strategy, Identities()).individuals())
    state = strategy.state_dict()
    strategy.earlier[0][:] += 1.0
    assert state["earlier_mean"].tolist() == [0.0, 0.0]
    assert state["earlier_variance"].tolist() == [1.0, 1.0]
