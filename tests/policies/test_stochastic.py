"""What stochastic policies share: acting on what the member's own normaliser makes of its observation."""

import pytest
import torch

from evorl.policies import NetworkConfig, StochasticPolicy, new_normaliser, normalise, stochastic_policy
from evorl.policies import update_normaliser_ as update_
from evorl.population import Identities, Population
from evorl.streams import Streams
from evorl.task import Task

TASKS = {
    "gaussian": Task("Somewhere-v0", 3, (-1.0, -1.0), (1.0, 1.0), None),
    "categorical": Task("Somewhere-v0", 3, (0.0,), (6.0,), None, choices=7),
}


def policy_of(kind: str) -> StochasticPolicy:
    return stochastic_policy(TASKS[kind], NetworkConfig(hidden_sizes=(8,), last_layer_scale=20.0))


def members_of(policy: StochasticPolicy) -> Population:
    traits = new_normaliser(4, 3)
    seen = 5 + 3 * torch.randn(4, 20, 3, generator=torch.Generator().manual_seed(0))
    update_(traits, seen, torch.ones(4, 20))
    params = policy.network.init(Streams(0).rows("initialise", range(4)))
    return Population.fresh(params, Identities(), "initial", traits)


OBSERVATIONS = 5 + torch.arange(12.0).view(4, 3)


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("kind", TASKS)
def test_a_member_acts_on_its_normalised_observation(kind: str, noisy: bool) -> None:
    policy = policy_of(kind)
    members = members_of(policy)
    streams = [Streams(1).rows("explore", range(4)) if noisy else None for _ in range(3)]
    actions = policy.act(members, OBSERVATIONS, streams[0])
    bare = members.only_traits("nothing")
    expected = policy.act(bare, normalise(members.traits, OBSERVATIONS), streams[1])
    assert torch.equal(actions, expected)
    assert not torch.equal(actions, policy.act(bare, OBSERVATIONS, streams[2]))


@pytest.mark.parametrize("kind", TASKS)
def test_acting_builds_no_graph_and_changes_nothing(kind: str) -> None:
    policy = policy_of(kind)
    members = members_of(policy)
    members = members.with_params(members.params.clone().requires_grad_())
    seen, count = OBSERVATIONS.clone(), members.traits["normaliser.count"].clone()
    for streams in (None, Streams(1).rows("explore", range(4))):
        assert not policy.act(members, seen, streams).requires_grad
    assert torch.equal(seen, OBSERVATIONS)
    assert torch.equal(members.traits["normaliser.count"], count)


@pytest.mark.parametrize("kind", TASKS)
def test_probabilities_are_of_observations_as_they_are(kind: str) -> None:
    policy = policy_of(kind)
    params, actions = members_of(policy).params, torch.ones(4, 1, TASKS[kind].action_size)
    distribution = policy.distribution(params, OBSERVATIONS[:, None])
    assert torch.equal(policy.log_prob(params, OBSERVATIONS[:, None], actions), distribution.log_prob(actions))
    assert torch.equal(policy.entropy(params, OBSERVATIONS[:, None]), distribution.entropy())
