"""How much better actions were than expected: pure functions of steps in order of time, (n, b), n members at once."""

from __future__ import annotations

import torch
from torch import Tensor

from evorl.learning.traits import Hyperparameter, column


def accumulate(values: Tensor, decay: Tensor) -> Tensor:
    """Return x (n, b) with `x[t] = values[t] + decay[t] x[t + 1]` and nothing beyond the end."""
    total, backwards = torch.zeros_like(values[:, 0]), []
    for value, keep in zip(reversed(values.unbind(1)), reversed(decay.unbind(1)), strict=True):
        total = torch.addcmul(value, keep, total)
        backwards.append(total)
    return torch.stack(backwards[::-1], dim=1)


def discounted_returns(rewards: Tensor, ended: Tensor, discount: Hyperparameter) -> Tensor:
    """Return the discounted sums of the rewards up to the end of each episode, (n, b).

    Args:
        rewards: (n, b).
        ended: (n, b) 1 at the last step of an episode.
        discount: weight of the next step's return.
    """
    return accumulate(rewards, column(discount) * (1 - ended))


def generalised_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    ended: Tensor,
    discount: Hyperparameter,
    gae_lambda: Hyperparameter,
) -> Tensor:
    """Return generalised advantage estimates (Schulman et al. 2016, equation 16), (n, b).

    At a time limit, and where the rollout stops, the value of the observation that followed stands for what would have
    come; in a terminal state nothing does.

    Args:
        rewards: (n, b).
        values: (n, b) of the observations.
        next_values: (n, b) of the observations that followed, before any reset.
        terminated: (n, b) 1 where the episode ended in a terminal state: the value beyond is cut.
        ended: (n, b) 1 at the last step of an episode, for whatever reason: the trace is cut.
        discount: weight of the next step's value.
        gae_lambda: decay of the trace; 0 is one step and its value, 1 the whole return.
    """
    errors = rewards + column(discount) * (1 - terminated) * next_values - values
    return accumulate(errors, column(discount) * column(gae_lambda) * (1 - ended))


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of each row of values (n, b) over the steps whose weight is 1: (n,)."""
    return (weights * values).sum(1) / weights.sum(1).clamp(min=1)


def standardise(values: Tensor, weights: Tensor) -> Tensor:
    """Return values (n, b) less their row's mean, over its standard deviation, where weights (n, b) are 1; else 0.

    The deviation has the divisor b, and 1e-8 is added to it, as in rllab's and baselines' code.
    """
    centred = (values - weighted_mean(values, weights)[:, None]) * weights
    deviation = weighted_mean(centred.square(), weights).sqrt()
    return centred / (deviation[:, None] + 1e-8)
