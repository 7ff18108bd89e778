"""Derivatives that are written out, against autograd on the same operations one by one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from evorl.policies import MLP, BranchedCritic, Ensemble, Network, NetworkConfig
from evorl.policies.chain import Activation, LayerNorm
from evorl.streams import Streams

N, BATCH, OBSERVATIONS, ACTIONS = 3, 16, 5, 2
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "identity": lambda hidden: hidden,
}
NORMS: list[LayerNorm] = ["none", "torch", "unbiased"]


class OneLinear(torch.autograd.Function):
    """One layer as one node; the gradient that torch has for `baddbmm` multiplies in another order."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        return torch.baddbmm(bias[:, None], hidden, weight.mT)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden, weight = ctx.saved_tensors
        return torch.bmm(gradient, weight), torch.bmm(gradient.mT, hidden), gradient.sum(1)


def linear(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    output: Tensor = OneLinear.apply(hidden, weight, bias)  # type: ignore[no-untyped-call]
    return output


def norm(hidden: Tensor, gain: Tensor, shift: Tensor, kind: LayerNorm) -> Tensor:
    centred = hidden - hidden.mean(-1, keepdim=True)
    if kind == "unbiased":
        scaled = centred / ((centred.square().sum(-1, keepdim=True) / (hidden.shape[-1] - 1)).sqrt() + 1e-6)
    else:
        scaled = centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + 1e-5)
    return gain[:, None] * scaled + shift[:, None]


def plain_mlp(network: MLP, output: Activation, params: Tensor, inputs: Tensor) -> Tensor:
    config = network.config
    tensors = iter([params[:, block.slice].reshape(len(params), *block.shape) for block in network.layout])
    for _ in config.hidden_sizes:
        inputs = linear(inputs, next(tensors), next(tensors))
        if config.layer_norm != "none":
            inputs = norm(inputs, next(tensors), next(tensors), config.layer_norm)
        inputs = ACTIVATIONS[config.activation](inputs)
    return ACTIVATIONS[output](linear(inputs, next(tensors), next(tensors)))


def plain_branched(critic: BranchedCritic, params: Tensor, inputs: Tensor) -> Tensor:
    w_s, b_s, w_a, b_a, w_2, b_2, gain, shift, w_3, b_3 = (
        params[:, block.slice].reshape(len(params), *block.shape) for block in critic.layout
    )
    branches = linear(inputs[..., :OBSERVATIONS], w_s, b_s), linear(inputs[..., OBSERVATIONS:], w_a, b_a)
    joined = norm(linear(functional.elu(torch.cat(branches, -1)), w_2, b_2), gain, shift, "unbiased")
    return linear(functional.elu(joined), w_3, b_3)


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
    assert_equal(network, lambda p, x: plain_mlp(network, output, p, x), *leaves(network, OBSERVATIONS))


@pytest.mark.parametrize("n", [1, N])
def test_a_branched_critic_has_the_derivatives_of_its_operations(n: int) -> None:
    critic = BranchedCritic(OBSERVATIONS, ACTIONS, (8, 16))
    assert_equal(critic, lambda p, x: plain_branched(critic, p, x), *leaves(critic, OBSERVATIONS + ACTIONS, n))


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
    twice = plain_mlp(network, "identity", params, plain_mlp(network, "identity", params, inputs))
    torch.testing.assert_close(found, torch.autograd.grad(twice.square().sum(), params)[0])


def test_nothing_given_is_written_to() -> None:
    twins = Ensemble(MLP(OBSERVATIONS, 1, NetworkConfig(hidden_sizes=(8,), layer_norm="torch"), "tanh"), 2)
    params = twins.init(Streams(0).rows("initialise", range(N))).requires_grad_()
    inputs, weights = torch.ones(N, BATCH, OBSERVATIONS), torch.ones(N, 2, BATCH, 1)
    before = params.detach().clone()
    torch.autograd.grad(twins(params, inputs), params, weights)
    assert torch.equal(params.detach(), before)
    assert bool((inputs == 1).all())
    assert bool((weights == 1).all())
