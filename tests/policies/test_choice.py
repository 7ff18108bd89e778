"""The policy of a task."""

import pytest
import torch

from evorl.errors import ConfigError
from evorl.policies import (
    CategoricalPolicy,
    DeterministicPolicy,
    GaussianPolicy,
    NetworkConfig,
    StochasticPolicy,
    deterministic_policy,
    stochastic_policy,
)
from evorl.population import Identities, Population
from evorl.streams import Streams
from evorl.task import Task

BOX = Task("Somewhere-v0", 3, (-2.0, -2.0), (2.0, 2.0), None)
DISCRETE = Task("CartPole-v1", 3, (0.0,), (3.0,), None, choices=4)
NETWORK = NetworkConfig(hidden_sizes=(5,), last_layer_scale=100.0)


def act(policy: DeterministicPolicy | StochasticPolicy, noisy: bool) -> torch.Tensor:
    members = Population.fresh(policy.network.init(Streams(0).rows("initialise", range(50))), Identities(), "initial")
    return policy.act(members, torch.ones(50, 3), Streams(0).rows("explore", range(50)) if noisy else None)


def test_a_deterministic_policy_ends_with_a_tanh() -> None:
    policy = deterministic_policy(BOX, NETWORK)
    assert policy.exploration_noise == 0
    actions = act(policy, noisy=True)
    assert actions.shape == (50, 2)
    assert 0.9 < actions.abs().max() <= 1


def test_a_stochastic_policy_of_a_box_is_a_gaussian_with_a_linear_mean() -> None:
    policy = stochastic_policy(BOX, NETWORK)
    assert isinstance(policy, GaussianPolicy)
    assert act(policy, noisy=False).abs().max() > 2


def test_a_stochastic_policy_of_choices_takes_each_of_them() -> None:
    policy = stochastic_policy(DISCRETE, NETWORK)
    assert isinstance(policy, CategoricalPolicy)
    assert set(act(policy, noisy=True).flatten().tolist()) == {0, 1, 2, 3}
    assert act(policy, noisy=True).shape == (50, 1)


def test_a_deterministic_policy_of_choices_is_refused() -> None:
    got = r"CartPole-v1 with Discrete\(4\)"
    message = rf"^env_id must name a task with Box actions, got {got}; svpg, and the learners a2c and ppo, take both$"
    with pytest.raises(ConfigError, match=message):
        deterministic_policy(DISCRETE, NETWORK)
