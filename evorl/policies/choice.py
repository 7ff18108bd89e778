"""The policy of a task, by the kind of learner that is to train it."""

from __future__ import annotations

from evorl.policies.categorical import CategoricalPolicy
from evorl.policies.gaussian import GaussianNetwork, GaussianPolicy
from evorl.policies.network import MLP, NetworkConfig
from evorl.policies.policy import DeterministicPolicy
from evorl.policies.stochastic import StochasticPolicy
from evorl.task import Task


def deterministic_policy(task: Task, network: NetworkConfig) -> DeterministicPolicy:
    """Return a policy of continuous actions, a tanh at its end, without exploration.

    Raises:
        ConfigError: the task has discrete actions.
    """
    task.require_continuous()
    return DeterministicPolicy(MLP(task.observation_size, task.action_size, network, output="tanh"))


def stochastic_policy(task: Task, network: NetworkConfig) -> StochasticPolicy:
    """Return a Gaussian policy of continuous actions or, where they are discrete, a categorical one."""
    if task.choices is None:
        return GaussianPolicy(GaussianNetwork(task.observation_size, task.action_size, network))
    return CategoricalPolicy(MLP(task.observation_size, task.choices, network))
