"""PB2-Rand: categories by chance, and a process that does not see them."""

from climbing import climbing, settings, steady

from evorl.algorithms.pb2_rand import Config, PB2Rand


def test_there_is_no_bandit_and_the_process_sees_numbers_only() -> None:
    space = {"x": "0:1", "kind": "categorical:0,1"}
    run = climbing(PB2Rand, steady, begin=1.0)(Config(**settings(4, 20, space=space)))
    reports = [run.step() for _ in range(3)]
    assert run.bayesian.columns.seen == [0]
    assert run.bayesian.columns.apart == ()
    assert not run.bayesian.weights
    assert "pb2_rand/mix" not in reports[-1]
