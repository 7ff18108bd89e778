"""Explore: laws of perturbation and resampling, who changes and who does not, stock mutations in the unit cube."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from deap import base
from scipy import stats
from torch import Tensor

from evorl.errors import ConfigError
from evorl.hyperparameters import Categorical, Float, Int, Kind, Space, traits_of
from evorl.population import Identities, Population
from evorl.streams import Streams
from evorl.variation import ExploreConfig, make_explore
from evorl.variation.explore import explore, perturbed

WIDE = Float(1e-9, 1e9, "log")
PAIR = Space({"first": WIDE, "second": WIDE})
FACTORS = (0.8, 1.25)
MIXED = Space({"rate": Float(1e-5, 1e-2, "log"), "discount": Float(0.9, 0.999, "complement"), "epochs": Int(1, 20)})


def members(space: Space, n: int, seed: int = 0) -> Population:
    """Return members with hyperparameters from their priors, a further trait and a fitness."""
    traits = traits_of(space.sample(Streams(seed).rows("prior", range(n))))
    params = torch.arange(3.0 * n).view(n, 3)
    fresh = Population.fresh(params, Identities(), "initial", {**traits, "critic": params.clone()})
    return fresh.with_fitness(torch.arange(float(n)))


def explored(space: Space, population: Population, rows: Sequence[int], seed: int = 1, **settings: Any) -> Population:
    return make_explore(ExploreConfig(**settings), space, Streams(seed))(population, rows)


def draws(n: int, k: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((n, k, 2)))


def ones(n: int, space: Space) -> dict[str, Tensor]:
    return {name: torch.ones(n, dtype=torch.float64) for name in space}


def test_each_hyperparameter_gets_a_factor_of_its_own() -> None:
    values = explore(PAIR, ones(20_000, PAIR), draws(20_000, 2), FACTORS, 0.0)
    assert all(set(value.tolist()) == set(FACTORS) for value in values.values())
    table = np.histogram2d(values["first"], values["second"], bins=2)[0]
    assert stats.chi2_contingency(table).pvalue > 0.01
    assert stats.chisquare(table.ravel()).pvalue > 0.01


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_the_share_drawn_anew_is_the_probability_for_each_by_itself(probability: float) -> None:
    n = 20_000
    values = explore(PAIR, ones(n, PAIR), draws(n, 2), FACTORS, probability)
    anew = {name: ~torch.isin(value, torch.tensor(FACTORS, dtype=torch.float64)) for name, value in values.items()}
    for share in anew.values():
        assert share.double().mean().item() == pytest.approx(
            probability, abs=4 * (probability * (1 - probability) / n) ** 0.5
        )
    both, chance = (anew["first"] & anew["second"]).double().mean().item(), probability**2
    assert both == pytest.approx(chance, abs=4 * (chance * (1 - chance) / n) ** 0.5)


def test_with_no_probability_even_the_smallest_draw_perturbs() -> None:
    values = explore(PAIR, ones(1, PAIR), torch.zeros(1, 2, 2, dtype=torch.float64), FACTORS, 0.0)
    assert {name: value.item() for name, value in values.items()} == {"first": 0.8, "second": 0.8}


def test_each_name_is_its_share_of_draws_from_the_prior() -> None:
    before = members(MIXED, 6)
    for how, share in (("perturb", 0.0), ("resample", 1.0), ("both", 0.4)):
        after = explored(MIXED, before, range(6), explore=how, resample_probability=0.4, perturb_factors=(0.5, 2.0))
        drawn = Streams(1).rows("explore_h", range(6)).uniform(0, 1, 3, 2).double()
        expected = explore(MIXED, MIXED.values_of(before.traits), drawn, (0.5, 2.0), share)
        assert all(torch.equal(after.traits[f"h.{name}"], expected[name]) for name in MIXED)


def test_what_is_drawn_anew_is_of_the_prior_whatever_decided_it() -> None:
    space = Space({"rate": Float(1e-5, 1e-2, "log"), "epochs": Int(1, 6)})
    start = {name: torch.full((20_000,), kind.bounds[0], dtype=torch.float64) for name, kind in space.items()}
    values = explore(space, start, draws(20_000, 2), FACTORS, 1.0)
    assert stats.kstest(values["rate"].numpy(), stats.loguniform(1e-5, 1e-2).cdf).pvalue > 0.01
    assert stats.chisquare(np.unique(values["epochs"], return_counts=True)[1]).pvalue > 0.01
    some = explore(space, start, draws(20_000, 2, 1), FACTORS, 0.3)["rate"]
    anew = some[(some - 1.25e-5).abs().minimum((some - 1e-5).abs()) > 1e-12]
    assert stats.kstest(anew.numpy(), stats.loguniform(1e-5, 1e-2).cdf).pvalue > 0.01


@pytest.mark.parametrize("how", ["perturb", "resample", "both", "deap.tools:mutGaussian:mu=0,sigma=2.0,indpb=0.7"])
def test_everything_stays_allowed_over_many_turns(how: str) -> None:
    population = members(MIXED, 8)
    operator = make_explore(ExploreConfig(explore=how), MIXED, Streams(2))
    for _ in range(100):
        population = operator(population, range(8))
        for name, kind in MIXED.items():
            value = population.traits[f"h.{name}"]
            assert value.dtype == torch.float64
            assert torch.equal(kind.clip(value), value)


@pytest.mark.parametrize("how", ["perturb", "resample", "both", "deap.tools:mutGaussian:mu=0,sigma=0.2,indpb=1.0"])
def test_only_the_rows_that_were_copied_change_and_only_in_their_hyperparameters(how: str) -> None:
    before = members(MIXED, 6)
    kept = before.clone()
    after = explored(MIXED, before, [4, 1], explore=how)
    for row in range(6):
        changed = [name for name in before.traits if not torch.equal(before.traits[name][row], after.traits[name][row])]
        assert set(changed) <= {"h.rate", "h.discount", "h.epochs"}
        assert bool(changed) == (row in (1, 4))
        assert after.fitness[row].isnan() == (row in (1, 4)), "the fitness is that of other hyperparameters"
    assert torch.equal(after.id, before.id)
    assert torch.equal(after.params, before.params)
    assert all(torch.equal(before.traits[name], kept.traits[name]) for name in kept.traits), "what is handed in stays"


def test_perturb_in_a_population_follows_the_rule_with_the_draws_of_each_row() -> None:
    before, streams = members(MIXED, 5), Streams(1)
    after = explored(MIXED, before, [3, 0], explore="perturb")
    for row in (3, 0):
        drawn = streams.rows("explore_h", [row]).uniform(0, 1, 3, 2)[0, :, 1]
        for name, draw in zip(MIXED, drawn.tolist(), strict=True):
            value, factor = before.traits[f"h.{name}"][row].item(), 1.25 if draw >= 0.5 else 0.8
            if name == "discount":
                expected = 1 - (1 - value) * (0.8 if draw >= 0.5 else 1.25)
            elif name == "epochs":
                expected = math.floor(value * factor + (2 * draw) % 1)
                expected += (1 if factor > 1 else -1) * (expected == value)
            else:
                expected = value * factor
            low, high = MIXED[name].bounds
            assert after.traits[f"h.{name}"][row].item() == pytest.approx(min(max(expected, low), high), rel=1e-9)


def test_a_member_draws_the_same_whoever_else_was_copied() -> None:
    before = members(MIXED, 6)
    alone, together = explored(MIXED, before, [2]), explored(MIXED, before, [5, 2, 0])
    assert all(alone.traits[f"h.{name}"][2] == together.traits[f"h.{name}"][2] for name in MIXED)


def test_noise_on_the_weights_has_its_strength_and_is_off_by_default() -> None:
    n, d = 50, 400
    fresh = Population.fresh(torch.zeros(n, d), Identities(), "initial", {"h.rate": torch.full((n,), 1e-3).double()})
    space = Space({"rate": Float(1e-5, 1e-2, "log")})
    assert torch.equal(explored(space, fresh, range(n)).params, fresh.params)
    noisy = explored(space, fresh, range(0, n, 2), perturb_weights=0.05).params
    assert stats.kstest(noisy[::2].flatten().numpy() / 0.05, "norm").pvalue > 0.01
    assert not noisy[1::2].any()
    assert torch.equal(perturbed(torch.ones(2, 2), torch.eye(2), 0.5), torch.tensor([[1.5, 1], [1, 1.5]]))


def test_an_empty_or_frozen_space_changes_nothing() -> None:
    before = members(MIXED, 3)
    for how in ("perturb", "resample", "both", "deap.tools:mutGaussian:mu=0,sigma=1.0,indpb=1.0"):
        after = explored(Space({}), before, [0, 2], explore=how)
        assert torch.equal(after.params, before.params)
        assert all(torch.equal(after.traits[name], before.traits[name]) for name in before.traits)
        frozen = Space({"rate": Float(1e-3, 1e-3, "log"), "epochs": Int(7, 7), "norm": Categorical((2.0,))})
        still = members(frozen, 3)
        after = explored(frozen, still, [0, 1, 2], explore=how)
        assert all(torch.equal(after.traits[name], still.traits[name]) for name in still.traits)


def test_a_stock_mutation_works_in_the_unit_cube() -> None:
    before = members(MIXED, 4)
    after = explored(MIXED, before, [1], explore="deap.tools:mutGaussian:mu=0.1,sigma=0.0,indpb=1.0")
    cube = MIXED.to_unit(MIXED.values_of(before.traits))[1] + 0.1
    expected = MIXED.from_unit(cube.clamp(0, 1)[None])
    for name in MIXED:
        assert after.traits[f"h.{name}"][1].item() == pytest.approx(expected[name].item(), rel=1e-9)


def test_a_stock_mutation_leaves_the_global_state_and_draws_from_the_run() -> None:
    before, population = random.getstate(), members(MIXED, 4)
    text = "deap.tools:mutGaussian:mu=0,sigma=0.2,indpb=1.0"
    one, same, other = (explored(MIXED, population, range(4), seed, explore=text) for seed in (1, 1, 2))
    assert torch.equal(one.traits["h.rate"], same.traits["h.rate"])
    assert not torch.equal(one.traits["h.rate"], other.traits["h.rate"])
    assert random.getstate() == before


def test_the_operator_can_be_registered_in_a_toolbox() -> None:
    toolbox, population = base.Toolbox(), members(MIXED, 4)
    toolbox.register("explore", make_explore(ExploreConfig(), MIXED, Streams(1)))
    ours, theirs = toolbox.explore(population, [0]), explored(MIXED, population, [0])
    assert torch.equal(ours.traits["h.rate"], theirs.traits["h.rate"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"perturb_factors": (1.2, 1.5)}, "perturb_factors must be two, below 1 and above 1, got (1.2, 1.5)"),
        ({"perturb_factors": (0.8, 1.2, 2.0)}, "perturb_factors must be two, below 1 and above 1, got (0.8, 1.2, 2.0)"),
        ({"perturb_factors": (0.0, 1.5)}, "perturb_factors must be two, below 1 and above 1, got (0.0, 1.5)"),
        ({"resample_probability": 1.5}, "resample_probability must be between 0 and 1, got 1.5"),
        ({"perturb_weights": -0.1}, "perturb_weights must be at least 0, got -0.1"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ExploreConfig(**settings).check()
    assert str(raised.value) == message


@pytest.mark.parametrize("text", ["deap.tools:mutGaussian", "deap.tools:cxTwoPoint"])
def test_a_name_that_is_no_mutation_is_refused_before_anything_runs(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^explore must name an operator, module:function:name=value,..., got "):
        make_explore(ExploreConfig(explore=text), MIXED, Streams(0))


@pytest.mark.parametrize("kind", [Float(0.9, 0.99), Float(-1.1, -1), Float(0.1, 0.12, "log")])
def test_a_space_narrower_than_a_perturbation_is_refused_unless_it_is_resampled(kind: Kind) -> None:
    with pytest.raises(ConfigError, match=r"^space of x must be wider to be perturbed, or be resampled: "):
        make_explore(ExploreConfig(), Space({"x": kind}), Streams(0))
    make_explore(ExploreConfig(explore="resample"), Space({"x": kind}), Streams(0))


@pytest.mark.parametrize(
    "kind", [Float(0.9, 0.99, "complement"), Float(0, 0.1), Float(-0.1, 0.1), Int(10, 11), Float(1, 1)]
)
def test_a_wide_or_frozen_space_is_let_through(kind: Kind) -> None:
    make_explore(ExploreConfig(), Space({"x": kind}), Streams(0))


def test_without_explore_what_was_copied_is_kept_however_narrow_the_space() -> None:
    space = Space({"discount": Float(0.9, 0.95), "rate": WIDE})
    before = members(space, 4)
    after = explored(space, before, [0, 2], explore="none")
    assert all(torch.equal(after.traits[name], trait) for name, trait in before.traits.items())
    assert torch.equal(after.params, before.params)
