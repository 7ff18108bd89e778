"""Task: bounds and the way through a file."""

import json

import numpy as np
import pytest

from evorl.errors import ConfigError
from evorl.task import Task

TASK = Task("Somewhere-v0", 3, (-0.4, 0.0, -2.0), (0.4, 10.0, -1.0), 1_000, {"weight": 0.5, "name": "a"})
DISCRETE = Task("Elsewhere-v0", 4, (-1.0,), (1.0,), 500, choices=3)


def test_the_ends_and_the_middle_of_an_action_become_those_of_the_bounds() -> None:
    actions = np.array([[-1, -1, -1], [0, 0, 0], [1, 1, 1], [0.5, -0.5, 0.25]], np.float32)
    scaled = TASK.scale(actions)
    expected = [[-0.4, 0, -2], [0, 5, -1.5], [0.4, 10, -1], [0.2, 2.5, -1.375]]
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)
    assert scaled.dtype == np.float32


def test_an_action_beyond_the_range_is_clipped_to_the_very_bound() -> None:
    scaled = TASK.scale(np.array([[-9, 9, 9]], np.float32))
    np.testing.assert_array_equal(scaled, np.array([[-0.4, 10, -1]], np.float32))


def test_scaling_works_on_any_leading_shape_and_leaves_its_argument() -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (4, 5, 3)).astype(np.float32)
    kept = actions.copy()
    scaled = TASK.scale(actions)
    np.testing.assert_array_equal(actions, kept)
    np.testing.assert_array_equal(scaled[2, 3], TASK.scale(actions[2, 3]))


def test_the_number_of_action_coordinates_is_that_of_the_bounds() -> None:
    assert TASK.action_size == 3


@pytest.mark.parametrize("task", [TASK, DISCRETE])
def test_a_task_comes_back_equal_from_json(task: Task) -> None:
    assert Task.from_state(json.loads(json.dumps(task.state_dict()))) == task


def test_a_task_stored_before_there_were_choices_has_continuous_actions() -> None:
    stored = TASK.state_dict()
    del stored["choices"]
    assert Task.from_state(stored) == TASK


def test_an_index_becomes_the_integer_of_its_choice() -> None:
    scaled = DISCRETE.scale(np.array([[0], [2], [1]], np.float32))
    assert scaled.tolist() == [[-1], [1], [0]]
    assert scaled.dtype == np.int64
    assert DISCRETE.action_size == 1


def test_only_a_task_of_choices_is_refused_where_actions_must_be_continuous() -> None:
    TASK.require_continuous()
    got = r"Elsewhere-v0 with Discrete\(3\)"
    message = rf"^env_id must name a task with Box actions, got {got}; svpg, and the learners a2c and ppo, take both$"
    with pytest.raises(ConfigError, match=message):
        DISCRETE.require_continuous()


def test_tasks_without_arguments_share_nothing() -> None:
    first, second = (Task("Somewhere-v0", 1, (-1.0,), (1.0,), None) for _ in range(2))
    assert first == second
    assert first.env_kwargs is not second.env_kwargs
