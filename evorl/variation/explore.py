"""PBT's explore (Jaderberg et al. 2017, section 3 and appendix A): new hyperparameters for members just copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evorl.errors import ConfigError, require_at_least, require_between
from evorl.hyperparameters import Factors, Float, Space, Values, traits_of
from evorl.population import Individual, Population
from evorl.streams import RowStreams, Streams
from evorl.toolbox import operator

#: Takes a population and the rows that were just copied; returns it with new hyperparameters in these rows.
Explore = Callable[[Population, Sequence[int]], Population]
#: Takes the same; returns just the new hyperparameters, (m,) each for m rows.
Propose = Callable[[Population, Sequence[int]], Values]


@dataclass(frozen=True, kw_only=True)
class ExploreConfig:
    """Settings of explore; the defaults are the paper's, but for factors that do not shrink on average."""

    explore: str = "perturb"
    """How h changes in who was just copied: `perturb` multiplies by one of the factors, `resample` draws anew from the
    prior, `both` does either, `none` keeps what was copied; or a mutation of DEAP's conventions,
    module:function:name=value,..., whose individual is a point in the unit cube, such as
    deap.tools:mutGaussian:mu=0,sigma=0.1,indpb=0.5."""
    perturb_factors: Factors = (0.8, 1.25)
    """One of the two multiplies a number; the paper's 0.8 and 1.2 let it shrink by 2 percent on average."""
    resample_probability: float = 0.25
    """Of each hyperparameter by itself to be drawn anew, where explore is `both`."""
    perturb_weights: float = 0.0
    """Standard deviation of the noise on the parameters of who just copied; its fitness is then unknown."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        if len(self.perturb_factors) != 2 or not 0 < self.perturb_factors[0] < 1 < self.perturb_factors[1]:
            raise ConfigError(f"perturb_factors must be two, below 1 and above 1, got {self.perturb_factors}")
        require_between("resample_probability", self.resample_probability, 0, 1)
        require_at_least("perturb_weights", self.perturb_weights, 0)


def explore(space: Space, values: Values, draws: Tensor, factors: Factors, resample_probability: float) -> Values:
    """Return new values (m,) of every hyperparameter: each by itself is drawn anew from its prior, or perturbed.

    Args:
        space: what the values may be.
        values: (m,) each.
        draws: (m, k, 2) uniform in [0, 1): whether to draw anew, and the draw or else the direction.
        factors: what a perturbed number is multiplied by.
        resample_probability: 0 to perturb, 1 to draw anew.
    """
    anew = space.from_unit(draws[..., 1])
    columns = dict(zip(space, draws.unbind(1), strict=True))
    return {
        name: torch.where(
            columns[name][:, 0] < resample_probability,
            anew[name],
            kind.perturb(values[name], columns[name][:, 1], factors),
        )
        for name, kind in space.items()
    }


def perturbed(params: Tensor, normals: Tensor, strength: float) -> Tensor:
    """Return params (m, d) with noise: standard normals (m, d) times `strength`."""
    return params + strength * normals


def make_explore(config: ExploreConfig, space: Space, streams: Streams) -> Explore:
    """Return the operator that a toolbox calls `explore`; a row draws from its own stream `explore_h`.

    It is not that of acting, `explore`: what a member does must not depend on whether others have it draw.

    Raises:
        ConfigError: `config.explore` names no operator, or a space is too narrow to perturb anything in it.
    """
    change = _changer(config, space, streams)

    def propose(population: Population, rows: Sequence[int]) -> Values:
        return change(space.values_of(population[rows].traits), streams.rows("explore_h", rows))

    return explore_by(propose, config, streams)


def explore_by(propose: Propose, config: ExploreConfig, streams: Streams) -> Explore:
    """Return the operator that gives who was just copied the hyperparameters that `propose` returns, and the noise."""

    def explored(population: Population, rows: Sequence[int]) -> Population:
        copied, values = population[rows], propose(population, rows)
        if config.perturb_weights:
            normals = streams.rows("explore_h", rows).normal(copied.params.shape[1]).to(copied.params.device)
            copied = copied.with_params(perturbed(copied.params, normals, config.perturb_weights))
        return population.put(rows, copied.with_traits(**traits_of(values)))

    return explored


def _changer(config: ExploreConfig, space: Space, streams: Streams) -> Callable[[Values, RowStreams], Values]:
    """Return what makes new values of the values (m,) and streams of m rows."""
    if config.explore == "none":
        return lambda values, own: dict(values)
    shares = {"perturb": 0.0, "resample": 1.0, "both": config.resample_probability}
    if config.explore not in shares:
        mutate = operator("explore", config.explore, ("none", *shares))
        return lambda values, own: _mutated(space, values, mutate, streams) if space else values
    factors, share = config.perturb_factors, shares[config.explore]
    if share < 1:
        _require_room(space, factors)
    return lambda values, own: explore(space, values, own.uniform(0, 1, len(space), 2).double(), factors, share)


def _mutated(space: Space, values: Values, mutate: Callable[..., Any], streams: Streams) -> Values:
    """Return the values after a mutation of DEAP's conventions, in place on points in the unit cube."""
    cube = space.to_unit(values).numpy()
    with streams.as_global("explore"):
        for point in cube:
            mutate(Individual(point))
    return space.from_unit(torch.from_numpy(cube))


def _require_room(space: Space, factors: Factors) -> None:
    """Raise ConfigError if a number would go from bound to bound whatever it is multiplied by."""
    for name, kind in space.items():
        if isinstance(kind, Float) and kind.low < kind.high:
            ends = [1 - bound if kind.scale == "complement" else bound for bound in kind.bounds]
            near, far = sorted(map(abs, ends))
            if ends[0] * ends[1] > 0 and near * max(factors[1], 1 / factors[0]) > far:
                wide = "the factor between its bounds must not be less than that of a perturbation"
                raise ConfigError(f"space of {name} must be wider to be perturbed, or be resampled: {wide}, got {kind}")
