"""Modules as users write them, good ones and such that cannot be stacked; tests name them as `own_actors:Name`."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Plain(nn.Module):
    """The layers of our own multilayer perceptron, linear at its end."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 7), nn.Tanh(), nn.Linear(7, outputs))

    def forward(self, observations: Tensor) -> Tensor:
        """Return (b, outputs)."""
        outputs: Tensor = self.layers(observations)
        return outputs


class Bounded(Plain):
    """A deterministic actor."""

    def forward(self, observations: Tensor) -> Tensor:
        """Return actions (b, outputs)."""
        return torch.tanh(super().forward(observations))


class Skip(nn.Module):
    """A norm, a convolution over the observation, tied layers, a parameter of its own, weights drawn in its own way."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(inputs)
        self.convolution = nn.Conv1d(1, 2, kernel_size=3, padding=1)
        self.hidden = nn.Linear(2 * inputs, 2 * inputs)
        self.again = self.hidden
        self.head = nn.Linear(2 * inputs, outputs)
        self.gain = nn.Parameter(torch.tensor(0.5))
        nn.init.orthogonal_(self.hidden.weight)
        nn.init.uniform_(self.head.weight, -3e-3, 3e-3)

    def forward(self, observations: Tensor) -> Tensor:
        """Return actions (b, outputs)."""
        seen = self.convolution(self.norm(observations)[:, None]).flatten(1)
        hidden = torch.relu(self.hidden(seen))
        hidden = hidden + self.gain * torch.relu(self.again(hidden))
        return torch.tanh(self.head(hidden))


class WrongSize(Bounded):
    """Has a coordinate too many."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs + 1)


class BatchNorm(nn.Sequential):
    """Keeps running statistics."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.BatchNorm1d(inputs), nn.Linear(inputs, outputs), nn.Tanh())


class Dropout(nn.Sequential):
    """Draws while it acts."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Dropout(), nn.Linear(inputs, outputs), nn.Tanh())


class Branching(Bounded):
    """Decides by the numbers it sees."""

    def forward(self, observations: Tensor) -> Tensor:
        """Return actions (b, outputs)."""
        return super().forward(observations if observations.sum() > 0 else -observations)


class Frozen(Bounded):
    """Has a layer that is not to be trained."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.layers[0].requires_grad_(False)


class Nothing(nn.Module):
    """Has no parameters."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()


class Small(Plain):
    """Takes one size only."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1)


def not_a_module(inputs: int, outputs: int) -> Tensor:
    """Return no module."""
    return torch.zeros(inputs, outputs)


NUMBER = 3
