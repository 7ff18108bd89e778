"""Sub-populations at different frequencies: the plan against a plain computation, migrants, and what is refused."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from support import same

from evorl.errors import ConfigError
from evorl.population import Identities, Population
from evorl.selection import FrequencyConfig, copy_and_mark, multi_frequency, settle_migrants
from evorl.selection.exploit import ExploitConfig, Truncation

QUARTERS = Truncation(bottom_fraction=0.25, donor_fraction=0.25, pairing="matched")
NAN = math.nan


def plan_of(
    fitness: Sequence[float], ratios: Sequence[int], turn: int, ready: Sequence[bool] | None = None
) -> list[int]:
    n = len(fitness)
    able = torch.ones(n, dtype=torch.bool) if ready is None else torch.tensor(ready)
    draws = torch.zeros(n, dtype=torch.float64)
    given = torch.tensor(fitness, dtype=torch.float64)
    return multi_frequency(given, able, draws, ratios, turn, QUARTERS).tolist()


def by_hand(fitness: Sequence[float], ratios: Sequence[int], turn: int) -> list[int]:
    """Return the plan by the rules in words: quarters, each in its order, and the best strangers one by one."""
    n, parts = len(fitness), len(ratios)
    size = n // parts
    quarter = size // 4
    plan = list(range(n))
    for part in range(parts):
        if turn % ratios[part] != 0:
            continue
        ours = sorted(range(part * size, part * size + size), key=lambda row: -fitness[row])
        for place in range(quarter):
            plan[ours[3 * quarter + place]] = ours[place]
        strangers = sorted(set(range(n)) - set(ours), key=lambda row: -fitness[row])
        for row in ours[2 * quarter : 3 * quarter]:
            if fitness[strangers[0]] > fitness[row]:
                plan[row] = strangers.pop(0)
    return plan


@pytest.mark.parametrize(("n", "ratios"), [(16, (1, 5)), (8, (1, 2)), (24, (1, 3, 10)), (32, (1, 2, 4, 8))])
def test_the_plan_is_that_of_the_rules_in_words(n: int, ratios: tuple[int, ...]) -> None:
    rng = np.random.default_rng(n)
    for turn in range(1, 41):
        fitness = rng.permutation(n).astype(float).tolist()
        assert plan_of(fitness, ratios, turn) == by_hand(fitness, ratios, turn)


def test_a_sub_population_keeps_in_turns_that_are_no_multiple_of_its_ratio() -> None:
    fitness = [float(row) for row in range(8)]
    for turn in range(1, 13):
        plan = plan_of(fitness, (1, 3), turn)
        assert plan[:4] == [3, 7, 2, 3], "row 0 copies the best of its own, row 1 the best of the others"
        assert plan[4:] == ([7, 5, 6, 7] if turn % 3 == 0 else [4, 5, 6, 7]), "no stranger is better than row 5"


def test_equals_keep() -> None:
    assert plan_of([1.0] * 8, (1, 2), 2) == list(range(8))


def test_unknown_fitness_is_last_and_never_copied() -> None:
    assert plan_of([1.0, NAN, math.inf, 2.0, NAN, NAN, NAN, NAN], (1, 2), 2) == [0, 1, 3, 3, 4, 5, 3, 7]
    assert plan_of([NAN] * 8, (1, 2), 2) == list(range(8))


def test_who_is_not_ready_keeps_and_nothing_copies_at_a_fraction_of_zero() -> None:
    fitness = [float(row) for row in range(8)]
    assert plan_of(fitness, (1, 2), 2, [False] * 8) == list(range(8))
    none = Truncation(bottom_fraction=0.0, donor_fraction=0.25)
    given, ready = torch.tensor(fitness), torch.ones(8, dtype=torch.bool)
    assert multi_frequency(given, ready, given / 8, (1, 2), 2, none).tolist() == list(range(8))


def members(n: int) -> Population:
    rows = torch.arange(n)
    traits = {
        "h.rate": rows.double() / 10,
        "critic": rows[:, None].float(),
        "copied": torch.zeros(n, dtype=torch.bool),
        "copied_at": torch.zeros(n, dtype=torch.int64),
    }
    return Population.fresh(rows[:, None].float(), Identities(), "initial", traits).with_fitness(rows.double())


def test_migrants_bring_weights_everywhere_but_hyperparameters_only_to_who_evolves_more_often() -> None:
    evaluated = members(8)
    #              copies inside; from slow to fast; ...; from fast to slow
    plan = torch.tensor([3, 6, 2, 3, 7, 2, 6, 7])
    parents = settle_migrants(evaluated, copy_and_mark(evaluated, plan, 5, ExploitConfig()), plan, 2)
    assert parents.params[:, 0].tolist() == parents.traits["critic"][:, 0].tolist() == plan.tolist()
    assert parents.traits["h.rate"].tolist() == [0.3, 0.6, 0.2, 0.3, 0.7, 0.7, 0.6, 0.7]
    assert parents.traits["copied"].tolist() == [True, False, False, False, True, False, False, False]
    assert parents.parent.tolist() == [3, 6, -1, -1, 7, 2, -1, -1]
    assert parents.traits["copied_at"].tolist() == [5, 5, 0, 0, 5, 5, 0, 0]
    stayed = [2, 3, 6, 7]
    assert same(parents[stayed].state_dict(), evaluated[stayed].state_dict())


@dataclass(frozen=True, kw_only=True)
class Settings(FrequencyConfig, Truncation):
    """What both read."""


@pytest.mark.parametrize(
    ("n", "ratios", "fractions", "message"),
    [
        (10, (1, 5), (0.25, 0.25), "population_size must be a multiple of 8, for 2 sub-populations of a multiple of 4"),
        (12, (1, 5), (0.25, 0.25), "are whole numbers, got 12"),
        (8, (1, 2, 3), (0.2, 0.2), "population_size must be a multiple of 15"),
        (16, (2, 5), (0.25, 0.25), r"ratios must begin with 1 and rise strictly, got \(2, 5\)"),
        (16, (1, 5, 5), (0.25, 0.25), "ratios must begin with 1 and rise strictly"),
        (16, (), (0.25, 0.25), "ratios must begin with 1 and rise strictly"),
        (16, (1, 5), (0.5, 0.25), "twice bottom_fraction and donor_fraction must be at most 1 together"),
    ],
)
def test_populations_that_do_not_divide_are_refused(
    n: int, ratios: tuple[int, ...], fractions: tuple[float, float], message: str
) -> None:
    settings = Settings(ratios=ratios, bottom_fraction=fractions[0], donor_fraction=fractions[1])
    with pytest.raises(ConfigError, match=message):
        settings.check_ratios(n, settings)
