"""Layers in a chain: from rows of parameters to outputs, and from the outputs' gradient back to those of both.

A learner asks for a pullback where it knows the derivative of its loss by the outputs. For any other loss autograd sees
a whole chain as one node. The gradients of the parameters are written straight into one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from math import prod
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from evorl.policies.layers import Layer, Linear


class Chain:
    """Layers one after another, whose tensors stand in a row in their order.

    Args:
        layers: first to last.
        shapes: of the tensors, each without its first axis.
    """

    def __init__(self, layers: Sequence[Layer], shapes: Sequence[tuple[int, ...]]) -> None:
        self.layers = layers
        starts = accumulate((prod(shape) for shape in shapes), initial=0)
        self.blocks = [(shape, _strides(shape), start) for shape, start in zip(shapes, starts, strict=False)]
        ends = list(accumulate((layer.tensors for layer in layers), initial=0))
        self.places = [slice(start, end) for start, end in pairwise(ends)]

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (n, b, out) of n rows (n, d) on their inputs (n, b, in); one row serves any n."""
        if len(params) == 1 and len(inputs) > 1:
            return self(params, inputs.flatten(0, 1)[None]).view(*inputs.shape[:2], -1)
        if torch.is_grad_enabled() and (params.requires_grad or inputs.requires_grad):
            outputs: Tensor = _Differentiable.apply(self, params, inputs)  # type: ignore[no-untyped-call]
            return outputs
        tensors = self.tensors(params)
        for layer, place in zip(self.layers, self.places, strict=True):
            inputs, _ = layer.forward(inputs, *tensors[place])
        return inputs

    def vjp(self, params: Tensor, inputs: Tensor) -> tuple[Tensor, ChainPullback]:
        """Return the outputs (n, b, out) and their pullback; one row of parameters serves any n.

        Gradients are, to the last bit, those of autograd with `__call__`.
        """
        folded = inputs.flatten(0, 1)[None] if len(params) == 1 else inputs
        tensors = self.tensors(params)
        outputs, kept = self.forward(tensors, folded)
        return outputs.view(*inputs.shape[:2], -1), ChainPullback(self, params, inputs, tensors, outputs, kept)

    def tensors(self, params: Tensor) -> list[Tensor]:
        """Return the tensors (n, ...) of rows (n, d) as views; of a copy, if a row's entries lie apart in memory."""
        params = params if params.stride(1) == 1 else params.contiguous()
        n, row, offset = len(params), params.stride(0), params.storage_offset()
        return [
            params.as_strided((n, *shape), (row, *strides), offset + start) for shape, strides, start in self.blocks
        ]

    def forward(self, tensors: Sequence[Tensor], inputs: Tensor) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """Return the outputs, and what each layer keeps for `backward`."""
        kept = []
        for layer, place in zip(self.layers, self.places, strict=True):
            inputs, keeps = layer.forward(inputs, *tensors[place])
            kept.append(keeps)
        return inputs, kept

    def backward(
        self,
        gradient: Tensor,
        kept: Sequence[Sequence[Tensor]],
        tensors: Sequence[Tensor],
        row: Tensor | None,
        of_inputs: bool,
    ) -> Tensor | None:
        """Return the gradient of the inputs (n, b, in), None if unwanted, from that of the outputs.

        Args:
            gradient: of the outputs.
            kept: what `forward` said.
            tensors: what it was given.
            row: where the gradient of the parameters goes, (n, d); None if unwanted.
            of_inputs: whether that of the inputs is wanted.
        """
        into = [] if row is None else self.tensors(row)
        upper: Tensor | None = gradient if isinstance(self.layers[-1], Linear) else gradient.clone()
        for at in reversed(range(len(self.layers))):
            place, further = self.places[at], of_inputs or at > 0
            upper = self.layers[at].backward(cast(Tensor, upper), kept[at], tensors[place], into[place], further)
        return upper


@dataclass(frozen=True)
class ChainPullback:
    """What a chain kept of one call; it is asked once, since gradients are written over what was kept."""

    chain: Chain
    params: Tensor
    inputs: Tensor
    tensors: Sequence[Tensor]
    outputs: Tensor
    kept: Sequence[Sequence[Tensor]]

    def of_params(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the parameters (n, d) from that of the outputs."""
        row = self.params.new_empty(self.params.shape)
        self.chain.backward(gradient.reshape(self.outputs.shape), self.kept, self.tensors, row, of_inputs=False)
        return row

    def of_inputs(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the inputs (n, b, in) from that of the outputs."""
        whole = gradient.reshape(self.outputs.shape)
        found = self.chain.backward(whole, self.kept, self.tensors, None, of_inputs=True)
        return cast(Tensor, found).view(self.inputs.shape)


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


class _Differentiable(torch.autograd.Function):
    """A chain as one node of autograd, which raises if it is to be differentiated twice."""

    @staticmethod
    def forward(ctx: Any, chain: Chain, params: Tensor, inputs: Tensor) -> Tensor:
        ctx.chain, ctx.tensors = chain, chain.tensors(params)
        outputs, kept = chain.forward(ctx.tensors, inputs)
        ctx.counts = [len(keeps) for keeps in kept]
        ctx.save_for_backward(params, *(tensor for keeps in kept for tensor in keeps))
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        params, *saved = ctx.saved_tensors
        tensors = iter(saved)
        kept = [list(islice(tensors, count)) for count in ctx.counts]
        _, of_params, of_inputs = ctx.needs_input_grad
        row = params.new_empty(params.shape) if of_params else None
        return None, row, ctx.chain.backward(gradient, kept, ctx.tensors, row, of_inputs)
