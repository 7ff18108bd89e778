"""Observations normalised by each member's own running mean and variance, which it inherits as traits.

The statistics are merged batch by batch in parallel form (Chan, Golub, LeVeque 1979), in double precision.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

#: Bound on a normalised coordinate.
CLIP = 10.0
#: Added to the variance.
EPSILON = 1e-8


def new_normaliser(n: int, observation_size: int, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Return the traits of n members that have seen nothing: mean 0 and variance 1, (n, o), and count 0, (n,)."""
    mean = torch.zeros(n, observation_size, dtype=torch.float64, device=device)
    return {
        "normaliser.mean": mean,
        "normaliser.variance": torch.ones_like(mean),
        "normaliser.count": mean.new_zeros(n),
    }


def normalise(traits: Mapping[str, Tensor], observations: Tensor) -> Tensor:
    """Return observations less their mean, over their standard deviation, clipped to [-10, 10].

    Args:
        traits: what `new_normaliser` returned; without it the observations are returned unchanged.
        observations: (n, o) or (n, b, o) float32; one row of traits serves any n.
    """
    if "normaliser.mean" not in traits:
        return observations
    mean, variance = traits["normaliser.mean"], traits["normaliser.variance"]
    if observations.ndim == 3:
        mean, variance = mean[:, None], variance[:, None]
    return ((observations - mean) * torch.rsqrt(variance + EPSILON)).clamp_(-CLIP, CLIP).float()


def update_normaliser_(traits: Mapping[str, Tensor], observations: Tensor, weights: Tensor) -> None:
    """Merge observations into their member's statistics, in place; without such traits, do nothing.

    Args:
        traits: what `new_normaliser` returned.
        observations: (n, b, o), as the environment gave them.
        weights: (n, b) 1, or 0 where there is none; each row has one at least.
    """
    if "normaliser.mean" not in traits:
        return
    mean, variance, count = (traits[f"normaliser.{part}"] for part in ("mean", "variance", "count"))
    new, weight = observations.double(), weights.double()[..., None]
    seen, added = count[:, None].clone(), weight.sum(1)
    new_mean = (weight * new).sum(1) / added
    new_squares = (weight * (new - new_mean[:, None]).square()).sum(1)
    step, total = new_mean - mean, seen + added
    variance.copy_((seen * variance + new_squares + step.square() * (seen * added / total)) / total)
    mean.add_(step * (added / total))
    count.add_(added[:, 0])
