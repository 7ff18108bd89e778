"""Adam (Kingma & Ba 2015, algorithm 1) on stacked rows, each with its own step count and learning rate."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

#: A hyperparameter: one value for all members, or (n,) a value each.
Hyperparameter = float | Tensor


def column(value: Hyperparameter) -> Hyperparameter:
    """Return `value` so that it multiplies (n, d) row by row."""
    return value[:, None] if isinstance(value, Tensor) else value


def adam_state(name: str, params: Tensor) -> dict[str, Tensor]:
    """Return the moments (n, d) and step count (n,) float64 of a new Adam under `<name>_adam.`."""
    return {
        f"{name}_adam.mean": torch.zeros_like(params),
        f"{name}_adam.square": torch.zeros_like(params),
        f"{name}_adam.step": torch.zeros(len(params), dtype=torch.float64),
    }


def adam_(
    name: str, params: Tensor, gradient: Tensor, state: Mapping[str, Tensor], learning_rate: Hyperparameter
) -> None:
    """Descend one step, in place.

    n rows move as n separate `torch.optim.Adam` would; row i uses `learning_rate[i]`.

    Args:
        name: prefix of the moments in `state`.
        params: (n, d), changed.
        gradient: (n, d).
        state: holds what `adam_state` returned; changed.
        learning_rate: one for all, or (n,).
    """
    mean, square, step = (state[f"{name}_adam.{part}"] for part in ("mean", "square", "step"))
    step += 1
    mean.lerp_(gradient, 1 - BETA1)
    square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
    root = (1 - BETA2**step).sqrt().to(params)[:, None]
    rate = (column(learning_rate) / (1 - BETA1**step)[:, None].to(params.device)).to(params)
    params.sub_((square.sqrt() / root).add_(EPSILON).reciprocal_().mul_(mean).mul_(rate))
