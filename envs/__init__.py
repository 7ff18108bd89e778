"""Environments: one a member, stepped only when named, reset only with a seed."""

from evorl.envs import analytic as _analytic  # registers the ids evorl/...
from evorl.envs.gymnasium_envs import GymnasiumEnvs, describe
from evorl.envs.member_envs import MemberEnvs
from evorl.task import Task

_analytic.register()

__all__ = ["GymnasiumEnvs", "MemberEnvs", "describe", "make"]


def make(task: Task, n: int) -> MemberEnvs:
    """Return `n` environments of a task, on the back end that fits it; each is made when its row is first reset."""
    return GymnasiumEnvs(task, n)
