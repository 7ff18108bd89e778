"""The deterministic policy: what it does without noise, and with it."""

import pytest
import torch
from scipy import stats
from torch import Tensor

from evorl.policies import MLP, DeterministicPolicy, NetworkConfig, new_normaliser, normalise, update_normaliser_
from evorl.population import Identities, Population
from evorl.streams import RowStreams, Streams

NETWORK = MLP(3, 2, NetworkConfig(hidden_sizes=(8,)), output="tanh")


def members(n: int) -> Population:
    return Population.fresh(NETWORK.init(Streams(0).rows("initialise", range(n))), Identities(), "initial")


def observations(n: int) -> Tensor:
    return torch.linspace(-1, 1, 3 * n).view(n, 3)


def noise_streams(n: int, seed: int = 1) -> RowStreams:
    return Streams(seed).rows("explore", range(n))


def test_without_streams_a_member_acts_by_its_network_alone() -> None:
    actions = DeterministicPolicy(NETWORK, exploration_noise=5.0).act(members(4), observations(4))
    for row in range(4):
        alone = NETWORK(members(4).params[row : row + 1], observations(4)[None, row : row + 1])
        torch.testing.assert_close(actions[row], alone[0, 0])


def test_noise_is_each_members_own_normal_times_its_standard_deviation() -> None:
    policy = DeterministicPolicy(NETWORK, exploration_noise=0.01)
    noise = policy.act(members(4), observations(4), noise_streams(4)) - policy.act(members(4), observations(4))
    torch.testing.assert_close(noise, 0.01 * noise_streams(4).normal(2), rtol=0, atol=1e-6)


def test_noise_has_the_law_that_was_asked_for() -> None:
    policy, streams = DeterministicPolicy(NETWORK, exploration_noise=0.1), noise_streams(2)
    plain = policy.act(members(2), observations(2))
    noise = torch.cat([policy.act(members(2), observations(2), streams) - plain for _ in range(1_000)])
    assert stats.kstest(noise.flatten().numpy(), "norm", args=(0, 0.1)).pvalue > 0.01


def test_actions_with_noise_are_clipped_to_the_range() -> None:
    streams = noise_streams(50)
    actions = DeterministicPolicy(NETWORK, exploration_noise=100.0).act(members(50), observations(50), streams)
    assert actions.abs().max() == 1
    assert (actions.abs() == 1).float().mean() > 0.9


def test_one_member_acts_on_many_observations_with_a_stream_for_each() -> None:
    policy, one = DeterministicPolicy(NETWORK, exploration_noise=0.1), members(1)
    copies = one[[0] * 5]
    for streams in (None, noise_streams(5)):
        again = noise_streams(5) if streams else None
        torch.testing.assert_close(
            policy.act(one, observations(5), streams), policy.act(copies, observations(5), again)
        )


@pytest.mark.parametrize("noisy", [False, True])
def test_acting_builds_no_graph_and_changes_nothing(noisy: bool) -> None:
    policy, some = DeterministicPolicy(NETWORK, exploration_noise=0.5), members(3)
    some = some.with_params(some.params.clone().requires_grad_())
    params, seen = some.params.detach().clone(), observations(3)
    actions = policy.act(some, seen, noise_streams(3) if noisy else None)
    assert not actions.requires_grad
    assert torch.equal(some.params.detach(), params)
    assert torch.equal(seen, observations(3))


def test_a_members_own_scale_of_noise_comes_before_that_of_the_policy() -> None:
    own = members(4).with_traits(**{"h.exploration_noise": torch.tensor([0.0, 0.01, 0.02, 0.05], dtype=torch.float64)})
    policy = DeterministicPolicy(NETWORK, exploration_noise=5.0)
    noise = policy.act(own, observations(4), noise_streams(4)) - policy.act(own, observations(4))
    expected = torch.tensor([[0.0], [0.01], [0.02], [0.05]]) * noise_streams(4).normal(2)
    torch.testing.assert_close(noise, expected, rtol=0, atol=1e-6)
    assert noise.dtype == torch.float32


@pytest.mark.parametrize("noisy", [False, True])
def test_a_member_with_a_normaliser_acts_on_its_normalised_observation(noisy: bool) -> None:
    traits = new_normaliser(4, 3)
    update_normaliser_(traits, torch.stack([observations(4), 2 + observations(4)], 1), torch.ones(4, 2))
    policy = DeterministicPolicy(NETWORK, exploration_noise=0.1)
    actions = policy.act(members(4).with_traits(**traits), observations(4), noise_streams(4) if noisy else None)
    seen = normalise(traits, observations(4))
    assert torch.equal(actions, policy.act(members(4), seen, noise_streams(4) if noisy else None))
    assert not torch.equal(seen, observations(4))
