"""Stacked networks against lists of torch modules that hold the same numbers."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters

from evorl.errors import ConfigError
from evorl.policies import MLP, Ensemble, NetworkConfig
from evorl.policies.layers import Activation, LayerNorm
from evorl.streams import Streams


class UnbiasedLayerNorm(nn.Module):
    """ERL's: the standard deviation has the divisor n - 1, and epsilon is added to it outside the root."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, hidden: Tensor) -> Tensor:
        width = hidden.shape[-1]
        mean = hidden.sum(-1, keepdim=True) / width
        variance = (hidden - mean).square().sum(-1, keepdim=True) / (width - 1)
        return self.gain * (hidden - mean) / (variance**0.5 + 1e-6) + self.shift


ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "identity": nn.Identity,
}
NORMS: dict[LayerNorm, Callable[[int], nn.Module]] = {"torch": nn.LayerNorm, "unbiased": UnbiasedLayerNorm}


def module(sizes: tuple[int, ...], activation: Activation, norm: LayerNorm, output: Activation) -> nn.Sequential:
    """Return the network layer by layer, whose `parameters()` stand in the order of a row."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(sizes[:-1]):
        layers.append(nn.Linear(width_in, width_out))
        if norm != "none":
            layers.append(NORMS[norm](width_out))
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]), ACTIVATIONS[output]())


def normals(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("hidden", [(7, 5), (6,), ()], ids=str)
@pytest.mark.parametrize("output", ["identity", "tanh"])
@pytest.mark.parametrize("norm", ["none", "torch", "unbiased"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_stacked_networks_equal_a_loop_of_modules_in_value_and_gradient(
    activation: Activation, norm: LayerNorm, output: Activation, hidden: tuple[int, ...]
) -> None:
    network = MLP(3, 2, NetworkConfig(hidden_sizes=hidden, activation=activation, layer_norm=norm), output)
    params, inputs, weights = normals(4, network.size).requires_grad_(), normals(4, 9, 3), normals(4, 9, 2)
    outputs = network(params, inputs)
    (gradient,) = torch.autograd.grad((weights * outputs).sum(), params)
    for row in range(4):
        alone = module((3, *hidden, 2), activation, norm, output)
        vector_to_parameters(params[row].detach(), alone.parameters())
        expected = alone(inputs[row])
        torch.testing.assert_close(outputs[row], expected, rtol=1e-4, atol=1e-5)
        (weights[row] * expected).sum().backward()
        alone_gradient = torch.cat([p.grad.flatten() for p in alone.parameters() if p.grad is not None])
        torch.testing.assert_close(gradient[row], alone_gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["none", "torch", "unbiased"])
def test_one_row_serves_many_inputs(norm: LayerNorm) -> None:
    network = MLP(3, 2, NetworkConfig(hidden_sizes=(7, 5), layer_norm=norm))
    params, inputs = normals(1, network.size), normals(6, 4, 3)
    torch.testing.assert_close(network(params, inputs), network(params.expand(6, -1), inputs))


def test_without_gradient_the_outputs_are_the_same_to_the_last_bit() -> None:
    network = MLP(5, 3, NetworkConfig(hidden_sizes=(17, 9), layer_norm="torch"), output="tanh")
    params, inputs = network.init(Streams(0).rows("initialise", range(4))), torch.randn(4, 1, 5)
    with torch.no_grad():
        plain = network(params, inputs)
    assert not plain.requires_grad
    assert torch.equal(plain, network(params.requires_grad_(), inputs))


def test_a_row_that_is_constant_before_the_norm_stays_finite() -> None:
    for norm in NORMS:
        network = MLP(1, 1, NetworkConfig(hidden_sizes=(4,), layer_norm=norm))
        assert network(torch.zeros(1, network.size), torch.ones(1, 1, 1)).isfinite().all()


@pytest.mark.parametrize("norm", ["none", "unbiased"])
def test_the_layout_names_every_number_of_a_row_once_and_in_order(norm: LayerNorm) -> None:
    network = MLP(3, 2, NetworkConfig(hidden_sizes=(7, 5), layer_norm=norm))
    params = normals(2, network.size)
    named: dict[str, Tensor] = {}
    end = 0
    for block in network.layout:
        assert block.slice.start == end
        named[block.name], end = params[0, block.slice].view(block.shape), block.slice.stop
    assert end == network.size
    alone = module((3, 7, 5, 2), "relu", norm, "identity")
    vector_to_parameters(params[0], alone.parameters())
    linear = [layer for layer in alone if isinstance(layer, nn.Linear)]
    norms = [layer for layer in alone if isinstance(layer, UnbiasedLayerNorm)]
    for number, layer in enumerate(linear, start=1):
        assert torch.equal(named.pop(f"weight{number}"), layer.weight)
        assert torch.equal(named.pop(f"bias{number}"), layer.bias)
    for number, unbiased in enumerate(norms, start=1):
        assert torch.equal(named.pop(f"gain{number}"), unbiased.gain)
        assert torch.equal(named.pop(f"shift{number}"), unbiased.shift)
    assert not named
    kinds = {block.kind for block in network.layout}
    assert kinds == ({"weight", "bias"} if norm == "none" else {"weight", "bias", "norm"})


def test_initial_weights_and_biases_are_uniform_within_the_root_of_the_fan_in() -> None:
    """As `torch.nn.Linear`, whose Kaiming uniform with a = sqrt(5) is the same bound."""
    network = MLP(4, 6, NetworkConfig(hidden_sizes=(16, 9), last_layer_scale=0.1))
    params = network.init(Streams(1).rows("initialise", range(500)))
    bounds = {"1": 4**-0.5, "2": 16**-0.5, "3": 0.1 * 9**-0.5}
    for block in network.layout:
        drawn, bound = params[:, block.slice].flatten().double(), bounds[block.name[-1]]
        assert len(drawn) >= 2_000
        assert drawn.abs().max() <= bound * (1 + 1e-6)
        assert stats.kstest(drawn.numpy(), "uniform", args=(-bound, 2 * bound)).pvalue > 0.001, block.name


def test_initial_weights_of_glorot_are_within_the_root_of_both_fans_and_biases_are_0() -> None:
    """Glorot & Bengio 2010, equation 16: uniform within sqrt(6 / (fan in + fan out))."""
    network = MLP(4, 6, NetworkConfig(hidden_sizes=(16, 9), initial_weights="glorot", last_layer_scale=0.1))
    params = network.init(Streams(1).rows("initialise", range(500)))
    bounds = {"weight1": (6 / 20) ** 0.5, "weight2": (6 / 25) ** 0.5, "weight3": 0.1 * (6 / 15) ** 0.5}
    for block in network.layout:
        drawn = params[:, block.slice].flatten().double()
        if block.kind == "bias":
            assert not drawn.any()
            continue
        bound = bounds[block.name]
        assert drawn.abs().max() <= bound * (1 + 1e-6)
        assert stats.kstest(drawn.numpy(), "uniform", args=(-bound, 2 * bound)).pvalue > 0.001, block.name


def test_a_norm_begins_as_the_identity_and_only_the_last_layer_is_scaled() -> None:
    configs = [NetworkConfig(hidden_sizes=(8,), layer_norm="torch", last_layer_scale=s) for s in (1.0, 0.1)]
    plain, scaled = (MLP(3, 2, config).init(Streams(0).rows("initialise", range(3))) for config in configs)
    for block in MLP(3, 2, configs[0]).layout:
        expected = plain[:, block.slice] * (0.1 if block.name in ("weight2", "bias2") else 1)
        torch.testing.assert_close(scaled[:, block.slice], expected)
        if block.kind == "norm":
            assert (plain[:, block.slice] == float(block.name == "gain1")).all()


def test_a_member_begins_the_same_alone_and_in_a_stack() -> None:
    network = MLP(3, 2, NetworkConfig(hidden_sizes=(8,)))
    stacked = network.init(Streams(0).rows("initialise", range(5)))
    assert torch.equal(network.init(Streams(0).rows("initialise", [3]))[0], stacked[3])
    assert len(set(map(tuple, stacked.tolist()))) == 5


def twins() -> Ensemble:
    return Ensemble(MLP(3, 1, NetworkConfig(hidden_sizes=(7, 5))), copies=2)


def test_an_ensemble_equals_its_networks_one_by_one() -> None:
    ensemble = twins()
    params, inputs = normals(4, ensemble.size), normals(4, 9, 3)
    outputs = ensemble(params, inputs)
    for row in range(4):
        for copy, part in enumerate(params[row].chunk(2)):
            alone = module((3, 7, 5, 1), "relu", "none", "identity")
            vector_to_parameters(part, alone.parameters())
            torch.testing.assert_close(outputs[row, copy], alone(inputs[row]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ensemble.first(params, inputs), outputs[:, 0])


def test_one_row_of_an_ensemble_serves_many_inputs() -> None:
    ensemble = twins()
    params, inputs = normals(1, ensemble.size), normals(6, 4, 3)
    torch.testing.assert_close(ensemble(params, inputs), ensemble(params.repeat(6, 1), inputs))
    torch.testing.assert_close(ensemble.first(params, inputs), ensemble.first(params.expand(6, -1), inputs))


def test_the_networks_of_an_ensemble_begin_differently() -> None:
    ensemble = twins()
    params = ensemble.init(Streams(0).rows("critic", range(3)))
    assert params.shape == (3, 2 * ensemble.network.size)
    assert len(set(map(tuple, params.view(6, -1).tolist()))) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_sizes": (8, 0)}, "hidden_sizes must be at least 1, got 0"),
        ({"hidden_sizes": (8.0,)}, "hidden_sizes must be integers, got 8.0"),
        (
            {"hidden_sizes": (8, 1), "layer_norm": "unbiased"},
            "hidden_sizes with layer_norm unbiased must be at least 2, got 1",
        ),
        ({"last_layer_scale": 0.0}, "last_layer_scale must be above 0, got 0.0"),
        ({"activation": "swish"}, "activation must be one of relu, tanh, .*, got 'swish'"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NetworkConfig(**settings)
