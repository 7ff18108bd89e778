"""Stein variational policy gradients (Liu, Ramachandran, Liu, Peng 2017): n particles climb together and keep apart.

    direction_i = 1/n sum_j (k_ij gradient_j / alpha + d k_ij / d theta_j),   k_ij = exp(-|theta_i - theta_j|^2 / h)

Pure functions of particles (n, d), in double precision inside. Nothing of size n n d is made: the second term is
`2 / h (theta_i sum_j k_ij - sum_j k_ij theta_j)`, a product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor

from evorl.errors import require_above, require_fields
from evorl.learning.annealing import Annealing

#: What an adaptive bandwidth may be divided by.
DIVISORS = torch.linspace(0.1, 2.0, 20, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class SteinConfig:
    """How particles act on each other; the defaults are those of the authors' code."""

    alpha: float = 10.0
    """Temperature: the larger, the more particles keep apart rather than climb."""
    annealing: Annealing = "none"
    """How the temperature changes over the budget; see `evorl.learning.annealing`."""
    bandwidth: Literal["svpg", "svgd"] = "svpg"
    """Median of squared distances over 2 log(n + 1), as in SVPG's code, or over log(n + 1), as in SVGD."""
    median_diagonal: bool = True
    """Whether the median is over the whole matrix of distances, the zeros of its diagonal included, as in the code."""
    bandwidth_floor: float = 1e-8
    """Least bandwidth, a squared distance: it lets one particle, or equal ones, have a kernel at all."""
    adaptive_bandwidth: bool = False
    """Whether the bandwidth is divided by what brings the rows of the kernel nearest to a sum of 2."""
    sharing: bool = True
    """Whether a particle follows the others' gradients too, or only its own."""
    repulsion: bool = True
    """Whether particles keep apart."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        require_fields(self)
        require_above("alpha", self.alpha, 0)
        require_above("bandwidth_floor", self.bandwidth_floor, 0)


def squared_distances(particles: Tensor) -> Tensor:
    """Return the squared Euclidean distances (n, n) of particles (n, d), in double precision.

    Differences are squared one by one; from norms and products, near particles would come out as equal.
    """
    doubles = particles.double()
    return torch.cdist(doubles, doubles, compute_mode="donot_use_mm_for_euclid_dist").square()


def bandwidth(squares: Tensor, config: SteinConfig) -> Tensor:
    """Return the bandwidth h, no dimensions, for squared distances (n, n)."""
    others = ~torch.eye(len(squares), dtype=torch.bool, device=squares.device)
    entries = squares.flatten() if config.median_diagonal or len(squares) == 1 else squares[others]
    median = entries.quantile(0.5, interpolation="midpoint")
    divisor = {"svpg": 2.0, "svgd": 1.0}[config.bandwidth] * log(len(squares) + 1)
    plain = (median / divisor).clamp(min=config.bandwidth_floor)
    if not config.adaptive_bandwidth:
        return plain
    divided = plain / DIVISORS.to(plain.device)
    sums = kernel(squares, divided[:, None, None]).sum(dim=2)
    return divided[(sums - 2).square().mean(dim=1).argmin()]


def kernel(squares: Tensor, h: Tensor) -> Tensor:
    """Return `k = exp(-squares / h)`, (n, n)."""
    return torch.exp(-squares / h)


def repulsion(particles: Tensor, squares: Tensor, h: Tensor) -> Tensor:
    """Return `1/n sum_j 2/h k_ij (theta_i - theta_j)`, (n, d), the gradient of the kernel, in double precision.

    Args:
        particles: (n, d).
        squares: (n, n) their squared distances.
        h: bandwidth, no dimensions.
    """
    apart = kernel(squares, h).masked_fill(squares == 0, 0.0)  # equal ones must cancel exactly: h may be tiny
    doubles = particles.double()
    return (2 / (h * len(particles))) * (apart.sum(dim=1, keepdim=True) * doubles - apart @ doubles)


def direction(particles: Tensor, gradients: Tensor, alpha: float, config: SteinConfig) -> tuple[Tensor, Tensor]:
    """Return in which direction each particle is to climb.

    Args:
        particles: (n, d) policy parameters.
        gradients: (n, d) of each particle's own objective, to be climbed.
        alpha: the present temperature, annealed or not.
        config: the kernel, and what is left out for a control.

    Returns:
        The directions (n, d), of the particles' precision, and the bandwidth, no dimensions. One particle, and each of
        several equal ones, gets the mean gradient over alpha. A particle that has diverged, or its gradient, acts on
        nobody and gets NaN.
    """
    sound = (particles.isfinite() & gradients.isfinite()).all(dim=1)
    if sound.any() and not sound.all():
        directions = torch.full_like(particles, torch.nan)
        directions[sound], h = direction(particles[sound], gradients[sound], alpha, config)
        return directions, h
    squares = squared_distances(particles)
    h = bandwidth(squares, config)
    climb = gradients.double() / alpha
    climb = kernel(squares, h) @ climb if config.sharing else climb
    both = climb / len(particles) + (repulsion(particles, squares, h) if config.repulsion else 0.0)
    return both.to(particles.dtype), h
