"""The squashed Gaussian policy of SAC (Haarnoja et al. 2018, arXiv 1812.05905, appendix C)."""

from __future__ import annotations

from math import log, pi

import torch
from torch import Tensor
from torch.nn.functional import softplus

from evorl.policies.network import Network
from evorl.policies.normaliser import normalise
from evorl.population import Population
from evorl.streams import RowStreams

#: Bounds of the logarithm of the standard deviation, those of the authors' code, kept by clamping.
LOG_STD_LOW, LOG_STD_HIGH = -20.0, 2.0


class SquashedGaussianPolicy:
    """A network that gives means and logarithms of standard deviations; an action is the tanh of what they draw.

    Args:
        network: from observations to the a means and, after them, the a logarithms; its output is linear.
    """

    def __init__(self, network: Network) -> None:
        self.network = network

    def act(self, members: Population, observations: Tensor, streams: RowStreams | None = None) -> Tensor:
        """Return an action (n, a) in [-1, 1] for each member's observation (n, o); without streams that of the mean."""
        with torch.no_grad():
            seen = normalise(members.traits, observations)
            mean, log_std = self._gaussian(members.params, seen[:, None])
            if streams is None:
                return torch.tanh(mean)[:, 0]
            normals = streams.normal(1, mean.shape[-1]).to(mean.device)
            return torch.tanh(mean + log_std.exp() * normals)[:, 0]

    def sample(self, params: Tensor, observations: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions (n, b, a), and the logarithm of their density on [-1, 1]^a, (n, b), both with their gradients.

        Args:
            params: (n, d), or one row that serves all.
            observations: (n, b, o), normalised already if they are to be.
            normals: (n, b, a) standard normals, of which and of `params` the actions are a function.
        """
        mean, log_std = self._gaussian(params, observations)
        before = mean + log_std.exp() * normals
        gaussian = -0.5 * (normals.square() + log(2 * pi)) - log_std
        stretch = 2 * (log(2) - before - softplus(-2 * before))  # log(1 - tanh^2), which overflows as it stands
        return torch.tanh(before), (gaussian - stretch).sum(-1)

    def _gaussian(self, params: Tensor, observations: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.network(params, observations).chunk(2, dim=-1)
        return mean, log_std.clamp(LOG_STD_LOW, LOG_STD_HIGH)
