"""A Gaussian policy whose standard deviation does not depend on the state, as in rllab (Duan et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor

from evorl.policies.network import Block, Network
from evorl.policies.stochastic import StochasticPolicy
from evorl.streams import RowStreams


@dataclass(frozen=True)
class Gaussian:
    """Independent normals: mean (n, b, a), logarithm of the standard deviation (n, a)."""

    mean: Tensor
    log_std: Tensor

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the logarithm of the density of actions (n, b, a): (n, b)."""
        log_std = self.log_std[:, None]
        return (-0.5 * ((actions - self.mean) * torch.exp(-log_std)).square() - log_std - 0.5 * log(2 * pi)).sum(-1)

    def entropy(self) -> Tensor:
        """Return the entropy, the same on every observation: (n, b)."""
        entropy = (self.log_std + 0.5 * (1 + log(2 * pi))).sum(-1, keepdim=True)
        return entropy.expand(self.mean.shape[:2])

    def mode(self) -> Tensor:
        """Return the means (n, b, a)."""
        return self.mean

    def sample(self, streams: RowStreams) -> Tensor:
        """Draw an action for each of n observations: (n, 1, a)."""
        normals = streams.normal(1, self.mean.shape[-1]).to(self.mean)
        return self.mean + self.log_std.exp()[:, None] * normals


class GaussianNetwork:
    """A network for means, linear at its end; a row ends with `log_std`, a number for each coordinate.

    Args:
        mean: from observations to means.
        outputs: size of an action.

    Attributes:
        layout: the blocks of a row, in order.
        size: d, the length of a row.
    """

    def __init__(self, mean: Network, outputs: int) -> None:
        self._mean = mean
        self.size = mean.size + outputs
        log_std = Block("log_std", slice(mean.size, self.size), (outputs,), "bias")
        self.layout: tuple[Block, ...] = (*mean.layout, log_std)

    def init(self, streams: RowStreams) -> Tensor:
        """Draw a row from each stream: (n, d), as torch's Linear; standard deviations are 1."""
        params = self._mean.init(streams)
        return torch.cat([params, params.new_zeros(len(params), self.size - self._mean.size)], dim=1)

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        """Return the means (n, b, a) of n rows (n, d) on their observations (n, b, o); one row serves any n."""
        return self._mean(params[:, : self._mean.size], inputs)

    def log_std(self, params: Tensor) -> Tensor:
        """Return the logarithms of the standard deviations of n rows: (n, a)."""
        return params[:, self._mean.size :]


class GaussianPolicy(StochasticPolicy):
    """Draws continuous actions about a mean; without exploration it acts by the mean.

    An action beyond [-1, 1] is clipped at the environment's door alone: what is stored, and has a density, is the
    action as it was drawn.

    Args:
        network: of means and standard deviations.
    """

    def __init__(self, network: GaussianNetwork) -> None:
        super().__init__(network)
        self._log_std = network.log_std

    def distribution(self, params: Tensor, observations: Tensor) -> Gaussian:
        """Return the normals of n rows (n, d) on their observations (n, b, o)."""
        return Gaussian(self.network(params, observations), self._log_std(params))
