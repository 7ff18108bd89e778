"""Kinds: priors against their distributions, the way to the unit interval and back, perturbations, refused bounds."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from evorl.errors import ConfigError
from evorl.hyperparameters import Categorical, Float, Int, Kind, Ordinal

FACTORS = (0.8, 1.25)
KINDS = [
    Float(-1, 3),
    Float(0, 1),
    Float(1e-5, 1e-2, "log"),
    Float(0.9, 0.999, "complement"),
    Float(0, 0.5, "complement"),
    Float(0.3, 0.3),
    Int(1, 9),
    Int(0, 1),
    Int(1, 1000, "log"),
    Int(7, 7),
    Categorical((3.0, 1.0, 2.5)),
    Ordinal((16, 32, 64, 128)),
]
UP, DOWN = 0.5, 0.49999


def uniform(n: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(n))


def perturbed(kind: Kind, value: float, draw: float) -> float:
    values, draws = torch.tensor([value], dtype=torch.float64), torch.tensor([draw], dtype=torch.float64)
    return kind.perturb(values, draws, FACTORS).item()


def allowed(kind: Kind, values: Tensor) -> bool:
    low, high = kind.bounds
    inside = bool(((values >= low) & (values <= high)).all()) and values.dtype == torch.float64
    if isinstance(kind, Int):
        return inside and bool((values == values.round()).all())
    return inside and (not isinstance(kind, Categorical) or set(values.tolist()) <= set(kind.values))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_draws_clipped_values_and_perturbations_are_allowed(kind: Kind) -> None:
    values = kind.from_unit(uniform(2_000))
    assert allowed(kind, values)
    for turn in range(50):
        values = kind.perturb(values, uniform(2_000, turn + 1), FACTORS)
        assert allowed(kind, values)
    assert allowed(kind, kind.clip(torch.tensor([-1e9, -0.3, 0.0, 0.77, 2.2, 1e9], dtype=torch.float64)))
    assert allowed(kind, kind.from_unit(torch.tensor([0.0, 1 - 1e-12, 1.0], dtype=torch.float64)))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_unit_interval_leads_there_and_back(kind: Kind) -> None:
    unit = kind.to_unit(values := kind.from_unit(uniform(500)))
    assert ((unit >= 0) & (unit <= 1)).all()
    torch.testing.assert_close(kind.from_unit(unit), values, rtol=1e-12, atol=0)
    order = values.argsort()
    if isinstance(kind, Float | Int):
        assert (unit[order].diff() >= 0).all(), "a larger value has the larger place"


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_bounds_are_reached_and_clipping_leaves_what_is_allowed(kind: Kind) -> None:
    ends = kind.from_unit(torch.tensor([0.0, 1.0], dtype=torch.float64))
    if isinstance(kind, Float | Int):
        assert tuple(ends.tolist()) == pytest.approx(kind.bounds, rel=1e-12)
    values = kind.from_unit(uniform(500))
    assert torch.equal(kind.clip(values), values)


@pytest.mark.parametrize(
    ("kind", "distribution"),
    [
        (Float(-1, 3), stats.uniform(-1, 4)),
        (Float(1e-5, 1e-2, "log"), stats.loguniform(1e-5, 1e-2)),
        (Float(0.2, 0.4), stats.uniform(0.2, 0.2)),
    ],
)
def test_the_prior_of_a_float_is_the_one_of_its_scale(kind: Float, distribution: Any) -> None:
    assert stats.kstest(kind.from_unit(uniform(5_000)).numpy(), distribution.cdf).pvalue > 0.01


def test_the_prior_of_a_discount_is_log_uniform_in_its_distance_from_one() -> None:
    distances = 1 - Float(0.9, 0.999, "complement").from_unit(uniform(5_000)).numpy()
    assert stats.kstest(distances, stats.loguniform(1e-3, 0.1).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    "kind", [Int(1, 7), Int(-2, 2), Categorical((5.0, 1.0, 2.0, 8.0, 3.0, 4.0, 7.0, 9.0)), Ordinal((1, 2, 4, 8))]
)
def test_every_value_of_a_uniform_prior_is_equally_likely(kind: Kind) -> None:
    values, counts = np.unique(kind.from_unit(uniform(20_000)).numpy(), return_counts=True)
    low, high = kind.bounds
    assert len(values) == (len(kind.values) if isinstance(kind, Categorical) else high - low + 1)
    assert stats.chisquare(counts).pvalue > 0.01


def test_a_whole_number_on_a_log_scale_has_the_mass_of_its_cell() -> None:
    values, counts = np.unique(Int(1, 8, "log").from_unit(uniform(20_000)).numpy(), return_counts=True)
    mass = np.diff(np.log(np.arange(1, 10) - 0.5)) / math.log(8.5 / 0.5)
    assert values.tolist() == list(range(1, 9))
    assert stats.chisquare(counts, mass * 20_000).pvalue > 0.01


def test_a_number_is_multiplied_by_one_of_the_factors() -> None:
    for kind in (Float(0, 10), Float(1e-3, 10, "log")):
        assert perturbed(kind, 0.4, UP) == pytest.approx(0.5, rel=1e-15)
        assert perturbed(kind, 0.4, DOWN) == pytest.approx(0.32, rel=1e-15)
        assert perturbed(kind, 9.0, UP) == 10


def test_a_negative_number_moves_in_the_direction_drawn() -> None:
    assert perturbed(Float(-10, 10), -0.4, UP) == pytest.approx(-0.32)
    assert perturbed(Float(-10, 10), -0.4, DOWN) == pytest.approx(-0.5)
    assert perturbed(Int(-10, 10), -8, DOWN) == -10
    assert perturbed(Int(-10, 10), -1, UP) == 0


def test_a_discount_is_perturbed_by_its_distance_from_one() -> None:
    kind = Float(0.9, 0.999, "complement")
    assert perturbed(kind, 0.99, UP) == pytest.approx(0.992, abs=1e-15)
    assert perturbed(kind, 0.99, DOWN) == pytest.approx(0.9875, abs=1e-15)
    assert perturbed(kind, 0.9989, UP) == 0.999
    assert perturbed(kind, 0.91, DOWN) == 0.9


def test_half_of_the_perturbations_go_up() -> None:
    values = Float(1e-9, 1e9, "log").perturb(torch.ones(20_000, dtype=torch.float64), uniform(20_000), FACTORS)
    assert set(values.tolist()) == set(FACTORS)
    assert stats.binomtest(int((values > 1).sum()), 20_000).pvalue > 0.01


@pytest.mark.parametrize(("factors", "drift"), [((0.8, 1.25), 0.0), ((0.8, 1.2), -0.020411)])
def test_the_drift_of_the_logarithm_is_that_of_the_factors(factors: tuple[float, float], drift: float) -> None:
    n = 100_000
    values = Float(1e-9, 1e9, "log").perturb(torch.ones(n, dtype=torch.float64), uniform(n), factors)
    spread = math.log(factors[1] / factors[0]) / 2
    assert values.log().mean().item() == pytest.approx(drift, abs=4 * spread / n**0.5)


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4])
def test_a_whole_number_is_never_stuck(start: int) -> None:
    kind, value = Int(0, 20), float(start)
    climb = [value := perturbed(kind, value, UP) for _ in range(20)]
    assert climb[-1] == 20
    assert all(later > earlier for earlier, later in zip([start, *climb], climb, strict=False) if earlier < 20)
    fall = [value := perturbed(kind, value, DOWN) for _ in range(20)]
    assert fall[-1] == 0


@pytest.mark.parametrize("start", [1, 7, 30])
def test_every_whole_number_inside_moves_both_ways_and_all_are_reached_from_any(start: float) -> None:
    kind, reached = Int(1, 30), {start}
    draws = [0.0, 0.25, DOWN, UP, 0.75, 0.999]
    for value in range(2, 30):
        assert max(perturbed(kind, value, draw) for draw in draws[:3]) < value
        assert value < min(perturbed(kind, value, draw) for draw in draws[3:])
    for _ in range(30):
        reached |= {perturbed(kind, value, draw) for value in reached for draw in draws}
    assert reached == set(range(1, 31))


def test_a_whole_number_is_rounded_to_either_side_and_is_right_on_average() -> None:
    n = 20_000
    moved = Int(1, 100).perturb(torch.full((n,), 11, dtype=torch.float64), uniform(n), FACTORS)
    counts = {value: int((moved == value).sum()) for value in (8, 9, 13, 14)}  # of 8.8 and 13.75
    assert stats.chisquare(list(counts.values()), np.array([0.1, 0.4, 0.125, 0.375]) * n).pvalue > 0.01


def test_an_ordinal_moves_to_its_neighbour_and_stays_at_an_end() -> None:
    kind = Ordinal((16, 64, 32))
    assert [perturbed(kind, value, UP) for value in (16, 64, 32)] == [64, 32, 32]
    assert [perturbed(kind, value, DOWN) for value in (16, 64, 32)] == [16, 16, 64]


def test_a_categorical_is_drawn_anew_with_equal_chances_whatever_it_was() -> None:
    kind = Categorical(tuple(range(8)))
    _, counts = np.unique(kind.perturb(torch.full((16_000,), 7.0), uniform(16_000), FACTORS), return_counts=True)
    assert len(counts) == 8
    assert stats.chisquare(counts).pvalue > 0.01


def test_a_frozen_hyperparameter_stays() -> None:
    for kind in (Float(0.3, 0.3), Float(0.3, 0.3, "log"), Int(7, 7), Categorical((2.0,)), Ordinal((2.0,))):
        (value, _) = kind.bounds
        assert perturbed(kind, value, UP) == perturbed(kind, value, DOWN) == value
        assert kind.from_unit(uniform(9)).tolist() == [value] * 9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(1, 0), "low must not be above high, and both must be finite, got low 1 and high 0"),
        (lambda: Float(0, math.inf), "low must not be above high, and both must be finite, got low 0 and high inf"),
        (lambda: Float(math.nan, 1), "low must not be above high, and both must be finite, got low nan and high 1"),
        (lambda: Float(0, 1, "log"), "low must be above 0 on a log scale, got 0"),
        (lambda: Float(-1, 1, "log"), "low must be above 0 on a log scale, got -1"),
        (lambda: Float(0.9, 1, "complement"), "high must be below 1 on a complement scale, got 1"),
        (lambda: Int(0, 5, "log"), "low must be at least 1 on a log scale, got 0"),
        (lambda: Int(5, 1), "low must not be above high, and both must be finite, got low 5 and high 1"),
        (lambda: Int(1, 2.5), "high must be an integer, got 2.5"),  # type: ignore[arg-type]
        (lambda: Categorical(()), "values must be numbers, which is what learners read, got ()"),
        (lambda: Categorical((1, "relu")), "values must be numbers, which is what learners read, got (1, 'relu')"),  # type: ignore[arg-type]
        (lambda: Ordinal((1, math.nan)), "values must be numbers, which is what learners read, got (1, nan)"),
        (lambda: Ordinal((1, 2, 1)), "values must all be different, got (1, 2, 1)"),
    ],
)
def test_what_cannot_be_a_space_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make()
    assert str(raised.value) == message


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^scale must be one of linear, log, complement, got 'lgo'"):
        Float(1, 2, "lgo")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^scale must be one of linear, log, got 'complement'"):
        Int(1, 2, "complement")  # type: ignore[arg-type]
