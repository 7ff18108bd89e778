"""The Ornstein-Uhlenbeck noise against its recursion and its stationary law, and the policy that acts with it."""

import numpy as np
import pytest
import torch
from support import members_of

from evorl.policies import MLP, DeterministicPolicy, NetworkConfig, NoisyPolicy, OrnsteinUhlenbeck, new_normaliser
from evorl.streams import Streams

NETWORK = MLP(3, 2, NetworkConfig(hidden_sizes=(8, 8), activation="tanh"), output="tanh")


def test_each_coordinate_of_each_row_follows_the_recursion() -> None:
    normals = np.random.default_rng(0).standard_normal((50, 3, 2))
    noise = OrnsteinUhlenbeck(3, 2, theta=0.4, sigma=0.7, scale=0.9)
    states = [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    for draw in normals:
        given = noise.step(torch.from_numpy(draw))
        for row in range(3):
            for column in range(2):
                states[row][column] += 0.4 * (0 - states[row][column]) + 0.7 * draw[row, column]
                assert given[row, column].item() == pytest.approx(0.9 * states[row][column], rel=1e-12, abs=1e-14)


def test_the_stationary_law_is_that_of_a_first_order_autoregression() -> None:
    """`x' = (1 - theta) x + sigma z` has the variance `sigma^2 / (1 - (1 - theta)^2)` and correlation 1 - theta."""
    noise, normals = OrnsteinUhlenbeck(4_000, 1), torch.randn(200, 4_000, 1, generator=torch.Generator().manual_seed(0))
    path = [noise.step(draw) for draw in normals]
    last, previous = path[-1], path[-2]
    std = 0.3 * (0.2**2 / (1 - 0.85**2)) ** 0.5
    assert last.std().item() == pytest.approx(std, rel=0.05)
    assert abs(last.mean().item()) < 4 * std / 4_000**0.5
    assert np.corrcoef(last[:, 0], previous[:, 0])[0, 1] == pytest.approx(0.85, abs=0.03)


def test_the_state_goes_on_in_double_precision_from_what_was_saved() -> None:
    normals = torch.randn(40, 2, 3, generator=torch.Generator().manual_seed(1))
    whole, first, second = (OrnsteinUhlenbeck(2, 3) for _ in range(3))
    expected = [whole.step(draw) for draw in normals]
    for draw in normals[:25]:
        first.step(draw)
    saved = first.state_dict()
    kept = saved["state"].clone()
    second.load_state_dict(saved)
    for draw, noise in zip(normals[25:], expected[25:], strict=True):
        assert torch.equal(second.step(draw), noise)
    assert torch.equal(saved["state"], kept), "a saved state does not move on"
    assert kept.dtype == torch.float64


def test_without_streams_the_policy_is_deterministic_and_the_noise_stands_still() -> None:
    noise = OrnsteinUhlenbeck(2, 2)
    members = members_of(DeterministicPolicy(NETWORK), 2)
    observations = torch.randn(2, 3, generator=torch.Generator().manual_seed(2))
    actions = NoisyPolicy(NETWORK, noise).act(members, observations)
    assert torch.equal(actions, DeterministicPolicy(NETWORK).act(members, observations))
    assert not noise.state.any()


def test_with_streams_the_noise_is_added_to_the_action_and_the_sum_is_clipped() -> None:
    noise, plain = OrnsteinUhlenbeck(2, 2, scale=2.0), OrnsteinUhlenbeck(2, 2, scale=2.0)
    policy, members = NoisyPolicy(NETWORK, noise), members_of(DeterministicPolicy(NETWORK), 2)
    acting, drawing = Streams(3).rows("explore", [0, 1]), Streams(3).rows("explore", [0, 1])
    clipped = 0
    for step in range(60):
        observations = torch.randn(2, 3, generator=torch.Generator().manual_seed(step))
        actions = policy.act(members, observations, acting)
        added = DeterministicPolicy(NETWORK).act(members, observations).double() + plain.step(drawing.normal(2))
        torch.testing.assert_close(actions.double(), added.clamp(-1, 1), rtol=0, atol=1e-6)
        clipped += int((added.abs() > 1).sum())
        assert actions.dtype == torch.float32
    assert 0 < clipped < 240


def test_noise_that_is_not_clipped_away_is_remembered() -> None:
    """Clipping acts on the action alone: the state goes on as if there were no bounds."""
    noise = OrnsteinUhlenbeck(1, 2, scale=100.0)
    policy, members = NoisyPolicy(NETWORK, noise), members_of(DeterministicPolicy(NETWORK), 1)
    streams, normals = Streams(4).rows("explore", [0]), Streams(4).rows("explore", [0])
    expected = torch.zeros(1, 2, dtype=torch.float64)
    for _ in range(20):
        policy.act(members, torch.zeros(1, 3), streams)
        expected = 0.85 * expected + 0.2 * normals.normal(2).double()
    torch.testing.assert_close(noise.state, expected, rtol=0, atol=1e-12)


def test_a_member_with_a_normaliser_acts_on_its_normalised_observation() -> None:
    members = members_of(DeterministicPolicy(NETWORK), 2).with_traits(**new_normaliser(2, 3))
    members.traits["normaliser.mean"].fill_(4.0)
    policy, seen = NoisyPolicy(NETWORK, OrnsteinUhlenbeck(2, 2)), torch.full((2, 3), 4.5)
    expected = policy.act(members.only_traits("nothing"), torch.full((2, 3), 0.5))
    torch.testing.assert_close(policy.act(members, seen), expected)


def test_rows_that_are_cleared_begin_again() -> None:
    noise = OrnsteinUhlenbeck(3, 2)
    noise.step(torch.ones(3, 2))
    before = noise.state
    noise.clear([0, 2])
    assert noise.state.tolist() == [[0.0, 0.0], before[1].tolist(), [0.0, 0.0]]
