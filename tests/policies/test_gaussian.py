"""The Gaussian policy against torch.distributions and separate modules."""

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.nn.utils import vector_to_parameters

from evorl.policies import MLP, GaussianNetwork, GaussianPolicy, NetworkConfig
from evorl.population import Identities, Population
from evorl.streams import RowStreams, Streams

N, BATCH, OBSERVATIONS, ACTIONS = 3, 5, 4, 2
NETWORK = GaussianNetwork(MLP(OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=(6,), activation="tanh")), ACTIONS)
POLICY = GaussianPolicy(NETWORK)


def normals(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def rows() -> Tensor:
    """Return parameters whose standard deviations differ by row and coordinate."""
    params = NETWORK.init(Streams(0).rows("initialise", range(N)))
    params[:, -ACTIONS:] = normals(N, ACTIONS)
    return params


def plain(row: Tensor, observations: Tensor) -> Any:
    """Return the distribution of one member as modules and torch.distributions make it."""
    module = nn.Sequential(nn.Linear(OBSERVATIONS, 6), nn.Tanh(), nn.Linear(6, ACTIONS))
    vector_to_parameters(row[:-ACTIONS], module.parameters())
    return Independent(Normal(module(observations), row[-ACTIONS:].exp()), 1)


def streams(n: int = N) -> RowStreams:
    return Streams(1).rows("explore", range(n))


def test_log_density_and_entropy_are_those_of_torch() -> None:
    params, seen, actions = rows(), normals(N, BATCH, OBSERVATIONS), normals(N, BATCH, ACTIONS) * 3
    log_prob, entropy = POLICY.log_prob(params, seen, actions), POLICY.entropy(params, seen)
    assert log_prob.shape == entropy.shape == (N, BATCH)
    for row in range(N):
        expected = plain(params[row], seen[row])
        torch.testing.assert_close(log_prob[row], expected.log_prob(actions[row]))
        torch.testing.assert_close(entropy[row], expected.entropy())


def test_their_gradients_are_those_of_torch() -> None:
    params, seen, actions = rows().requires_grad_(), normals(N, BATCH, OBSERVATIONS), normals(N, BATCH, ACTIONS)
    total = (POLICY.log_prob(params, seen, actions) + 0.3 * POLICY.entropy(params, seen)).sum()
    (gradient,) = torch.autograd.grad(total, params)
    for row in range(N):
        module = nn.Sequential(nn.Linear(OBSERVATIONS, 6), nn.Tanh(), nn.Linear(6, ACTIONS))
        vector_to_parameters(params[row, :-ACTIONS].detach().clone(), module.parameters())
        log_std = params[row, -ACTIONS:].detach().clone().requires_grad_()
        law: Any = Independent(Normal(module(seen[row]), log_std.exp()), 1)
        torch.autograd.backward((law.log_prob(actions[row]) + 0.3 * law.entropy()).sum())
        grads = [param.grad for param in module.parameters()] + [log_std.grad]
        expected = torch.cat([grad.flatten() for grad in grads if grad is not None])
        torch.testing.assert_close(gradient[row], expected, rtol=1e-4, atol=1e-5)


def test_a_row_ends_with_the_logarithms_of_its_standard_deviations() -> None:
    last = NETWORK.layout[-1]
    assert (last.name, last.slice, last.shape, last.kind) == ("log_std", slice(44, 46), (ACTIONS,), "bias")
    assert NETWORK.size == 46
    stops = [0, *(block.slice.stop for block in NETWORK.layout)]
    assert [block.slice.start for block in NETWORK.layout] == stops[:-1], "blocks stand one behind another"
    torch.testing.assert_close(NETWORK.log_std(rows()), rows()[:, 44:])


def test_a_new_row_has_standard_deviations_of_one_and_weights_of_its_own() -> None:
    params = NETWORK.init(Streams(0).rows("initialise", range(N)))
    assert not params[:, -ACTIONS:].any()
    assert (params[:, :-ACTIONS].std(0) > 0).all()


def test_without_streams_a_member_acts_by_its_mean() -> None:
    params, seen = rows(), normals(N, OBSERVATIONS)
    members = Population.fresh(params, Identities(), "initial")
    actions = POLICY.act(members, seen)
    for row in range(N):
        torch.testing.assert_close(actions[row], plain(params[row], seen[row]).mean)


def test_a_drawn_action_is_the_mean_and_each_members_own_normals_times_its_deviation() -> None:
    members, seen = Population.fresh(rows(), Identities(), "initial"), normals(N, OBSERVATIONS)
    drawn = POLICY.act(members, seen, streams())
    expected = POLICY.act(members, seen) + rows()[:, -ACTIONS:].exp() * streams().normal(ACTIONS)
    torch.testing.assert_close(drawn, expected)
    assert drawn.dtype == torch.float32
    alone = POLICY.act(members[[1]], seen[[1]], streams()[[1]])
    torch.testing.assert_close(alone[0], drawn[1])


def test_draws_follow_the_law_and_are_not_clipped() -> None:
    params = rows()[:1]
    params[:, -ACTIONS:] = torch.tensor([[1.5, -1.0]])
    member, seen = Population.fresh(params, Identities(), "initial"), normals(1, OBSERVATIONS).expand(500, -1)
    drawn, mean = POLICY.act(member, seen, streams(500)), POLICY.act(member, seen[:1])[0]
    for coordinate, scale in enumerate((1.5, -1.0)):
        law = stats.norm(mean[coordinate].item(), torch.tensor(scale).exp().item())
        assert stats.kstest(drawn[:, coordinate].numpy(), law.cdf).pvalue > 0.01
    assert (drawn[:, 0].abs() > 1).float().mean() > 0.5


@pytest.mark.parametrize("noisy", [False, True])
def test_one_row_serves_many_observations(noisy: bool) -> None:
    member, seen = Population.fresh(rows()[:1], Identities(), "initial"), normals(N, OBSERVATIONS)
    together = POLICY.act(member, seen, streams() if noisy else None)
    apart = POLICY.act(member[[0] * N], seen, streams() if noisy else None)
    torch.testing.assert_close(together, apart)
    batch = normals(N, BATCH, OBSERVATIONS)
    torch.testing.assert_close(POLICY.entropy(rows()[:1], batch), POLICY.entropy(rows()[[0] * N], batch))
