"""PB2-Mix: categories by bandits, and PB2 where there are none."""

from typing import Any

import pytest
import torch
from climbing import climbing, settings
from support import same
from torch import Tensor

from evorl.algorithms import pb2
from evorl.algorithms.pb2_mix import Config, PB2Mix
from evorl.population import Population

SPACE = {"x": "0:1", "kind": "categorical:0,1,2"}


def by_kind(members: Population, generation: int) -> Tensor:
    """The first kind brings most, at an x of 0.8; the others less, elsewhere."""
    kind, x = members.traits["h.kind"], members.traits["h.x"]
    height, place = (2 - kind) / 2, 0.8 - 0.3 * kind
    return height * torch.exp(-10 * (x - place).square())


def run_of(**further: Any) -> pb2.PB2[Any]:
    return climbing(PB2Mix, by_kind)(Config(**settings(4, 20, **{"space": SPACE, **further})))


def test_the_best_category_is_found_and_its_best_number() -> None:
    run = run_of()
    while not run.finished:
        run.step()
    answer = run.answer().traits
    assert answer["h.kind"].item() == 0
    assert answer["h.x"].item() == pytest.approx(0.8, abs=0.2)
    shares = [run.bayesian.report()[f"kind/weight/{kind}"] for kind in (0, 1, 2)]
    assert sum(shares) == pytest.approx(1)
    assert shares[0] == max(shares)


def test_without_categories_it_is_pb2() -> None:
    def gain(members: Population, generation: int) -> Tensor:
        return 1 - (members.traits["h.x"] - 0.3).square()

    ours = climbing(PB2Mix, gain)(Config(**settings(4, 20)))
    theirs = climbing(pb2.PB2, gain)(pb2.Config(**settings(4, 20)))
    for _ in range(4):
        ours.step()
        theirs.step()
    assert same(ours.population.state_dict(), theirs.population.state_dict())


def test_what_the_bandit_learned_is_state() -> None:
    run = run_of()
    for _ in range(4):
        run.step()
    weights = run.bayesian.weights["kind"]
    assert not torch.equal(weights, torch.ones(3, dtype=torch.float64))
    resumed = type(run)(run.config, run.state_dict())
    assert torch.equal(resumed.bayesian.weights["kind"], weights)
    run.step()
    resumed.step()
    assert same(run.population.state_dict(), resumed.population.state_dict())


def test_reports_have_the_same_tags_from_the_first_generation_on() -> None:
    run = run_of()
    first, second = run.step(), run.step()
    assert set(first) == set(second)
    assert {"pb2_mix/mix", "pb2_mix/category_variance", "pb2_mix/kind/weight/0", "pb2_mix/x/00"} < set(first)
