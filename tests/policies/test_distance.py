"""The distance between policies, against the equation by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.utils import vector_to_parameters

from evorl.policies import MLP, NetworkConfig
from evorl.policies.distance import Coordinates, policy_distance
from evorl.streams import Streams

OBSERVATIONS, ACTIONS, BATCH = 3, 4, 7
NETWORK = MLP(OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=(5,)), output="tanh")


def rows(n: int, seed: int = 0) -> Tensor:
    return NETWORK.init(Streams(seed).rows("initialise", range(n)))


def observations(n: int) -> Tensor:
    return torch.randn(n, BATCH, OBSERVATIONS, generator=torch.Generator().manual_seed(1))


def module(row: Tensor) -> nn.Module:
    network = nn.Sequential(nn.Linear(OBSERVATIONS, 5), nn.ReLU(), nn.Linear(5, ACTIONS), nn.Tanh())
    vector_to_parameters(row, network.parameters())
    return network


def test_the_sum_is_the_divergence_of_gaussians_of_unit_width() -> None:
    """So the paper introduces it: the KL divergence of two policies with equal noise of standard deviation 1."""
    params, others, seen = rows(3), rows(3, seed=9), observations(3)
    ours = policy_distance(NETWORK, params, others, seen, "sum")
    assert ours.shape == (3, BATCH)
    for row in range(3):
        pair = [Independent(Normal(module(p[row])(seen[row]), 1.0), 1) for p in (params, others)]
        torch.testing.assert_close(ours[row], kl_divergence(*pair))


def test_the_mean_is_the_sum_over_the_number_of_coordinates() -> None:
    params, others, seen = rows(3), rows(3, seed=9), observations(3)
    averaged = policy_distance(NETWORK, params, others, seen, "mean")
    torch.testing.assert_close(ACTIONS * averaged, policy_distance(NETWORK, params, others, seen, "sum"))


def test_one_row_serves_all() -> None:
    params, one, seen = rows(3), rows(1, seed=9), observations(3)
    ours = policy_distance(NETWORK, params, one, seen, "mean")
    torch.testing.assert_close(ours, policy_distance(NETWORK, params, one.expand(3, -1), seen, "mean"))


@pytest.mark.parametrize("coordinates", ["sum", "mean"])
def test_equal_policies_are_at_no_distance(coordinates: Coordinates) -> None:
    assert not policy_distance(NETWORK, rows(3), rows(3), observations(3), coordinates).any()


@settings(deadline=None)
@given(seed=st.integers(0, 1_000), scale=st.floats(0.1, 1_000))
def test_the_mean_is_at_least_0_and_at_most_2(seed: int, scale: float) -> None:
    params = scale * rows(3, seed)
    distance = policy_distance(NETWORK, params, -params, observations(3), "mean")
    assert distance.min() >= 0
    assert distance.max() <= 2
