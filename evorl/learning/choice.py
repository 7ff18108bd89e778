"""The choice of a learner by its settings: `learner:td3` or `learner:ddpg` on the command line."""

from __future__ import annotations

from typing import Annotated

import tyro

from evorl.learning.actor_critic import ActorCritic
from evorl.learning.ddpg import DDPG, DDPGConfig
from evorl.learning.td3 import TD3, TD3Config
from evorl.policies import MLP
from evorl.task import Task

AnyLearnerConfig = (
    Annotated[TD3Config, tyro.conf.subcommand("td3")] | Annotated[DDPGConfig, tyro.conf.subcommand("ddpg")]
)


def make_learner(task: Task, actor: MLP, config: TD3Config | DDPGConfig) -> ActorCritic:
    """Return the learner that `config` is of.

    Args:
        task: sizes of observation and action.
        actor: the policy's network.
        config: its settings.
    """
    return TD3(task, actor, config) if isinstance(config, TD3Config) else DDPG(task, actor, config)
