"""REINFORCE (Williams 1992) with discounted returns, as SVPG and rllab's VPG use it, on stacked members."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from evorl.interaction import Rollout
from evorl.learning.advantages import discounted_returns
from evorl.learning.policy_gradient import PolicyBatch, PolicyGradient, PolicyGradientConfig
from evorl.learning.traits import Hyperparameters, State
from evorl.policies import normalise


@dataclass(frozen=True, kw_only=True)
class ReinforceConfig(PolicyGradientConfig):
    """Settings of REINFORCE; the defaults are those of SVPG's code."""

    rollout_length: int = 5_000
    """Steps of a member between two updates, at least: the last episode is played to its end."""
    learning_rate: float = 5e-3
    """Of Adam."""
    standardise_advantages: bool = True
    """Whether the returns of a batch get mean 0 and standard deviation 1, in place of a baseline."""
    normalise_observations: bool = False
    """Whether a member sees observations less their running mean, over their running standard deviation."""
    gradient_clip: float | None = None
    """Norm to which the gradient is clipped; None for no clipping."""


class Reinforce(PolicyGradient):
    """The advantage of an action is the discounted return that followed; there is no critic.

    Batches are of whole episodes: a return is not continued beyond the end of the rollout.
    """

    def prepare(self, params: Tensor, state: State, rollout: Rollout, h: Hyperparameters) -> PolicyBatch:
        """Return the batch of a rollout, (n, b, ...)."""
        steps = rollout.transitions
        returns = discounted_returns(steps.rewards, rollout.ended, h["discount"])
        return PolicyBatch(normalise(state, steps.observations), steps.actions, returns, returns, rollout.weights)
