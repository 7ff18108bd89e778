"""Any Gymnasium task as rows of members: bounds, refusals, faults, and only the named rows move."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from support import ORACLE, counted, number_of, oracle

from evorl.envs import GymnasiumEnvs, describe
from evorl.errors import ConfigError, EnvironmentFault
from evorl.task import Task


class Echo(gymnasium.Env[Any, Any]):
    """Observes the action that it was given; its spaces are arguments."""

    def __init__(self, actions: gymnasium.Space[Any], observations: gymnasium.Space[Any] | None = None) -> None:
        self.action_space = actions
        self.observation_space = observations or Box(-np.inf, np.inf, actions.shape or (1,), np.float32)
        self.received: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros(self.observation_space.shape or (1,), np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.received.append(action)
        return np.asarray(action, np.float32), 0.0, False, False, {}


Register = Callable[[Callable[[], gymnasium.Env[Any, Any]]], str]


@pytest.fixture
def registered() -> Iterator[Register]:
    """Register environments under ids of their own for the length of a test."""
    ids: list[str] = []

    def register(entry_point: Callable[[], gymnasium.Env[Any, Any]]) -> str:
        def create(**kwargs: Any) -> gymnasium.Env[Any, Any]:
            return entry_point(**kwargs)

        ids.append(f"tests/Temporary-v{len(ids)}")
        gymnasium.register(ids[-1], entry_point=create)
        return ids[-1]

    yield register
    for name in ids:
        del gymnasium.registry[name]


# describe.


def test_a_task_is_described_by_its_spaces_and_time_limit() -> None:
    assert describe("Pendulum-v1") == Task("Pendulum-v1", 3, (-2.0,), (2.0,), 200)


def test_arguments_reach_the_environment_and_stay_with_the_task() -> None:
    kwargs = {"max_episode_steps": 7, "terminate_at": 3}
    assert describe(ORACLE, kwargs) == Task(ORACLE, 2, (-1.0, -1.0), (1.0, 1.0), 7, kwargs)
    assert oracle().time_limit is None


def test_spaces_of_several_axes_are_flattened(registered: Register) -> None:
    low = np.arange(6, dtype=np.float32).reshape(2, 3)
    made: list[Echo] = []

    def make() -> Echo:
        made.append(Echo(Box(low, low + 2, dtype=np.float32), Box(0, 1, (2, 3), np.float32)))
        return made[-1]

    task = describe(registered(make))
    assert (task.observation_size, task.action_size) == (6, 6)
    assert list(task.action_low) == [0, 1, 2, 3, 4, 5]
    envs = GymnasiumEnvs(task, 1)
    envs.reset([0], [0])
    observations, *_ = envs.step([0], np.zeros((1, 6), np.float32))
    np.testing.assert_array_equal(observations, low.reshape(1, 6) + 1)
    np.testing.assert_array_equal(made[-1].received[0], low + 1)


def test_an_unknown_id_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"got 'HalfCheetahh-v5'; did you mean 'HalfCheetah-v5'\?$"):
        describe("HalfCheetahh-v5")


def test_arguments_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^env_id Pendulum-v1 with \{'gravitty': 1.0\} cannot be made: .*gravitty"):
        describe("Pendulum-v1", {"gravitty": 1.0})


def test_a_discrete_task_is_described_by_its_choices() -> None:
    assert describe("CartPole-v1") == Task("CartPole-v1", 4, (0.0,), (1.0,), 500, {}, 2)
    assert describe("Pendulum-v1").choices is None


def test_a_discrete_action_arrives_as_an_integer_of_the_space(registered: Register) -> None:
    made: list[Echo] = []

    def make() -> Echo:
        made.append(Echo(Discrete(3, start=-1), Box(-9, 9, (1,), np.float32)))
        return made[-1]

    task = describe(registered(make))
    assert (task.action_low, task.action_high, task.choices) == ((-1.0,), (1.0,), 3)
    envs = GymnasiumEnvs(task, 2)
    envs.reset([0, 1], [0, 0])
    observations, *_ = envs.step([1, 0], np.array([[2], [0]], np.float32))
    assert observations.tolist() == [[1], [-1]]
    first, second = (environment.received[0] for environment in made[-2:])
    assert (first, second) == (-1, 1)
    for given in (first, second):
        assert made[0].action_space.contains(given)
        assert {-1: "left", 1: "right"}[given], "it can be the key of a table"


def test_a_discrete_task_steps_as_gymnasium_does() -> None:
    envs, alone = GymnasiumEnvs(describe("CartPole-v1"), 1), gymnasium.make("CartPole-v1")
    np.testing.assert_array_equal(envs.reset([0], [3])[0], alone.reset(seed=3)[0])
    for index in (0, 1, 1, 0, 1):
        observations, rewards, _, _ = envs.step([0], np.array([[index]], np.float32))
        observation, reward, *_ = alone.step(index)
        np.testing.assert_array_equal(observations[0], observation)
        assert rewards[0] == reward


@pytest.mark.parametrize("space", [MultiDiscrete([2, 3]), MultiBinary(2)], ids=str)
def test_actions_of_another_space_are_refused(registered: Register, space: gymnasium.Space[Any]) -> None:
    name = registered(lambda: Echo(space))
    with pytest.raises(ConfigError, match=f"must name a task with Box or Discrete actions, got {name} with Multi"):
        describe(name)


@pytest.mark.parametrize(("low", "high"), [(-np.inf, np.inf), (0.0, np.inf), (-np.inf, 0.0), (-3e38, 3e38)])
def test_actions_unbounded_on_either_side_are_refused(registered: Register, low: float, high: float) -> None:
    name = registered(lambda: Echo(Box(low, high, (2,), np.float32)))
    with pytest.raises(ConfigError, match=f"must name a task with bounded actions, got {name}"):
        describe(name)


@pytest.mark.parametrize("space", [Discrete(3), Dict(a=Box(0, 1, (1,), np.float32))], ids=str)
def test_observations_other_than_a_box_are_refused(registered: Register, space: gymnasium.Space[Any]) -> None:
    name = registered(lambda: Echo(Box(-1, 1, (2,), np.float32), space))
    with pytest.raises(ConfigError, match=f"must name a task with Box observations, got {name}"):
        describe(name)


def test_without_the_extra_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if "box2d" in name.lower()]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "Box2D", None)
    with pytest.raises(ConfigError) as refused:
        describe("LunarLander-v3")
    needed = "env_id LunarLander-v3 needs a package that is not installed"
    assert str(refused.value) == f"{needed}: pip install 'evorl-torch[box2d]'"


def test_lunar_lander_is_described_with_choices_or_a_box() -> None:
    choices, box = describe("LunarLander-v3"), describe("LunarLander-v3", {"continuous": True})
    assert (choices.observation_size, choices.choices, choices.time_limit) == (8, 4, 1_000)
    assert (box.observation_size, box.choices, box.action_size) == (8, None, 2)


def test_the_environment_that_was_described_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(gymnasium.Wrapper, "close", lambda self: closed.append(type(self).__name__))
    describe("Pendulum-v1")
    assert closed


# Actions.


def received(task: Task, actions: list[list[float]]) -> np.ndarray[Any, Any]:
    """Return the observations of the task, an Echo, after each action."""
    envs = GymnasiumEnvs(task, 1)
    envs.reset([0], [0])
    return np.concatenate([envs.step([0], np.array([action], np.float32))[0] for action in actions])


def test_actions_are_scaled_to_the_bounds_and_clipped(registered: Register) -> None:
    bounds = Box(np.array([-0.4, 0, -3], np.float32), np.array([0.4, 8, -1], np.float32))
    task = describe(registered(lambda: Echo(bounds)))
    got = received(task, [[-1, -1, -1], [0, 0, 0], [1, 1, 1], [0.5, 0.25, -0.5], [7, -7, 7]])
    expected = [[-0.4, 0, -3], [0, 4, -2], [0.4, 8, -1], [0.2, 5, -2.5], [0.4, 0, -1]]
    np.testing.assert_allclose(got, np.array(expected), rtol=1e-6, atol=1e-7)
    assert all(bounds.contains(action) for action in got)


def test_bounds_below_one_are_not_cut_to_integers(registered: Register) -> None:
    """Humanoid's is 0.4; an integer of it would leave the robot without torque."""
    name = registered(lambda: Echo(Box(-0.4, 0.4, (1,), np.float32)))
    by_hand = Task(name, 1, (-0.4,), (0.4,), None)
    for task in (by_hand, describe(name)):
        np.testing.assert_allclose(received(task, [[1], [-0.5]]), [[0.4], [-0.2]], rtol=1e-6)


def test_humanoid_is_described_with_its_bound_of_four_tenths() -> None:
    task = describe("Humanoid-v5")
    assert (task.observation_size, task.action_size, task.time_limit) == (348, 17, 1_000)
    np.testing.assert_allclose(task.action_high, [0.4] * 17, rtol=1e-6)
    np.testing.assert_allclose(task.action_low, [-0.4] * 17, rtol=1e-6)
    np.testing.assert_allclose(task.scale(np.full((2, 17), 0.5, np.float32)), np.full((2, 17), 0.2), rtol=1e-6)


# Rows.


def actions_for(rows: list[int]) -> np.ndarray[Any, Any]:
    return np.array([[0.1 * row, 0.0] for row in rows], np.float32)


def test_only_the_named_rows_move_and_answers_come_in_their_order() -> None:
    with counted() as made:
        envs = GymnasiumEnvs(oracle(), 3)
        seeds = {0: 11, 1: 22, 2: 33}
        made.clear()
        envs.reset([2, 0], [seeds[2], seeds[0]])  # instances are made in this order
        envs.reset([1], [seeds[1]])
        taken = {0: 0, 1: 0, 2: 0}
        for rows in ([0, 1, 2], [2], [2, 0], [1], [2]):
            observations, rewards, _, _ = envs.step(rows, actions_for(rows))
            for index, row in enumerate(rows):
                taken[row] += 1
                assert observations[index].tolist() == [number_of(seeds[row]), taken[row]]
                assert rewards[index] == pytest.approx(taken[row] + 0.1 * row)
        assert [environment.steps for environment in made] == [taken[2], taken[0], taken[1]] == [4, 2, 2]


def test_the_arrays_have_the_types_of_the_contract() -> None:
    envs = GymnasiumEnvs(describe("Pendulum-v1"), 2)
    observations = envs.reset([0, 1], [3, 4])
    following, rewards, terminated, truncated = envs.step([1, 0], np.zeros((2, 1), np.float32))
    arrays = (observations, following, rewards, terminated, truncated)
    assert [array.dtype.name for array in arrays] == ["float32", "float32", "float64", "bool", "bool"]
    assert (observations.shape, following.shape, rewards.shape, terminated.shape) == ((2, 3), (2, 3), (2,), (2,))


def test_rows_equal_single_environments_of_gymnasium() -> None:
    envs, rng = GymnasiumEnvs(describe("Pendulum-v1"), 2), np.random.default_rng(0)
    alone = [gymnasium.make("Pendulum-v1") for _ in range(2)]
    expected = np.stack([environment.reset(seed=40 + row)[0] for row, environment in enumerate(alone)])
    np.testing.assert_array_equal(envs.reset([0, 1], [40, 41]), expected)
    for _ in range(20):
        actions = rng.uniform(-1, 1, (2, 1)).astype(np.float32)
        observations, rewards, _, _ = envs.step([0, 1], actions)
        for row, environment in enumerate(alone):
            observation, reward, *_ = environment.step(2 * actions[row])
            np.testing.assert_array_equal(observations[row], observation)
            assert rewards[row] == reward


def test_a_time_limit_truncates_and_a_terminal_state_terminates() -> None:
    envs = GymnasiumEnvs(oracle(3), 1)
    envs.reset([0], [0])
    ends = [[bool(end[0]) for end in envs.step([0], actions_for([0]))[2:]] for _ in range(3)]
    assert ends == [[False, False], [False, False], [False, True]]
    envs = GymnasiumEnvs(oracle(5, terminate_at=2), 1)
    envs.reset([0], [0])
    ends = [[bool(end[0]) for end in envs.step([0], actions_for([0]))[2:]] for _ in range(2)]
    assert ends == [[False, False], [True, False]]


def test_nothing_resets_by_itself() -> None:
    envs = GymnasiumEnvs(oracle(terminate_at=2), 1)
    envs.reset([0], [9])
    steps = [float(envs.step([0], actions_for([0]))[0][0, 1]) for _ in range(4)]
    assert steps == [1, 2, 3, 4]


def test_the_same_seed_starts_the_same_episode_again() -> None:
    envs = GymnasiumEnvs(describe("Pendulum-v1"), 2)
    first = envs.reset([0, 1], [5, 6])
    envs.step([0, 1], np.ones((2, 1), np.float32))
    second = envs.reset([1, 0], [5, 6])
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_every_reset_needs_a_seed_for_each_row() -> None:
    with pytest.raises(ValueError, match="shorter"):
        GymnasiumEnvs(oracle(), 2).reset([0, 1], [5])


def test_a_row_must_be_reset_before_it_is_stepped() -> None:
    with pytest.raises(RuntimeError, match="row 1 must be reset before it is stepped"):
        GymnasiumEnvs(oracle(), 2).step([1], actions_for([1]))


def test_closed_environments_may_be_reset_again() -> None:
    with counted() as made:
        envs = GymnasiumEnvs(oracle(), 2)
        made.clear()
        envs.reset([0], [1])
        envs.step([0], actions_for([0]))
        envs.close()
        envs.close()
        with pytest.raises(RuntimeError, match="row 0 must be reset"):
            envs.step([0], actions_for([0]))
        assert envs.reset([0, 1], [8, 9]).tolist() == [[number_of(8), 0], [number_of(9), 0]]
        assert len(made) == 3


def test_the_number_of_rows_is_known_and_no_environment_is_made_before_its_reset() -> None:
    with counted() as made:
        envs = GymnasiumEnvs(oracle(), 50)
        made.clear()
        envs.reset([49], [0])
        assert (len(envs), len(made)) == (50, 1)


# Faults.


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("raise_at", "step raised RuntimeError: the oracle is silent"),
        ("nan_at", "its observation must be finite, got NaN or infinity"),
        ("nan_reward_at", "its reward must be finite, got nan"),
    ],
)
def test_a_fault_names_the_member_and_the_step_of_its_episode(kind: str, message: str) -> None:
    """Member 2 is in its second episode, so that only the count of this one's steps is right."""
    envs = GymnasiumEnvs(oracle(**{kind: 3}), 4)
    envs.reset([1, 2], [0, 0])
    envs.step([1, 2], actions_for([1, 2]))
    envs.reset([2, 3], [0, 0])
    for _ in range(2):
        envs.step([3, 2], actions_for([3, 2]))
    envs.reset([3], [0])
    with pytest.raises(EnvironmentFault, match=rf"^{ORACLE}, member 2, step 3 of its episode: {message}$"):
        envs.step([3, 2], actions_for([3, 2]))


def test_a_reset_that_raises_or_returns_nan_is_a_fault_too(registered: Register) -> None:
    class Broken(Echo):
        def reset(self, **settings: Any) -> tuple[Any, dict[str, Any]]:
            if settings["seed"] == 1:
                raise OSError("no\n  such\tfile")
            return np.full(1, np.inf, np.float32), {}

    envs = GymnasiumEnvs(describe(registered(lambda: Broken(Box(-1, 1, (1,), np.float32)))), 3)
    with pytest.raises(EnvironmentFault, match=r"member 2, step 0 of its episode: reset raised OSError: no such file$"):
        envs.reset([2], [1])
    with pytest.raises(EnvironmentFault, match="member 1, step 0 of its episode: its observation must be finite"):
        envs.reset([1], [0])


def test_a_fault_keeps_the_exception_that_caused_it() -> None:
    envs = GymnasiumEnvs(oracle(raise_at=1), 1)
    envs.reset([0], [0])
    with pytest.raises(EnvironmentFault) as caught:
        envs.step([0], actions_for([0]))
    assert isinstance(caught.value.__cause__, RuntimeError)


# MuJoCo's warnings.


def test_mujocos_warnings_go_to_its_logger_and_not_into_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    mujoco.set_mju_user_warning(None)  # MuJoCo's own: write a file
    with caplog.at_level(logging.DEBUG, logger="mujoco"):
        describe("InvertedPendulum-v5")
        unstable: Any = gymnasium.make("InvertedPendulum-v5").unwrapped
        unstable.reset(seed=0)
        unstable.data.qpos[:] = np.nan
        mujoco.mj_step(unstable.model, unstable.data)
    heard = [record for record in caplog.records if record.name == "mujoco" and record.levelno == logging.WARNING]
    assert any("nan" in record.getMessage().lower() for record in heard)
    assert list(tmp_path.iterdir()) == []


def test_the_warning_that_comes_with_every_halfcheetah_is_not_worth_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    mujoco.set_mju_user_warning(None)
    with caplog.at_level(logging.DEBUG, logger="mujoco"):
        describe("HalfCheetah-v5")
    assert {record.levelno for record in caplog.records if record.name == "mujoco"} == {logging.DEBUG}
    assert list(tmp_path.iterdir()) == []
