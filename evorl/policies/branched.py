"""The critic of ERL's 2018 code: observation and action enter through branches of their own."""

from __future__ import annotations

from torch import Tensor

from evorl.policies.chain import Chain, ChainPullback
from evorl.policies.layers import Activate, Branches, Layer, Linear, Norm
from evorl.policies.network import Block, lay_out, uniform_layers
from evorl.streams import RowStreams


class BranchedCritic:
    """`[elu(Ws s + bs), elu(Wa a + ba)]`, a layer with ERL's layer norm and ELU, a linear output.

    A flat row is `Ws, bs, Wa, ba, W2, b2, gain2, shift2, W3, b3`.

    Args:
        observation_size: length of an observation.
        action_size: length of an action.
        hidden_sizes: width of each branch, and of the layer that joins them; ERL's are 200 and 300.
        last_layer_scale: factor on the initial output layer.
    """

    def __init__(
        self, observation_size: int, action_size: int, hidden_sizes: tuple[int, int], last_layer_scale: float = 0.1
    ) -> None:
        branch, joined = hidden_sizes
        self._last_layer_scale = last_layer_scale
        self.layout: tuple[Block, ...] = lay_out(
            [
                ("weight_observation", (branch, observation_size), "weight"),
                ("bias_observation", (branch,), "bias"),
                ("weight_action", (branch, action_size), "weight"),
                ("bias_action", (branch,), "bias"),
                ("weight2", (joined, 2 * branch), "weight"),
                ("bias2", (joined,), "bias"),
                ("gain2", (joined,), "norm"),
                ("shift2", (joined,), "norm"),
                ("weight3", (1, joined), "weight"),
                ("bias3", (1,), "bias"),
            ]
        )
        self.size = self.layout[-1].slice.stop
        layers: list[Layer] = [Branches((observation_size, action_size)), Activate("elu")]
        layers += [Linear(), Norm("unbiased"), Activate("elu"), Linear()]
        self._chain = Chain(layers, [block.shape for block in self.layout])

    def init(self, streams: RowStreams) -> Tensor:
        """Draw a row from each stream: (n, d), as torch's Linear; the output layer is scaled."""
        return uniform_layers(self.layout, streams, {"weight3", "bias3"}, self._last_layer_scale)

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        """Return the values (n, b, 1) of n rows (n, d) on observations and actions side by side (n, b, o + a)."""
        return self._chain(params, inputs)

    def vjp(self, params: Tensor, inputs: Tensor) -> tuple[Tensor, ChainPullback]:
        """Return the values and their pullback."""
        return self._chain.vjp(params, inputs)
