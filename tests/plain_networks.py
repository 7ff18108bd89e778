"""The stacked networks once more, operation by operation, each of them a node of autograd."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from evorl.policies import MLP, BranchedCritic
from evorl.policies.layers import Activation, LayerNorm
from evorl.streams import RowStreams

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "identity": lambda hidden: hidden,
}


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


class Plain:
    """Has the rows of `network`.

    Args:
        network: what is to be computed.
    """

    def __init__(self, network: MLP | BranchedCritic) -> None:
        self.layout, self.size = network.layout, network.size
        self.network = network

    def init(self, streams: RowStreams) -> Tensor:
        return self.network.init(streams)

    def tensors(self, params: Tensor) -> list[Tensor]:
        return [params[:, block.slice].reshape(len(params), *block.shape) for block in self.layout]


class PlainMLP(Plain):
    """An MLP.

    Args:
        network: what is to be computed.
        output: its last activation.
    """

    def __init__(self, network: MLP, output: Activation = "identity") -> None:
        super().__init__(network)
        self.config, self.output = network.config, output

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        tensors = iter(self.tensors(params))
        for _ in self.config.hidden_sizes:
            inputs = linear(inputs, next(tensors), next(tensors))
            if self.config.layer_norm != "none":
                inputs = norm(inputs, next(tensors), next(tensors), self.config.layer_norm)
            inputs = ACTIVATIONS[self.config.activation](inputs)
        return ACTIVATIONS[self.output](linear(inputs, next(tensors), next(tensors)))


class PlainBranched(Plain):
    """A branched critic.

    Args:
        critic: what is to be computed.
        observation_size: length of an observation.
    """

    def __init__(self, critic: BranchedCritic, observation_size: int) -> None:
        super().__init__(critic)
        self.observation_size = observation_size

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        w_s, b_s, w_a, b_a, w_2, b_2, gain, shift, w_3, b_3 = self.tensors(params)
        seen, done = inputs[..., : self.observation_size], inputs[..., self.observation_size :]
        branches = linear(seen, w_s, b_s), linear(done, w_a, b_a)
        joined = norm(linear(functional.elu(torch.cat(branches, -1)), w_2, b_2), gain, shift, "unbiased")
        return linear(functional.elu(joined), w_3, b_3)
