"""n networks of one architecture, stacked: parameters are (n, d), and a forward pass is one chain of `baddbmm`.

A flat row is the concatenation of the network's tensors, layer by layer, weight (out, in) row-major, bias, then the
gain and shift of the layer norm if there is one. A layer is `inputs @ weight.T + bias`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod, sqrt
from typing import Literal, Protocol

import torch
from torch import Tensor

from evorl.errors import ConfigError, require_above, require_at_least, require_fields
from evorl.policies.chain import Chain, ChainPullback
from evorl.policies.layers import Activate, Activation, Layer, LayerNorm, Linear, Norm
from evorl.streams import RowStreams

InitialWeights = Literal["torch", "glorot"]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The hidden part of a multilayer perceptron."""

    hidden_sizes: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers."""
    activation: Activation = "relu"
    """After each hidden layer (and its norm)."""
    layer_norm: LayerNorm = "none"
    """After each hidden layer: torch's, or ERL's (unbiased standard deviation, epsilon 1e-6 added to it)."""
    initial_weights: InitialWeights = "torch"
    """Uniform within 1/sqrt(fan in), biases too, as torch's Linear; or Glorot's, biases 0 (SVPG's code)."""
    last_layer_scale: float = 1.0
    """Factor on the initial weights and biases of the output layer (ERL's agent: 0.1)."""

    def __post_init__(self) -> None:
        for width in self.hidden_sizes:
            require_at_least("hidden_sizes", width, 1)
            if not isinstance(width, int):
                raise ConfigError(f"hidden_sizes must be integers, got {width!r}")
            if self.layer_norm == "unbiased":  # which divides by the width less one
                require_at_least("hidden_sizes with layer_norm unbiased", width, 2)
        require_above("last_layer_scale", self.last_layer_scale, 0)
        require_fields(self)


Kind = Literal["weight", "bias", "norm"]


@dataclass(frozen=True)
class Block:
    """One tensor of a flat row: where it is, its shape ((out, in), (out,)) and what it is."""

    name: str
    slice: slice
    shape: tuple[int, ...]
    kind: Kind


def lay_out(tensors: Sequence[tuple[str, tuple[int, ...], Kind]]) -> tuple[Block, ...]:
    """Return the blocks of a row that holds `tensors`, each name, shape and kind, one after another."""
    ends = list(accumulate(prod(shape) for _, shape, _ in tensors))
    starts = [0, *ends[:-1]]
    return tuple(Block(n, slice(s, e), shape, k) for (n, shape, k), s, e in zip(tensors, starts, ends, strict=True))


def uniform_layers(
    layout: Sequence[Block],
    streams: RowStreams,
    scaled: Container[str] = (),
    scale: float = 1.0,
    initial_weights: InitialWeights = "torch",
) -> Tensor:
    """Draw a row from each stream, its weights uniform.

    Torch's Linear draws them and the biases within 1/sqrt(fan in). Glorot & Bengio (2010, equation 16) draw them within
    sqrt(6 / (fan in + fan out)), and biases are 0.

    Args:
        layout: the blocks; every bias follows its weight. Norms get gains of 1 and shifts of 0.
        streams: one a row.
        scaled: names of the blocks that are multiplied by `scale`.
        scale: factor on them.
        initial_weights: torch's or Glorot's.
    """
    params = torch.empty(len(streams), layout[-1].slice.stop)
    for block in layout:
        if block.kind == "norm" or (block.kind == "bias" and initial_weights == "glorot"):
            params[:, block.slice] = float(block.name.startswith("gain"))
            continue
        if block.kind == "weight":
            fan_out, fan_in = block.shape
            bound = {"torch": fan_in**-0.5, "glorot": sqrt(6 / (fan_in + fan_out))}[initial_weights]
        drawn = streams.uniform(-bound, bound, prod(block.shape))
        params[:, block.slice] = drawn * scale if block.name in scaled else drawn
    return params


def _layers(sizes: tuple[int, ...], layer_norm: LayerNorm) -> Iterator[tuple[str, tuple[int, ...], Kind]]:
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
        yield f"weight{layer}", (fan_out, fan_in), "weight"
        yield f"bias{layer}", (fan_out,), "bias"
        if layer_norm != "none" and layer < len(sizes) - 1:
            yield f"gain{layer}", (fan_out,), "norm"
            yield f"shift{layer}", (fan_out,), "norm"


def _activated(kind: Activation) -> list[Layer]:
    return [] if kind == "identity" else [Activate(kind)]


class MLP:
    """A stacked multilayer perceptron.

    Args:
        inputs: size of an input.
        outputs: size of an output.
        config: the hidden layers.
        output: activation of the output layer.

    Attributes:
        layout: the blocks of a row, in order.
        size: d, the length of a row.
    """

    def __init__(self, inputs: int, outputs: int, config: NetworkConfig, output: Activation = "identity") -> None:
        self.config = config
        self.layout = lay_out(list(_layers((inputs, *config.hidden_sizes, outputs), config.layer_norm)))
        self.size = self.layout[-1].slice.stop
        hidden: list[Layer] = [Linear()] if config.layer_norm == "none" else [Linear(), Norm(config.layer_norm)]
        layers = [*hidden, *_activated(config.activation)] * len(config.hidden_sizes)
        self._chain = Chain([*layers, Linear(), *_activated(output)], [block.shape for block in self.layout])

    def init(self, streams: RowStreams) -> Tensor:
        """Draw a row from each stream: (n, d); see `uniform_layers`."""
        last = len(self.config.hidden_sizes) + 1
        scaled = {f"weight{last}", f"bias{last}"}
        return uniform_layers(self.layout, streams, scaled, self.config.last_layer_scale, self.config.initial_weights)

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (n, b, out) of n rows (n, d) on their inputs (n, b, in).

        One row of parameters serves any n of inputs.
        """
        return self._chain(params, inputs)

    def vjp(self, params: Tensor, inputs: Tensor) -> tuple[Tensor, ChainPullback]:
        """Return the outputs and their pullback."""
        return self._chain.vjp(params, inputs)


class Network(Protocol):
    """n stacked networks: `layout` are the blocks of a row, `size` is its length."""

    layout: tuple[Block, ...]
    size: int

    def init(self, streams: RowStreams) -> Tensor:
        """Draw a row from each stream: (n, d)."""

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (n, b, out) of n rows (n, d) on their inputs (n, b, in); one row serves any n."""


class Pullback(Protocol):
    """What turns the gradient of the outputs of one call (n, b, out) into others; it is asked once."""

    def of_params(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the parameters (n, d)."""

    def of_inputs(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the inputs (n, b, in)."""


@dataclass(frozen=True)
class _ByAutograd:
    outputs: Tensor
    params: Tensor
    inputs: Tensor

    def of_params(self, gradient: Tensor) -> Tensor:
        return torch.autograd.grad(self.outputs, self.params, gradient)[0]

    def of_inputs(self, gradient: Tensor) -> Tensor:
        return torch.autograd.grad(self.outputs, self.inputs, gradient)[0]


def vjp(network: Network, params: Tensor, inputs: Tensor) -> tuple[Tensor, Pullback]:
    """Return the outputs (n, b, out) of n rows (n, d) on their inputs (n, b, in), and their pullback.

    A network may bring it itself, as a method of this name; for any other autograd does it.
    """
    own: Callable[[Tensor, Tensor], tuple[Tensor, Pullback]] | None = getattr(network, "vjp", None)
    if own is not None:
        return own(params, inputs)
    leaves = params.detach().requires_grad_(), inputs.detach().requires_grad_()
    with torch.enable_grad():
        outputs = network(*leaves)
    return outputs.detach(), _ByAutograd(outputs, *leaves)


class Ensemble:
    """Several networks in one row, one after another, on the same input: TD3's twin critics.

    Args:
        network: the architecture.
        copies: how many stand in a row.
    """

    def __init__(self, network: Network, copies: int) -> None:
        self.network = network
        self.copies = copies
        self.size = copies * network.size

    def init(self, streams: RowStreams) -> Tensor:
        """Draw a row from each stream: (n, copies * d)."""
        return torch.cat([self.network.init(streams) for _ in range(self.copies)], dim=1)

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (n, copies, b, out) of n rows on their inputs (n, b, in); one row serves any n."""
        n, batch, size = inputs.shape
        if len(params) == 1 and n > 1:
            folded = self(params, inputs.flatten(0, 1)[None])
            return folded.view(self.copies, n, batch, -1).transpose(0, 1)
        copied = inputs[:, None].expand(n, self.copies, batch, size).reshape(-1, batch, size)
        return self.network(params.reshape(-1, self.network.size), copied).view(n, self.copies, batch, -1)

    def vjp(self, params: Tensor, inputs: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return the outputs (n, copies, b, out), and what turns their gradient into that of the parameters."""
        n, batch, size = inputs.shape
        if len(params) == 1 and n > 1:
            outputs, of_params = self.vjp(params, inputs.flatten(0, 1)[None])
            unfolded = outputs.view(self.copies, n, batch, -1).transpose(0, 1)
            return unfolded, lambda gradient: of_params(gradient.transpose(0, 1).reshape(outputs.shape))
        copied = inputs[:, None].expand(n, self.copies, batch, size).reshape(-1, batch, size)
        values, pullback = vjp(self.network, params.reshape(-1, self.network.size), copied)
        found = values.view(n, self.copies, batch, -1)
        return found, lambda gradient: pullback.of_params(gradient.reshape(values.shape)).view(params.shape)

    def first_vjp(self, params: Tensor, inputs: Tensor) -> tuple[Tensor, Pullback]:
        """Return the outputs (n, b, out) of the first copy, and their pullback."""
        return vjp(self.network, params[:, : self.network.size], inputs)

    def first(self, params: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (n, b, out) of the first copy alone."""
        return self.network(params[:, : self.network.size], inputs)
