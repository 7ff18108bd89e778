"""Environments: one a member, stepped only when named, reset only with a seed."""

import logging
from functools import cache

from evorl.envs import analytic as _analytic  # registers the ids evorl/...
from evorl.envs import swing_up as _swing_up
from evorl.envs.delayed import DelayedReward
from evorl.envs.gymnasium_envs import GymnasiumEnvs, describe
from evorl.envs.member_envs import MemberEnvs
from evorl.envs.mujoco_batch import MujocoBatchEnvs, is_mujoco
from evorl.envs.swing_up import SWING_UP, SwingUpEnvs
from evorl.errors import ConfigError
from evorl.task import Task

_analytic.register()
_swing_up.register()

__all__ = ["DelayedReward", "GymnasiumEnvs", "MemberEnvs", "MujocoBatchEnvs", "SwingUpEnvs", "describe", "make"]


def make(task: Task, n: int) -> MemberEnvs:
    """Return `n` environments of a task, on its back end, or on the fastest that gives the same numbers.

    Raises:
        ConfigError: the task names a back end that cannot step it.
    """
    envs = _auto(task, n) if task.backend == "auto" else _named(task, n)
    return DelayedReward(envs, n, task.delayed_reward) if task.delayed_reward > 1 else envs


def _named(task: Task, n: int) -> MemberEnvs:
    return MujocoBatchEnvs(task, n) if task.backend == "mujoco-batch" else GymnasiumEnvs(task, n)


def _auto(task: Task, n: int) -> MemberEnvs:
    if task.env_id == SWING_UP:
        return SwingUpEnvs(task, n)
    if is_mujoco(task.env_id):
        try:
            return MujocoBatchEnvs(task, n)
        except ConfigError as error:
            _tell(f"{error}; Gymnasium steps it, one row after another")
    return GymnasiumEnvs(task, n)


@cache
def _tell(what: str) -> None:
    """Log it, once a process."""
    logging.getLogger(__name__).warning(what)
