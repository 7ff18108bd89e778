"""The critic of ERL's 2018 code: observation and action enter through branches of their own."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from evorl.policies.network import Block, lay_out, linear, normalise, uniform_layers
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
        self._inputs = [observation_size, action_size]
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
        self._lengths = [prod(block.shape) for block in self.layout]

    def init(self, streams: RowStreams) -> Tensor:
        """Draw a row from each stream: (n, d), as torch's Linear; the output layer is scaled."""
        return uniform_layers(self.layout, streams, {"weight3", "bias3"}, self._last_layer_scale)

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        """Return the values (n, b, 1) of n rows (n, d) on observations and actions side by side (n, b, o + a)."""
        if len(params) == 1 and len(inputs) > 1:
            return self(params, inputs.flatten(0, 1)[None]).view(*inputs.shape[:2], -1)
        pieces = torch.split(params, self._lengths, dim=1)
        w_s, b_s, w_a, b_a, w_2, b_2, gain, shift, w_3, b_3 = (
            piece.view(-1, *block.shape) for piece, block in zip(pieces, self.layout, strict=True)
        )
        observations, actions = torch.split(inputs, self._inputs, dim=-1)
        branches = [linear(observations, w_s, b_s), linear(actions, w_a, b_a)]
        joined = linear(torch.nn.functional.elu(torch.cat(branches, -1)), w_2, b_2)
        hidden = torch.nn.functional.elu(normalise(joined, gain, shift, "unbiased"))
        return linear(hidden, w_3, b_3)
