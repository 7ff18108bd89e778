"""Environments: one a member, stepped only when named, reset only with a seed."""

from evorl.envs import analytic as _analytic  # registers the ids evorl/...
from evorl.envs import swing_up as _swing_up
from evorl.envs.delayed import DelayedReward
from evorl.envs.gymnasium_envs import GymnasiumEnvs, describe
from evorl.envs.member_envs import MemberEnvs
from evorl.envs.swing_up import SWING_UP, SwingUpEnvs
from evorl.task import Task

_analytic.register()
_swing_up.register()

__all__ = ["DelayedReward", "GymnasiumEnvs", "MemberEnvs", "SwingUpEnvs", "describe", "make"]


def make(task: Task, n: int) -> MemberEnvs:
    """Return `n` environments of a task, on the back end that fits it; each is made when its row is first reset."""
    envs: MemberEnvs = SwingUpEnvs(task, n) if task.env_id == SWING_UP else GymnasiumEnvs(task, n)
    return DelayedReward(envs, n, task.reward_delay) if task.reward_delay > 1 else envs
