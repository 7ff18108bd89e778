"""Tasks whose optimum is known."""

import gymnasium
import numpy as np
import pytest

from evorl.envs import GymnasiumEnvs, analytic, describe
from evorl.envs.analytic import QUADRATIC


def test_the_quadratic_is_a_task_of_one_step() -> None:
    task = describe(QUADRATIC)
    assert (task.observation_size, task.action_low, task.action_high) == (1, (-1.0, -1.0), (1.0, 1.0))
    assert task.time_limit == 1


def test_the_reward_is_minus_the_squared_distance_to_the_target_and_the_episode_terminates() -> None:
    envs = GymnasiumEnvs(describe(QUADRATIC), 4)
    observations = envs.reset(range(4), [1, 2, 3, 4])
    actions = np.array([[0.5, -0.5], [0, 0], [-1, 1], [1, -0.5]], np.float32)
    following, rewards, terminated, _ = envs.step(range(4), actions)
    np.testing.assert_allclose(rewards, [0, -0.5, -4.5, -0.25])
    assert terminated.all()
    assert np.array_equal(observations, np.ones((4, 1)))
    assert np.array_equal(following, np.ones((4, 1)))
    envs.close()


def test_no_action_does_better_than_the_target() -> None:
    environment = analytic.Quadratic()
    rng = np.random.default_rng(0)
    environment.reset(seed=0)
    rewards = [environment.step(rng.uniform(-1, 1, 2).astype(np.float32))[1] for _ in range(200)]
    assert max(rewards) < environment.step(analytic.Quadratic.target)[1] == 0.0


def test_registering_again_has_no_effect() -> None:
    spec = gymnasium.spec(QUADRATIC)
    analytic.register()
    assert gymnasium.spec(QUADRATIC) is spec


def test_it_passes_the_checker_of_gymnasium() -> None:
    environment = gymnasium.make(QUADRATIC)
    environment.reset(seed=0)
    assert environment.step(np.zeros(2, np.float32))[1] == pytest.approx(-0.5)
    with pytest.raises(gymnasium.error.ResetNeeded):
        gymnasium.make(QUADRATIC).step(np.zeros(2, np.float32))
