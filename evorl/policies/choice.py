"""The policy of a task, by the kind of learner that is to train it."""

from __future__ import annotations

from evorl.policies.categorical import CategoricalPolicy
from evorl.policies.gaussian import GaussianNetwork, GaussianPolicy
from evorl.policies.module import ModuleNetwork
from evorl.policies.network import MLP, Network, NetworkConfig
from evorl.policies.policy import DeterministicPolicy
from evorl.policies.squashed import SquashedGaussianPolicy
from evorl.policies.stochastic import StochasticPolicy
from evorl.task import Task


def deterministic_policy(task: Task, network: NetworkConfig, actor: str = "") -> DeterministicPolicy:
    """Return a policy of continuous actions, a tanh at its end, without exploration.

    Args:
        task: sizes of observation and action.
        network: the hidden layers of a multilayer perceptron.
        actor: a module of the user's in its place, `module:class`.

    Raises:
        ConfigError: the task has discrete actions, or the user's module cannot be used.
    """
    task.require_continuous()
    inputs, outputs = task.observation_size, task.action_size
    if actor:
        return DeterministicPolicy(ModuleNetwork(actor, inputs, outputs, bounded=True))
    return DeterministicPolicy(MLP(inputs, outputs, network, output="tanh"))


def squashed_policy(task: Task, network: NetworkConfig, actor: str = "") -> SquashedGaussianPolicy:
    """Return a squashed Gaussian policy of continuous actions; the arguments are those of `deterministic_policy`.

    Raises:
        ConfigError: the task has discrete actions, or the user's module cannot be used.
    """
    task.require_continuous()
    return SquashedGaussianPolicy(_linear(task.observation_size, 2 * task.action_size, network, actor))


def stochastic_policy(task: Task, network: NetworkConfig, actor: str = "") -> StochasticPolicy:
    """Return a Gaussian policy of continuous actions or, where they are discrete, a categorical one.

    The arguments are those of `deterministic_policy`.

    Raises:
        ConfigError: the user's module cannot be used.
    """
    if task.choices is None:
        mean = _linear(task.observation_size, task.action_size, network, actor)
        return GaussianPolicy(GaussianNetwork(mean, task.action_size))
    return CategoricalPolicy(_linear(task.observation_size, task.choices, network, actor))


def _linear(inputs: int, outputs: int, network: NetworkConfig, actor: str) -> Network:
    return ModuleNetwork(actor, inputs, outputs) if actor else MLP(inputs, outputs, network)
