"""The choice of a learner by its settings: `learner:td3`, `learner:ppo` and so on, on the command line."""

from __future__ import annotations

from typing import Annotated

import tyro

from evorl.learning.a2c import A2C, A2CConfig
from evorl.learning.actor_critic import ActorCritic
from evorl.learning.ddpg import DDPG, DDPGConfig
from evorl.learning.ppo import PPO, PPOConfig
from evorl.learning.sac import SAC, SACConfig
from evorl.learning.td3 import TD3, TD3Config
from evorl.policies import (
    Network,
    NetworkConfig,
    Policy,
    StochasticPolicy,
    deterministic_policy,
    squashed_policy,
    stochastic_policy,
)
from evorl.task import Task

#: Learners of deterministic policies, which hybrids of episodes and gradients are made of.
DeterministicLearnerConfig = (
    Annotated[TD3Config, tyro.conf.subcommand("td3")] | Annotated[DDPGConfig, tyro.conf.subcommand("ddpg")]
)
OffPolicyLearnerConfig = DeterministicLearnerConfig | Annotated[SACConfig, tyro.conf.subcommand("sac")]
OnPolicyLearnerConfig = (
    Annotated[A2CConfig, tyro.conf.subcommand("a2c")] | Annotated[PPOConfig, tyro.conf.subcommand("ppo")]
)
AnyLearnerConfig = OffPolicyLearnerConfig | OnPolicyLearnerConfig


def make_policy(task: Task, network: NetworkConfig, config: AnyLearnerConfig, actor: str = "") -> Policy:
    """Return the policy that the learner of `config` trains.

    Args:
        task: sizes of observation and action.
        network: the hidden layers.
        config: settings of the learner.
        actor: a module of the user's in place of `network`, `module:class`.

    Raises:
        ConfigError: the task has discrete actions, and the learner cannot choose; or the module cannot be used.
    """
    if isinstance(config, A2CConfig):
        return stochastic_policy(task, network, actor)
    return (squashed_policy if isinstance(config, SACConfig) else deterministic_policy)(task, network, actor)


def make_learner(task: Task, actor: Network, config: OffPolicyLearnerConfig) -> ActorCritic:
    """Return the learner from a replay that `config` is of.

    Args:
        task: sizes of observation and action.
        actor: the policy's network.
        config: its settings.
    """
    if isinstance(config, SACConfig):
        return SAC(task, actor, config)
    return TD3(task, actor, config) if isinstance(config, TD3Config) else DDPG(task, actor, config)


def make_rollout_learner(task: Task, policy: StochasticPolicy, config: OnPolicyLearnerConfig) -> A2C:
    """Return the learner from rollouts that `config` is of.

    Args:
        task: size of observation.
        policy: what acts.
        config: its settings.
    """
    return PPO(task, policy, config) if isinstance(config, PPOConfig) else A2C(task, policy, config)
