"""The bare matrix products of a TD3 update of stacked members: same shapes and order, results written over the last.

No update in torch can be faster than its products, so their time is the roof under which it works.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from benchmarks.setups import CHEETAH, Case
from benchmarks.timing import interleaved


@dataclass(frozen=True)
class Layer:
    """n stacked linear layers on minibatches, and the three products that they take part in."""

    inputs: Tensor
    weight: Tensor
    bias: Tensor
    output: Tensor

    @classmethod
    def of(cls, n: int, batch: int, fan_in: int, fan_out: int, dtype: torch.dtype) -> Layer:
        """Return one of random numbers."""
        shapes = ((n, batch, fan_in), (n, fan_out, fan_in), (n, 1, fan_out), (n, batch, fan_out))
        return cls(*(torch.randn(shape).to(dtype) for shape in shapes))

    def forward(self) -> None:
        """Compute the output."""
        torch.baddbmm(self.bias, self.inputs, self.weight.mT, out=self.output)

    def of_inputs(self, into: Tensor) -> None:
        """Compute the gradient of the inputs from that of the output."""
        torch.bmm(self.output, self.weight, out=into)

    def of_weight(self, into: Tensor) -> None:
        """Compute the gradient of the weight."""
        torch.bmm(self.output.mT, self.inputs, out=into)


class Stack:
    """The layers of n networks, with room for every gradient."""

    def __init__(self, n: int, batch: int, sizes: Sequence[int], dtype: torch.dtype) -> None:
        self.layers = [Layer.of(n, batch, *pair, dtype) for pair in pairwise(sizes)]
        self.gradients = [(torch.empty_like(layer.inputs), torch.empty_like(layer.weight)) for layer in self.layers]
        self.flops = [2 * n * batch * fan_in * fan_out for fan_in, fan_out in pairwise(sizes)]

    def forward(self) -> None:
        """Compute the products of a forward pass."""
        for layer in self.layers:
            layer.forward()

    def backward(self, weights: bool = True, inputs: bool = False) -> None:
        """Compute those of a backward pass: into the weights, and through the first layer into the inputs."""
        for index in reversed(range(len(self.layers))):
            of_inputs, of_weight = self.gradients[index]
            if index or inputs:
                self.layers[index].of_inputs(of_inputs)
            if weights:
                self.layers[index].of_weight(of_weight)


class Roofline:
    """The products of TD3's updates.

    Args:
        case: how many members, of what sizes.
        dtype: of all numbers.
    """

    def __init__(self, case: Case, dtype: torch.dtype = torch.float32) -> None:
        n, batch, (o, a) = case.members, case.batch, (CHEETAH.observation_size, CHEETAH.action_size)
        self.delay = case.config.policy_delay
        self.actor = Stack(n, batch, (o, *case.hidden, a), dtype)
        self.critics = Stack(2 * n, batch, (o + a, *case.hidden, 1), dtype)
        self.first = Stack(n, batch, (o + a, *case.hidden, 1), dtype)

    def update(self, updates: int) -> None:
        """Compute what `updates` updates of all members multiply."""
        for update in range(1, updates + 1):
            self.actor.forward()  # the target action
            self.critics.forward()  # its values
            self.critics.forward()
            self.critics.backward()
            if update % self.delay == 0:
                self.actor.forward()
                self.first.forward()
                self.first.backward(weights=False, inputs=True)
                self.actor.backward()

    def flops(self, updates: int) -> int:
        """Return the floating-point operations of `updates` updates."""
        return sum(self._each()) * updates + sum(self._delayed()) * (updates // self.delay)

    def _each(self) -> Iterator[int]:
        critics = sum(self.critics.flops)
        yield sum(self.actor.flops)
        yield 2 * critics
        yield 2 * critics - self.critics.flops[0]  # the first layer passes nothing on

    def _delayed(self) -> Iterator[int]:
        yield sum(self.actor.flops) + sum(self.first.flops)
        yield sum(self.first.flops)
        yield 2 * sum(self.actor.flops) - self.actor.flops[0]


def product_rate(dtype: torch.dtype, size: int = 1024, repeats: int = 3) -> float:
    """Return GFLOP/s of one square product, the most that a matrix product reaches on this machine."""
    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    into = torch.empty_like(left)
    timing = interleaved({"product": lambda: torch.mm(left, right, out=into)}, repeats)
    return 2e-9 * size**3 / timing["product"].best
