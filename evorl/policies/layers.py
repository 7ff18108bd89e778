"""Layers of stacked networks, forward and backward written out: the line of a derivative stands below what it is of.

They work on memory that is theirs: hidden units are activated in place, and so are their gradients. The numbers are, to
the last bit, those of autograd on the same operations one by one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

Activation = Literal["relu", "tanh", "leaky_relu", "elu", "identity"]
LayerNorm = Literal["none", "torch", "unbiased"]

_SLOPE = 0.01  # of the leaky ReLU below zero, as in CEM-RL's critic
_ATEN = torch.ops.aten
_RESULT = True  # what was kept is what came out of the activation


class Layer(ABC):
    """One step of a chain, on hidden units (n, b, w) and `tensors` tensors (n, ...) of a row of parameters."""

    #: How many tensors of a row it takes.
    tensors: ClassVar[int] = 0

    @abstractmethod
    def forward(self, hidden: Tensor, *tensors: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next hidden units, and what `backward` is to be given of it."""

    @abstractmethod
    def backward(
        self, gradient: Tensor, kept: Sequence[Tensor], tensors: Sequence[Tensor], into: Sequence[Tensor], further: bool
    ) -> Tensor | None:
        """Return the gradient of `hidden` from that of the next, and write that of the tensors.

        Args:
            gradient: of what `forward` returned; it may be written to.
            kept: what `forward` said.
            tensors: those of the row.
            into: where their gradients go; empty if none are wanted.
            further: whether that of `hidden` is wanted.
        """


class Linear(Layer):
    """`hidden @ weight.T + bias` with weight (n, out, in) and bias (n, out)."""

    tensors = 2

    def forward(self, hidden: Tensor, *tensors: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the layer's outputs (n, b, out)."""
        weight, bias = tensors
        return torch.baddbmm(bias[:, None], hidden, weight.mT), (hidden,)

    def backward(
        self, gradient: Tensor, kept: Sequence[Tensor], tensors: Sequence[Tensor], into: Sequence[Tensor], further: bool
    ) -> Tensor | None:
        """Return the gradient of the inputs (n, b, in)."""
        if into:
            into[0].copy_(torch.bmm(gradient.mT, kept[0]))  # products in a row itself would depend on its alignment
            into[1].copy_(gradient.sum(1))
        return torch.bmm(gradient, tensors[0]) if further else None


class Branches(Layer):
    """Linear layers side by side, each on its own part of the inputs.

    Args:
        widths: of the parts.
    """

    tensors = 4

    def __init__(self, widths: tuple[int, int]) -> None:
        self.widths = list(widths)
        self.linear = Linear()

    def forward(self, hidden: Tensor, *tensors: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the outputs of one after those of the other, (n, b, 2 out)."""
        first, second = torch.split(hidden, self.widths, dim=-1)
        outputs = [self.linear.forward(first, *tensors[:2])[0], self.linear.forward(second, *tensors[2:])[0]]
        return torch.cat(outputs, -1), (hidden,)

    def backward(
        self, gradient: Tensor, kept: Sequence[Tensor], tensors: Sequence[Tensor], into: Sequence[Tensor], further: bool
    ) -> Tensor | None:
        """Return the gradient of the inputs, those of both branches side by side."""
        parts = zip(gradient.chunk(2, dim=-1), torch.split(kept[0], self.widths, dim=-1), (0, 2), strict=True)
        gradients = [
            self.linear.backward(part, (inputs,), tensors[at : at + 2], into[at : at + 2], further)
            for part, inputs, at in parts
        ]
        return torch.cat([part for part in gradients if part is not None], -1) if further else None


class Norm(Layer):
    """The layer norm with gain and shift (n, w), on memory that it may write to.

    Args:
        kind: torch's, or ERL's (unbiased standard deviation, epsilon outside the root).
    """

    tensors = 2

    def __init__(self, kind: LayerNorm) -> None:
        self.unbiased = kind == "unbiased"

    def forward(self, hidden: Tensor, *tensors: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the normed units."""
        gain, shift = tensors
        centred = hidden.sub_(hidden.mean(-1, keepdim=True))
        if self.unbiased:
            deviation = centred.square().sum(-1, keepdim=True).div_(hidden.shape[-1] - 1).sqrt_()
            factor = deviation + 1e-6
            scaled = centred / factor
        else:
            deviation = factor = centred.square().mean(-1, keepdim=True).add_(1e-5).rsqrt_()
            scaled = centred * factor
        return (gain[:, None] * scaled).add_(shift[:, None]), (centred, deviation, factor, scaled)

    def backward(
        self, gradient: Tensor, kept: Sequence[Tensor], tensors: Sequence[Tensor], into: Sequence[Tensor], further: bool
    ) -> Tensor | None:
        """Return the gradient of the units before the norm."""
        centred, deviation, factor, scaled = kept
        width = centred.shape[-1]
        if into:
            into[0].copy_((gradient * scaled).sum(1))
            into[1].copy_(gradient.sum(1))
        of_scaled = gradient.mul_(tensors[0][:, None])
        if self.unbiased:
            of_factor = (of_scaled * (scaled / factor)).sum(-1, keepdim=True).neg_()
            of_squares = of_factor.div_(2 * deviation).div_(width - 1)
            of_centred = of_scaled.div_(factor)
        else:
            of_factor = (of_scaled * centred).sum(-1, keepdim=True)
            of_squares = (-0.5 * of_factor * factor.pow(3)).div_(width)
            of_centred = of_scaled.mul_(factor)
        of_centred.add_(centred * (2 * of_squares))
        return of_centred.sub_(of_centred.sum(-1, keepdim=True).div_(width))


class Activate(Layer):
    """An activation, on memory that it may write to.

    Args:
        kind: its name.
    """

    def __init__(self, kind: Activation) -> None:
        self.kind = kind

    def forward(self, hidden: Tensor, *tensors: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the activated units."""
        if self.kind == "relu":
            hidden.relu_()
        elif self.kind == "tanh":
            hidden.tanh_()
        elif self.kind == "leaky_relu":
            functional.leaky_relu_(hidden, _SLOPE)
        elif self.kind == "elu":  # its derivative from the result differs in the last bit
            return functional.elu(hidden), (hidden,)
        return hidden, (hidden,)

    def backward(
        self, gradient: Tensor, kept: Sequence[Tensor], tensors: Sequence[Tensor], into: Sequence[Tensor], further: bool
    ) -> Tensor | None:
        """Return the gradient of the units before the activation, in place of that after it."""
        if self.kind == "relu":
            _ATEN.threshold_backward.grad_input(gradient, kept[0], 0, grad_input=gradient)
        elif self.kind == "tanh":
            _ATEN.tanh_backward.grad_input(gradient, kept[0], grad_input=gradient)
        elif self.kind == "leaky_relu":
            _ATEN.leaky_relu_backward.grad_input(gradient, kept[0], _SLOPE, _RESULT, grad_input=gradient)
        elif self.kind == "elu":
            _ATEN.elu_backward.grad_input(gradient, 1.0, 1.0, 1.0, not _RESULT, kept[0], grad_input=gradient)
        return gradient
