"""Steps are counted once: in the environments that were given, or elsewhere, and only while they are to be."""

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import OrderEnforcing
from support import ORACLE, oracle

from evorl.envs import make
from evorl.step_counts import CountingEnvs, Elsewhere

ACTION = np.zeros(2, np.float32)


def step_one_of_ones_own(times: int) -> None:
    with gymnasium.make(ORACLE) as env:
        env.reset(seed=0)
        for _ in range(times):
            env.step(ACTION)


def test_given_ones_and_others_are_told_apart() -> None:
    elsewhere = Elsewhere()
    envs = CountingEnvs(make(oracle(5), 3), elsewhere)
    envs.reset([0, 2], [0, 1])
    with elsewhere.counted():
        envs.step([0, 2], np.zeros((2, 2), np.float32))
        step_one_of_ones_own(4)
        envs.step([2], np.zeros((1, 2), np.float32))
    step_one_of_ones_own(3)
    envs.close()
    assert envs.steps == 3
    assert elsewhere.steps == 4


def test_what_counts_is_taken_away_whatever_happens() -> None:
    before = OrderEnforcing.step
    with pytest.raises(RuntimeError), Elsewhere().counted():
        raise RuntimeError("in between")
    assert OrderEnforcing.step is before


def test_steps_after_one_that_raised_are_elsewhere_again() -> None:
    elsewhere = Elsewhere()
    envs = CountingEnvs(make(oracle(5, raise_at=1), 1), elsewhere)
    envs.reset([0], [0])
    with elsewhere.counted():
        with pytest.raises(RuntimeError, match="oracle"):
            envs.step([0], np.zeros((1, 2), np.float32))
        step_one_of_ones_own(2)
    envs.close()
    assert elsewhere.steps == 2
