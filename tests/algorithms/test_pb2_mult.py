"""PB2-Mult: a process for each category."""

from climbing import climbing, settings, steady

from evorl.algorithms.pb2_mult import Config, PB2Mult
from evorl.running import registry


def test_categories_are_apart_and_by_bandit() -> None:
    space = {"x": "0:1", "kind": "categorical:0,1", "y": "categorical:1,2"}
    run = climbing(PB2Mult, steady, begin=1.0)(Config(**settings(4, 20, space=space)))
    for _ in range(3):
        run.step()
    assert run.bayesian.columns.numbers == (0,)
    assert run.bayesian.columns.apart == (1, 2)
    assert run.bayesian.columns.categories == ()
    assert set(run.bayesian.weights) == {"kind", "y"}


def test_it_goes_by_two_names() -> None:
    assert registry.find("pb2-multi") is registry.find("pb2-mult") is PB2Mult
