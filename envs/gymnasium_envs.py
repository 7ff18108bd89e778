"""Any registered Gymnasium environment with Box observations and bounded Box or Discrete actions, one a member."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from evorl.envs.door import fault, require_finite
from evorl.envs.member_envs import Stepped
from evorl.errors import ConfigError, EnvironmentFault, nearest
from evorl.task import Task


def describe(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> Task:
    """Return the task of a registered environment.

    Args:
        env_id: Gymnasium's id, such as `HalfCheetah-v5`.
        env_kwargs: arguments of `gymnasium.make`.

    Raises:
        ConfigError: the id is not registered, the arguments do not fit, observations are not a Box, or actions are
            neither a bounded Box nor Discrete.
    """
    kwargs = dict(env_kwargs or {})
    environment = make_one(env_id, kwargs)
    try:
        low, high, choices = _actions(env_id, environment.action_space)
        observations = environment.observation_space
        if not isinstance(observations, gymnasium.spaces.Box):
            raise ConfigError(f"env_id must name a task with Box observations, got {env_id} with {observations}")
        limit = environment.spec.max_episode_steps if environment.spec else None
        return Task(env_id, int(np.prod(observations.shape)), low, high, limit, kwargs, choices)
    finally:
        environment.close()


def _actions(env_id: str, actions: gymnasium.Space[Any]) -> tuple[tuple[float, ...], tuple[float, ...], int | None]:
    """Return the lower and upper bounds of a space of actions, and the number of choices if it is discrete."""
    if isinstance(actions, gymnasium.spaces.Discrete):
        first, choices = int(actions.start), int(actions.n)
        return (float(first),), (float(first + choices - 1),), choices
    if not isinstance(actions, gymnasium.spaces.Box):
        raise ConfigError(f"env_id must name a task with Box or Discrete actions, got {env_id} with {actions}")
    with np.errstate(over="ignore"):
        ranges = np.float32(actions.high) - np.float32(actions.low)
    if not np.isfinite(ranges).all():
        raise ConfigError(f"env_id must name a task with bounded actions, got {env_id} with {actions}")
    return tuple(map(float, actions.low.ravel())), tuple(map(float, actions.high.ravel())), None


def make_one(env_id: str, kwargs: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """Return one environment of Gymnasium's.

    Raises:
        ConfigError: the id is not registered, or the arguments do not fit.
    """
    try:
        spec = gymnasium.spec(env_id)
    except gymnasium.error.Error as error:
        hint = nearest(env_id, gymnasium.registry)
        raise ConfigError(f"env_id must name a registered environment, got {env_id!r}{hint}") from error
    _route_mujoco_warnings(spec)
    try:
        return gymnasium.make(spec, disable_env_checker=True, **kwargs)
    except gymnasium.error.DependencyNotInstalled as error:
        remedy = "pip install 'evorl-torch[box2d]'" if "box2d" in str(spec.entry_point) else str(error)
        raise ConfigError(f"env_id {env_id} needs a package that is not installed: {remedy}") from error
    except Exception as error:
        given = f" with {dict(kwargs)}" if kwargs else ""
        raise ConfigError(f"env_id {env_id}{given} cannot be made: {type(error).__name__}: {error}") from error


def _route_mujoco_warnings(spec: EnvSpec) -> None:
    """Send MuJoCo's warnings to the logger `mujoco`: by itself it writes a file into the working directory.

    One of them comes with every HalfCheetah that is made (`settotalmass`, of Gymnasium's asset) and is of no use.
    """
    if "mujoco" not in str(spec.entry_point):
        return
    try:
        import mujoco  # a third of a second, and only MuJoCo's tasks need it
    except Exception as error:  # whatever the graphics library of MUJOCO_GL raises
        needed = f"MUJOCO_GL must be a way of drawing that this machine has, got {os.environ.get('MUJOCO_GL')!r}"
        raise ConfigError(f"{needed}; unset it, or apt-get install libegl1 libgl1") from error

    logger = logging.getLogger("mujoco")

    def log(message: Any) -> None:
        text = message.decode() if isinstance(message, bytes) else str(message)
        logger.log(logging.DEBUG if "settotalmass" in text else logging.WARNING, text)

    mujoco.set_mju_user_warning(log)


class GymnasiumEnvs:
    """MemberEnvs over `gymnasium.make`, an instance a row, made when the row is first reset.

    Args:
        task: what `describe` returned.
        n: number of rows.
    """

    def __init__(self, task: Task, n: int) -> None:
        self.task = task
        self._envs: list[gymnasium.Env[Any, Any] | None] = [None] * n
        self._elapsed = [0] * n

    def __len__(self) -> int:
        return len(self._envs)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> NDArray[np.float32]:
        """Start an episode in each of `rows` from its seed; return the observations (k, o)."""
        observations = np.empty((len(rows), self.task.observation_size), np.float32)
        for index, (row, seed) in enumerate(zip(rows, seeds, strict=True)):
            environment = self._envs[row] or make_one(self.task.env_id, self.task.env_kwargs)
            self._envs[row], self._elapsed[row] = environment, 0
            try:
                observation, _ = environment.reset(seed=int(seed))
                observations[index] = np.ravel(observation)
            except Exception as error:
                raise self._fault(row, "reset", error) from error
        require_finite(self.task, rows, [self._elapsed[row] for row in rows], observations)
        return observations

    def step(self, rows: Sequence[int], actions: NDArray[np.float32]) -> Stepped:
        """Step each of `rows` with its action (k, a), in [-1, 1] or the index of a choice."""
        k = len(rows)
        observations = np.empty((k, self.task.observation_size), np.float32)
        rewards = np.empty(k)
        terminated, truncated = np.zeros(k, bool), np.zeros(k, bool)
        scaled = self.task.scale(actions)
        for row in rows:
            if self._envs[row] is None:
                raise RuntimeError(f"row {row} must be reset before it is stepped")
        for index, row in enumerate(rows):
            try:
                observation, rewards[index], terminated[index], truncated[index] = self._step(row, scaled[index])
                observations[index] = np.ravel(observation)
            except Exception as error:
                raise self._fault(row, "step", error) from error
        require_finite(self.task, rows, [self._elapsed[row] for row in rows], observations, rewards)
        return observations, rewards, terminated, truncated

    def _step(self, row: int, action: NDArray[Any]) -> tuple[Any, Any, bool, bool]:
        self._elapsed[row] += 1
        environment = cast("gymnasium.Env[Any, Any]", self._envs[row])
        shape = environment.action_space.shape or ()
        given = action.reshape(shape) if self.task.choices is None else action[0]
        observation, reward, terminated, truncated, _ = environment.step(given)
        return observation, reward, terminated, truncated

    def _fault(self, row: int, call: str, error: Exception) -> EnvironmentFault:
        return fault(self.task, row, self._elapsed[row], f"{call} raised {type(error).__name__}: {error}")

    def close(self) -> None:
        """Close every environment."""
        for environment in self._envs:
            if environment is not None:
                environment.close()
        self._envs = [None] * len(self._envs)
