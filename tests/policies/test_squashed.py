"""The squashed Gaussian against torch's own transformed distribution."""

from math import pi, sqrt

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from evorl.policies import MLP, NetworkConfig
from evorl.policies.squashed import SquashedGaussianPolicy
from evorl.population import Identities, Population
from evorl.streams import RowStreams, Streams

OBSERVATIONS, ACTIONS, BATCH = 3, 2, 50
NETWORK = MLP(OBSERVATIONS, 2 * ACTIONS, NetworkConfig(hidden_sizes=(8,)))
POLICY = SquashedGaussianPolicy(NETWORK)


def rows(n: int) -> Tensor:
    return NETWORK.init(Streams(0).rows("initialise", range(n)))


def members(n: int) -> Population:
    return Population.fresh(rows(n), Identities(), "initial")


def observations(n: int) -> Tensor:
    return torch.linspace(-1, 1, OBSERVATIONS * n).view(n, OBSERVATIONS)


def explore(n: int, seed: int = 1) -> RowStreams:
    return Streams(seed).rows("explore", range(n))


def normals(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def constant(mean: list[float], log_std: list[float]) -> Tensor:
    """Return a row (1, d) whose Gaussian is the same whatever is observed."""
    params = torch.zeros(1, NETWORK.size)
    params[0, NETWORK.layout[-1].slice] = torch.tensor([*mean, *log_std])
    return params


def squashed(mean: Tensor, std: Tensor) -> TransformedDistribution:
    return TransformedDistribution(Normal(mean, std), [TanhTransform(cache_size=1)])


def density_of(distribution: TransformedDistribution, actions: Tensor) -> Tensor:
    log_prob: Tensor = distribution.log_prob(actions)  # type: ignore[no-untyped-call]
    return log_prob.sum(-1)


def test_actions_and_density_are_those_of_torchs_distribution() -> None:
    params, seen, drawn = rows(4), normals(4, BATCH, OBSERVATIONS), normals(4, BATCH, ACTIONS)
    actions, log_prob = POLICY.sample(params, seen, drawn)
    mean, log_std = NETWORK(params, seen).chunk(2, dim=-1)
    other = squashed(mean, log_std.exp())
    expected = other.transforms[0](mean + log_std.exp() * drawn)
    torch.testing.assert_close(actions, expected)
    torch.testing.assert_close(log_prob, density_of(other, expected))
    assert log_prob.shape == (4, BATCH)


def test_gradients_are_those_of_the_reparametrised_sample() -> None:
    """Of both results, weighted so that no two samples count the same; torch differentiates through its own sample."""
    params, seen, drawn = rows(3), normals(3, BATCH, OBSERVATIONS), normals(3, BATCH, ACTIONS)
    weights = torch.linspace(1, 2, BATCH)
    ours, theirs = params.clone().requires_grad_(), params.clone().requires_grad_()
    actions, log_prob = POLICY.sample(ours, seen, drawn)
    mean, log_std = NETWORK(theirs, seen).chunk(2, dim=-1)
    other = squashed(mean, log_std.exp())
    expected = other.transforms[0](mean + log_std.exp() * drawn)
    for of_actions, of_density in ((1.0, 0.0), (0.0, 1.0)):
        loss = of_actions * (actions.sum(-1) * weights).sum() + of_density * (log_prob * weights).sum()
        again = of_actions * (expected.sum(-1) * weights).sum()
        again = again + of_density * (density_of(other, expected) * weights).sum()
        (gradient,) = torch.autograd.grad(loss, ours, retain_graph=True)
        (reference,) = torch.autograd.grad(again, theirs, retain_graph=True)
        torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-4)
        assert reference.abs().max() > 1


def test_the_density_integrates_to_one() -> None:
    mean, std = 0.4, 0.7
    params = constant([mean, 0.0], [torch.tensor(std).log().item(), 0.0])

    def density(action: float) -> float:
        """Return that of the first coordinate: the second is drawn at its mean, where its density is 1/sqrt(2 pi)."""
        drawn = torch.tensor([[[(torch.atanh(torch.tensor(action)).item() - mean) / std, 0.0]]])
        _, log_prob = POLICY.sample(params, torch.zeros(1, 1, OBSERVATIONS), drawn)
        return float(log_prob.exp()) * sqrt(2 * pi)

    whole, _ = integrate.quad(density, -1 + 1e-7, 1 - 1e-7, epsabs=1e-4)
    assert whole == pytest.approx(1, abs=1e-3)


def test_a_sample_far_out_has_a_finite_density_and_gradient() -> None:
    params = constant([60.0, -60.0], [0.0, 0.0]).requires_grad_()
    actions, log_prob = POLICY.sample(params, torch.zeros(1, 1, OBSERVATIONS), torch.zeros(1, 1, ACTIONS))
    assert actions.tolist() == [[[1.0, -1.0]]]
    # log(1 - tanh^2 u) = log 4 - 2 |u| there, and the Gaussian is at its mode
    expected = -torch.log(torch.tensor(2 * torch.pi)) - 2 * (torch.log(torch.tensor(4.0)) - 120)
    torch.testing.assert_close(log_prob[0, 0], expected)
    (gradient,) = torch.autograd.grad(log_prob.sum(), params)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("log_std", "used"), [(-30.0, -20.0), (5.0, 2.0)])
def test_the_standard_deviation_is_clamped(log_std: float, used: float) -> None:
    drawn, seen = normals(1, BATCH, ACTIONS), torch.zeros(1, BATCH, OBSERVATIONS)
    for left, right in zip(
        POLICY.sample(constant([0.1, -0.1], [log_std] * 2), seen, drawn),
        POLICY.sample(constant([0.1, -0.1], [used] * 2), seen, drawn),
        strict=True,
    ):
        assert torch.equal(left, right)


def test_without_streams_a_member_acts_by_its_mean() -> None:
    expected = torch.tanh(NETWORK(rows(4), observations(4)[:, None])[:, 0, :ACTIONS])
    assert torch.equal(POLICY.act(members(4), observations(4)), expected)


def test_with_streams_a_member_acts_by_a_sample_of_its_own_stream() -> None:
    expected, _ = POLICY.sample(rows(4), observations(4)[:, None], explore(4).normal(1, ACTIONS))
    torch.testing.assert_close(POLICY.act(members(4), observations(4), explore(4)), expected[:, 0])
    alone = POLICY.act(members(4)[[2]], observations(4)[[2]], explore(4)[[2]])
    torch.testing.assert_close(alone[0], expected[2, 0])


@pytest.mark.parametrize("explores", [False, True])
def test_a_member_acts_on_observations_normalised_by_its_traits(explores: bool) -> None:
    mean, variance = torch.full((2, OBSERVATIONS), 3.0), torch.tensor([[4.0], [0.25]]).expand(2, OBSERVATIONS)
    statistics = {"normaliser.mean": mean, "normaliser.variance": variance, "normaliser.count": torch.ones(2)}
    statistics = {name: trait.double() for name, trait in statistics.items()}
    streams, again = (explore(2), explore(2)) if explores else (None, None)
    seen = (observations(2) - 3) / torch.tensor([[2.0], [0.5]])
    actions = POLICY.act(members(2).with_traits(**statistics), observations(2), streams)
    torch.testing.assert_close(actions, POLICY.act(members(2), seen, again))


def test_exploring_actions_have_the_law_of_the_squashed_gaussian() -> None:
    one = members(1).with_params(constant([0.3, -0.5], [-0.5, 0.2]))
    streams = explore(1)
    actions = torch.cat([POLICY.act(one, torch.zeros(1, OBSERVATIONS), streams) for _ in range(2_000)])
    for column, mean, log_std in ((0, 0.3, -0.5), (1, -0.5, 0.2)):
        before = torch.atanh(actions[:, column].double()).numpy()
        assert stats.kstest(before, "norm", args=(mean, torch.tensor(log_std).exp().item())).pvalue > 0.01


@pytest.mark.parametrize("explores", [False, True])
def test_one_member_acts_on_many_observations_with_a_stream_for_each(explores: bool) -> None:
    one = members(1)
    streams, again = (explore(5), explore(5)) if explores else (None, None)
    copies = POLICY.act(one[[0] * 5], observations(5), again)
    torch.testing.assert_close(POLICY.act(one, observations(5), streams), copies)


@pytest.mark.parametrize("explores", [False, True])
def test_acting_builds_no_graph_and_changes_nothing(explores: bool) -> None:
    some = members(3)
    some = some.with_params(some.params.clone().requires_grad_())
    params, seen = some.params.detach().clone(), observations(3)
    actions = POLICY.act(some, seen, explore(3) if explores else None)
    assert not actions.requires_grad
    assert torch.equal(some.params.detach(), params)
    assert torch.equal(seen, observations(3))
