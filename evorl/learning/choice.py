"""The choice of a learner by its settings: `learner:td3` or `learner:ddpg` on the command line."""

from __future__ import annotations

from typing import Annotated

import tyro

from evorl.learning.actor_critic import ActorCritic
from evorl.learning.ddpg import DDPG, DDPGConfig
from evorl.learning.td3 import TD3, TD3Config
from evorl.policies import MLP, DeterministicPolicy, NetworkConfig, Policy
from evorl.task import Task

#: Learners of deterministic policies, which hybrids of episodes and gradients are made of.
DeterministicLearnerConfig = (
    Annotated[TD3Config, tyro.conf.subcommand("td3")] | Annotated[DDPGConfig, tyro.conf.subcommand("ddpg")]
)
AnyLearnerConfig = DeterministicLearnerConfig


def make_learner(task: Task, actor: MLP, config: TD3Config | DDPGConfig) -> ActorCritic:
    """Return the learner that `config` is of.

    Args:
        task: sizes of observation and action.
        actor: the policy's network.
        config: its settings.
    """
    return TD3(task, actor, config) if isinstance(config, TD3Config) else DDPG(task, actor, config)


def make_policy(task: Task, network: NetworkConfig, config: AnyLearnerConfig) -> Policy:
    """Return the policy, without exploration, that the learner of `config` trains."""
    return DeterministicPolicy(MLP(task.observation_size, task.action_size, network, output="tanh"))
