"""A policy for discrete actions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evorl.policies.stochastic import StochasticPolicy
from evorl.streams import RowStreams


@dataclass(frozen=True)
class Categorical:
    """One of c choices, by its index: normalised log-probabilities (n, b, c)."""

    log_probs: Tensor

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the log-probability of the indices (n, b, 1): (n, b)."""
        return self.log_probs.gather(-1, actions.long())[..., 0]

    def entropy(self) -> Tensor:
        """Return the entropy: (n, b)."""
        return -(self.log_probs.exp() * self.log_probs).sum(-1)

    def mode(self) -> Tensor:
        """Return the likeliest indices (n, b, 1) float32, the lowest of equals."""
        return self._known(self.log_probs.argmax(-1, keepdim=True).float())

    def sample(self, streams: RowStreams) -> Tensor:
        """Draw an index for each of n observations: (n, 1, 1) float32.

        By the inverse of the distribution function, from one uniform number a member.
        """
        uniform = streams.uniform(0, 1, 1, 1).to(self.log_probs.device)
        # In double precision the last sum is nearer to 1 than any float32 below 1, so that no index is out of range.
        below = self.log_probs.double().softmax(-1).cumsum(-1) <= uniform
        return self._known(below.sum(-1, keepdim=True).float())

    def _known(self, indices: Tensor) -> Tensor:
        """Return indices (n, b, 1), NaN where the probabilities are."""
        return indices.masked_fill(self.log_probs.isnan().any(-1, keepdim=True), torch.nan)


class CategoricalPolicy(StochasticPolicy):
    """Draws one of c choices by a softmax of the network's c outputs; without exploration it takes the likeliest.

    An action is the index of a choice, in float32, as its only coordinate.
    """

    def distribution(self, params: Tensor, observations: Tensor) -> Categorical:
        """Return the probabilities of n rows (n, d) on their observations (n, b, o)."""
        return Categorical(torch.log_softmax(self.network(params, observations), dim=-1))
