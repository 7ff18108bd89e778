"""Derivatives that are written out, against autograd on the same operations one by one."""

from collections.abc import Callable

import pytest
import torch
from plain_networks import ACTIVATIONS, PlainBranched, PlainMLP
from torch import Tensor

from evorl.policies import MLP, BranchedCritic, Ensemble, Network, NetworkConfig, in_precision, vjp
from evorl.policies.layers import Activation, LayerNorm
from evorl.streams import Streams

N, BATCH, OBSERVATIONS, ACTIONS = 3, 16, 5, 2
NORMS: list[LayerNorm] = ["none", "torch", "unbiased"]


def leaves(network: Network, width: int, n: int = N) -> tuple[Tensor, Tensor]:
    """Return parameters of which none is 0 or 1, and inputs, both of them leaves."""
    generator = torch.Generator().manual_seed(3)
    params = network.init(Streams(0).rows("initialise", range(n)))
    params += 0.1 * torch.randn(params.shape, generator=generator)
    return params.requires_grad_(), torch.randn(n, BATCH, width, generator=generator).requires_grad_()


def assert_equal(network: Network, plain: Callable[[Tensor, Tensor], Tensor], params: Tensor, inputs: Tensor) -> None:
    """Whichever derivatives are wanted, they are equal to the last bit, and so are the outputs."""
    with torch.no_grad():
        assert torch.equal(network(params, inputs), plain(params, inputs))
    for wanted in ([params, inputs], [params], [inputs]):
        given = [leaf if any(leaf is one for one in wanted) else leaf.detach() for leaf in (params, inputs)]
        ours, theirs = network(*given), plain(*given)
        assert torch.equal(ours, theirs)
        weights = torch.arange(1.0, 1 + ours.numel()).view(ours.shape)
        found = torch.autograd.grad((weights * ours).sum(), wanted)
        expected = torch.autograd.grad((weights * theirs).sum(), wanted)
        assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("hidden", [(), (8,), (16, 8)], ids=str)
@pytest.mark.parametrize("output", ["identity", "tanh"])
@pytest.mark.parametrize("layer_norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_mlp_has_the_derivatives_of_its_operations(
    activation: Activation, layer_norm: LayerNorm, output: Activation, hidden: tuple[int, ...]
) -> None:
    network = MLP(
        OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=hidden, activation=activation, layer_norm=layer_norm), output
    )
    assert_equal(network, PlainMLP(network, output), *leaves(network, OBSERVATIONS))


@pytest.mark.parametrize("n", [1, N])
def test_a_branched_critic_has_the_derivatives_of_its_operations(n: int) -> None:
    critic = BranchedCritic(OBSERVATIONS, ACTIONS, (8, 16))
    assert_equal(critic, PlainBranched(critic, OBSERVATIONS), *leaves(critic, OBSERVATIONS + ACTIONS, n))


@pytest.mark.parametrize("layer_norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_derivatives_of_an_mlp_are_differences(activation: Activation, layer_norm: LayerNorm) -> None:
    config = NetworkConfig(hidden_sizes=(4, 3), activation=activation, layer_norm=layer_norm)
    network = MLP(OBSERVATIONS, ACTIONS, config, "tanh")
    params, inputs = (leaf.detach().double().requires_grad_() for leaf in leaves(network, OBSERVATIONS))
    assert torch.autograd.gradcheck(network, (params, inputs))


def test_the_derivatives_of_a_branched_critic_are_differences() -> None:
    critic = BranchedCritic(OBSERVATIONS, ACTIONS, (4, 3))
    params, inputs = (leaf.detach().double().requires_grad_() for leaf in leaves(critic, OBSERVATIONS + ACTIONS))
    assert torch.autograd.gradcheck(critic, (params, inputs))


def test_a_network_that_stands_twice_in_a_loss_has_the_derivatives_of_both() -> None:
    network = MLP(OBSERVATIONS, OBSERVATIONS, NetworkConfig(hidden_sizes=(8,)))
    params, inputs = leaves(network, OBSERVATIONS)
    (found,) = torch.autograd.grad(network(params, network(params, inputs)).square().sum(), params)
    plain = PlainMLP(network)
    twice = plain(params, plain(params, inputs))
    torch.testing.assert_close(found, torch.autograd.grad(twice.square().sum(), params)[0])


def test_rows_whose_entries_lie_apart_are_read_as_they_are() -> None:
    network, inputs = MLP(3, 2, NetworkConfig(hidden_sizes=(7, 5))), torch.randn(4, 6, 3, generator=torch.Generator())
    params = network.init(Streams(0).rows("initialise", range(4)))
    apart = params.T.contiguous().T
    assert apart.stride(1) != 1
    assert torch.equal(network(apart, inputs), network(params, inputs))
    assert torch.equal(vjp(network, apart, inputs)[0], vjp(network, params, inputs)[0])


def test_nothing_given_is_written_to() -> None:
    twins = Ensemble(MLP(OBSERVATIONS, 1, NetworkConfig(hidden_sizes=(8,), layer_norm="torch"), "tanh"), 2)
    params = twins.init(Streams(0).rows("initialise", range(N))).requires_grad_()
    inputs, weights = torch.ones(N, BATCH, OBSERVATIONS), torch.ones(N, 2, BATCH, 1)
    before = params.detach().clone()
    torch.autograd.grad(twins(params, inputs), params, weights)
    assert torch.equal(params.detach(), before)
    assert bool((inputs == 1).all())
    assert bool((weights == 1).all())


def test_a_second_derivative_is_refused() -> None:
    network = MLP(OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=(8,)))
    params, inputs = leaves(network, OBSERVATIONS)
    (gradient,) = torch.autograd.grad(network(params, inputs).square().sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        torch.autograd.backward(gradient.square().sum())


def forms() -> list[tuple[Network, int]]:
    """Return networks that bring their pullback, one that does not, and the widths of their inputs."""
    config = NetworkConfig(hidden_sizes=(8, 6), activation="elu", layer_norm="unbiased")
    mlp, critic = MLP(OBSERVATIONS, ACTIONS, config, "tanh"), BranchedCritic(OBSERVATIONS, ACTIONS, (8, 16))
    return [(mlp, OBSERVATIONS), (critic, OBSERVATIONS + ACTIONS), (in_precision(mlp, "bf16"), OBSERVATIONS)]


@pytest.mark.parametrize("rows", [1, N])
@pytest.mark.parametrize("form", range(3))
def test_a_pullback_is_autograd_to_the_last_bit(form: int, rows: int) -> None:
    """With one row of parameters too, which then serves all inputs."""
    network, width = forms()[form]
    params, inputs = leaves(network, width)[0][:rows].detach().requires_grad_(), leaves(network, width)[1]
    expected = network(params, inputs)
    weights = torch.arange(1.0, 1 + expected.numel()).view(expected.shape)
    of_params, of_inputs = torch.autograd.grad((weights * expected).sum(), [params, inputs])
    outputs, pullback = vjp(network, params.detach(), inputs.detach())
    assert torch.equal(outputs, expected)
    assert torch.equal(pullback.of_params(weights), of_params)
    assert torch.equal(vjp(network, params.detach(), inputs.detach())[1].of_inputs(weights), of_inputs)
    assert (weights == torch.arange(1.0, 1 + expected.numel()).view(expected.shape)).all()


@pytest.mark.parametrize("rows", [1, N])
def test_the_pullbacks_of_twins_are_autograd_to_the_last_bit(rows: int) -> None:
    twins = Ensemble(MLP(OBSERVATIONS, 1, NetworkConfig(hidden_sizes=(8,))), 2)
    params = twins.init(Streams(0).rows("initialise", range(rows))).requires_grad_()
    inputs = torch.randn(N, BATCH, OBSERVATIONS, generator=torch.Generator().manual_seed(3)).requires_grad_()
    both, first = twins(params, inputs), twins.first(params, inputs)
    weights = torch.arange(1.0, 1 + both.numel()).view(both.shape)
    values, of_params = twins.vjp(params.detach(), inputs.detach())
    assert torch.equal(values, both)
    assert torch.equal(of_params(weights), torch.autograd.grad((weights * both).sum(), params)[0])
    found, pullback = twins.first_vjp(params.detach(), inputs.detach())
    assert torch.equal(found, first)
    expected = torch.autograd.grad((weights[:, 0] * first).sum(), inputs)[0]
    assert torch.equal(pullback.of_inputs(weights[:, 0]), expected)
