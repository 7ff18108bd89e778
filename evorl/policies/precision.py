"""Networks that compute in bfloat16, while all around them is float32: parameters, losses, gradients and averages."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from evorl.policies.network import Block, Network
from evorl.streams import RowStreams

Precision = Literal["fp32", "bf16"]


class Rounded:
    """A network whose layers work on bfloat16: it rounds its parameters and inputs, and gives back what it was given.

    The sums of a product are float32 inside, as torch has it. Gradients come back through the same roundings.

    Args:
        network: the architecture.

    Attributes:
        layout: the blocks of a row, in order.
        size: d, the length of a row.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.layout: tuple[Block, ...] = network.layout
        self.size = network.size

    def init(self, streams: RowStreams) -> Tensor:
        """Draw a row from each stream, not rounded: (n, d)."""
        return self.network.init(streams)

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (n, b, out) of n rows (n, d) on their inputs (n, b, in); one row serves any n."""
        return self.network(params.bfloat16(), inputs.bfloat16()).to(params.dtype)


def in_precision(network: Network, precision: Precision) -> Network:
    """Return `network` in this precision; itself if that is single."""
    return network if precision == "fp32" else Rounded(network)
