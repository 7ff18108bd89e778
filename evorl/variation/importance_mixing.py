"""Importance mixing (Pourchot, Perrin & Sigaud 2018): old samples that the new Gaussian might have drawn are kept.

With the density p of the last Gaussian and p' of the present one, an old sample z is kept with probability
min(1, p'(z) / p(z)). Where it is not, fresh samples are drawn from p' until one is accepted, with probability
max(0, 1 - p(z) / p'(z)). A row is thus kept as z with density min(p, p') and filled with the rest of p': its law is p'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from evorl.population import Individual, Population
from evorl.streams import Streams
from evorl.variation.gaussian import DiagonalGaussian, GaussianConfig, Matrix, Vector, sample

#: Mean (d,) and variance (d,).
Moments = tuple[Vector, Vector]
Mask = NDArray[np.bool_]

#: Fresh samples tried for a row; one more is taken as it is. If a share s of samples is kept, it comes to that with
#: probability (1 - s) s^1000: for fewer than one row in 2,700, whatever s is.
TRIES = 1_000


def log_ratio(samples: Matrix, new: Moments, old: Moments) -> Vector:
    """Return `log p'(z) - log p(z)` (k,) of samples (k, d) under two diagonal Gaussians; of equal ones exactly 0."""
    (new_mean, new_variance), (old_mean, old_variance) = new, old
    nearness = np.square(samples - old_mean) / old_variance - np.square(samples - new_mean) / new_variance
    return np.asarray((nearness + np.log(old_variance / new_variance)).sum(axis=1) / 2)


def is_kept(ratios: Vector, uniforms: Vector) -> Mask:
    """Say of old samples with log ratios (k,) whether they are kept: where `log u < ratio`, u uniform in [0, 1)."""
    return np.asarray(uniforms < np.exp(np.minimum(ratios, 0)))


def is_accepted(ratios: Vector, uniforms: Vector) -> Mask:
    """Say of fresh samples with log ratios (k,) whether they are taken: where `log(1 - u) > -ratio`."""
    return np.asarray(uniforms < -np.expm1(-np.maximum(ratios, 0)))


def mix(
    old: Matrix,
    fresh: Matrix,
    ratios_of: Callable[[Matrix], Vector],
    redraw: Callable[[int], Matrix],
    generator: Generator,
) -> tuple[Matrix, Mask]:
    """Return samples (k, d) of the new Gaussian, each row the old one if possible, and which rows were kept.

    Args:
        old: (k, d) samples of the old Gaussian.
        fresh: (k, d) samples of the new one, the first that are tried; they may depend on each other.
        ratios_of: the log ratios (m,) of samples (m, d).
        redraw: returns m independent samples (m, d) of the new Gaussian.
        generator: of the uniforms: one for each old row, then for each row still open, in turns.
    """
    kept = is_kept(ratios_of(old), generator.random(len(old)))
    mixed, open_rows = np.where(kept[:, None], old, fresh), np.flatnonzero(~kept)
    for _ in range(TRIES):
        if not len(open_rows):
            break
        accepted = is_accepted(ratios_of(mixed[open_rows]), generator.random(len(open_rows)))
        open_rows = open_rows[~accepted]
        mixed[open_rows] = redraw(len(open_rows))
    return mixed, kept


class MixingGaussian(DiagonalGaussian):
    """A diagonal Gaussian that remembers the one before it, to keep those of its samples that it might have drawn.

    Args:
        centroid: (d,) the first mean.
        population_size: samples of a generation.
        streams: `vary` draws what `generate` returns; `importance_mixing` all else, so that a generation of which
            nothing is kept or refused is that of a `DiagonalGaussian`.
        config: settings.

    Attributes:
        earlier: mean and variance before the last update.
    """

    def __init__(
        self,
        centroid: Sequence[float] | NDArray[Any],
        population_size: int,
        streams: Streams,
        config: GaussianConfig | None = None,
    ) -> None:
        super().__init__(centroid, population_size, streams.generator("vary"), config)
        self.earlier: Moments = (self.mean, self.variance)
        self._mixing = streams.generator("importance_mixing")

    def update(self, population: Sequence[Individual]) -> None:
        """Refit, and remember what was there."""
        self.earlier = (self.mean, self.variance)
        super().update(population)

    def keep(self, candidates: Population, last: Population | None, rows: Sequence[int]) -> Population:
        """Return the candidates in which, where possible, `rows` are again those of the last generation.

        These keep parameters, id and fitness to the bit, and the trait `reused` (n,) is true; the fitness of all others
        is unknown. Where all candidates could be kept, the last one is a fresh sample all the same.

        Args:
            candidates: what `generate` returned.
            last: the generation before, as evaluated; None before the first.
            rows: where both hold samples as they were drawn.
        """
        reused = torch.zeros(len(candidates), dtype=torch.bool)
        if last is None:
            return candidates.with_traits(reused=reused)
        places = list(rows)
        old, fresh = (members.params[places].cpu().double().numpy() for members in (last, candidates))
        mixed, kept = mix(old, fresh, self._ratios, self._redraw, self._mixing)
        if kept.all() and len(places) == len(candidates):  # else nothing would ever be evaluated again
            mixed[-1], kept[-1] = fresh[-1], False
        params = candidates.params.clone()
        params[places] = torch.from_numpy(mixed).to(params)
        reused[places] = torch.from_numpy(kept)
        stay, mixed_rows = reused.nonzero()[:, 0].tolist(), candidates.with_params(params)
        return (mixed_rows.put(stay, last[stay]) if stay else mixed_rows).with_traits(reused=reused)

    def _ratios(self, samples: Matrix) -> Vector:
        return log_ratio(samples, (self.mean, self.variance), self.earlier)

    def _redraw(self, count: int) -> Matrix:
        return sample(self.mean, self.variance, self._mixing.standard_normal((count, len(self.mean))), antithetic=False)

    def state_dict(self) -> dict[str, Any]:
        """Return both Gaussians and the extra variance in float64."""
        mean, variance = (torch.from_numpy(moment.copy()) for moment in self.earlier)
        return {**super().state_dict(), "earlier_mean": mean, "earlier_variance": variance}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        super().load_state_dict(state)
        self.earlier = state["earlier_mean"].numpy().copy(), state["earlier_variance"].numpy().copy()
