"""Networks in bfloat16 against the same in float32, and against torch's own autocast."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from evorl.policies import MLP, BranchedCritic, Ensemble, ModuleNetwork, Network, NetworkConfig, in_precision
from evorl.policies.layers import Activation, LayerNorm
from evorl.streams import Streams

N, BATCH, OBSERVATIONS, ACTIONS = 3, 32, 5, 2
#: Half the distance of 1 to the next number of bfloat16.
UNIT = 2**-8
#: Roundings that a relative distance may amount to; more where a unit near 0 may fall on the other side of a kink.
SMOOTH, KINKED = 8, 32
NETWORKS: list[tuple[Activation, LayerNorm, int]] = [
    ("relu", "none", KINKED),
    ("tanh", "torch", SMOOTH),
    ("elu", "unbiased", SMOOTH),
]


def leaves(network: Network, width: int = OBSERVATIONS) -> tuple[Tensor, Tensor]:
    params = network.init(Streams(0).rows("initialise", range(N)))
    inputs = torch.randn(N, BATCH, width, generator=torch.Generator().manual_seed(3))
    return params.requires_grad_(), inputs.requires_grad_()


def distance(ours: Tensor, theirs: Tensor) -> float:
    share: float = ((ours - theirs).norm() / theirs.norm()).item()
    return share


def assert_near(low: Network, single: Network, params: Tensor, inputs: Tensor, roundings: int = SMOOTH) -> None:
    """Outputs and gradients are float32, and not equal, but within some roundings."""
    ours, theirs = low(params, inputs), single(params, inputs)
    found, expected = (torch.autograd.grad(outputs.square().mean(), [params, inputs]) for outputs in (ours, theirs))
    for low_one, single_one in zip((ours, *found), (theirs, *expected), strict=True):
        assert low_one.dtype == torch.float32
        assert UNIT / 16 < distance(low_one, single_one) < roundings * UNIT


@pytest.mark.parametrize(("activation", "layer_norm", "roundings"), NETWORKS)
def test_an_mlp_in_bfloat16_is_near_to_itself(activation: Activation, layer_norm: LayerNorm, roundings: int) -> None:
    mlp = MLP(OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=(64, 64), activation=activation, layer_norm=layer_norm))
    assert_near(in_precision(mlp, "bf16"), mlp, *leaves(mlp), roundings)


def test_a_branched_critic_in_bfloat16_is_near_to_itself() -> None:
    critic = BranchedCritic(OBSERVATIONS, ACTIONS, (64, 64))
    assert_near(in_precision(critic, "bf16"), critic, *leaves(critic, OBSERVATIONS + ACTIONS))


@pytest.mark.parametrize("name", ["Bounded", "Skip"])
def test_a_module_of_the_users_in_bfloat16_is_near_to_itself(name: str) -> None:
    network = ModuleNetwork(f"own_actors:{name}", OBSERVATIONS, ACTIONS)
    assert_near(in_precision(network, "bf16"), network, *leaves(network))


def test_it_rounds_where_autocast_does() -> None:
    mlp = MLP(OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=(64,)))
    params, inputs = leaves(mlp)
    ours = in_precision(mlp, "bf16")(params, inputs)
    for row in range(N):
        shaped = {block.name: params[row, block.slice].view(block.shape) for block in mlp.layout}
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = functional.linear(inputs[row], shaped["weight1"], shaped["bias1"]).relu()
            theirs = functional.linear(hidden, shaped["weight2"], shaped["bias2"])
        assert theirs.dtype == torch.bfloat16
        torch.testing.assert_close(ours[row], theirs.float(), rtol=2 * UNIT, atol=UNIT / 4)


def test_twins_in_bfloat16_serve_any_number_of_inputs() -> None:
    mlp = MLP(OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=(8,)))
    params = Ensemble(mlp, 2).init(Streams(0).rows("initialise", [0]))
    inputs = torch.randn(N, BATCH, OBSERVATIONS, generator=torch.Generator().manual_seed(3))
    ours = Ensemble(in_precision(mlp, "bf16"), 2)(params, inputs)
    assert ours.shape == (N, 2, BATCH, ACTIONS)
    torch.testing.assert_close(ours, Ensemble(mlp, 2)(params, inputs), rtol=0, atol=8 * UNIT)


def test_single_precision_is_the_network_itself() -> None:
    mlp = MLP(OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=(8,)))
    assert in_precision(mlp, "fp32") is mlp
    assert in_precision(mlp, "bf16").layout is mlp.layout


def test_its_rows_begin_unrounded() -> None:
    mlp = MLP(OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=(8,)))
    rows = [Streams(0).rows("initialise", range(N)) for _ in range(2)]
    assert torch.equal(in_precision(mlp, "bf16").init(rows[0]), mlp.init(rows[1]))
