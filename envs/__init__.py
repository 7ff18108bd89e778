"""Environments: one a member, stepped only when named, reset only with a seed."""

from evorl.envs import analytic as _analytic  # registers the ids evorl/...
from evorl.envs.gymnasium_envs import GymnasiumEnvs, describe
from evorl.envs.member_envs import MemberEnvs

_analytic.register()

__all__ = ["GymnasiumEnvs", "MemberEnvs", "describe"]
