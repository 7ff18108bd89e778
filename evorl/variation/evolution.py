"""New hyperparameters by an evolution step: members are individuals in the unit cube of a space, and breed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from deap import tools
from numpy.typing import NDArray
from torch import Tensor

from evorl.errors import require_at_least, require_between
from evorl.hyperparameters import Categorical, Float, Kind, Ordinal, Space, Values
from evorl.population import Individual, Population
from evorl.streams import Streams
from evorl.variation.full_gaussian import FullGaussian

#: Of the unit cube, one a row.
Points = NDArray[np.float64]
#: Variance of a prior in the unit interval.
PRIOR_VARIANCE = 1 / 12
#: Factors with which a perturbation of a whole number moves it by one.
BY_ONE = (1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """Settings of the evolution step."""

    evolution: Literal["blend", "cma"] = "blend"
    """How new h come about: by DEAP's cxBlend of the donor's h and a mate's, and its mutGaussian; or sampled from a
    Gaussian that deap.cma adapts to all members."""
    blend_alpha: float = 0.5
    """How far a blend may lie outside its parents, as a share of their distance."""
    mutation_std: float = 0.05
    """Standard deviation of the mutation in the unit cube; with cma the least, on average, of the Gaussian."""
    tournament_size: int = 2
    """Members that were not replaced, of which the fittest is the mate."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        require_at_least("blend_alpha", self.blend_alpha, 0)
        require_between("mutation_std", self.mutation_std, 0, 1)
        require_at_least("tournament_size", self.tournament_size, 1)


class Evolution:
    """Proposes h for who was just copied; DEAP draws from `explore` and `vary`, categories from rows' `explore_h`.

    Args:
        config: settings.
        space: of the hyperparameters, whose unit cube is searched; k of them.
        population_size: members.
        anew: probability of a category to be drawn anew.
        streams: all randomness.
    """

    def __init__(
        self, config: EvolutionConfig, space: Space, population_size: int, anew: float, streams: Streams
    ) -> None:
        self.config, self.space, self.anew, self.streams = config, space, anew, streams
        self._searched = [place for place, kind in enumerate(space.values()) if _is_searched(kind)]
        self._gaussian: FullGaussian | None = None
        if config.evolution == "cma" and self._searched:  # it begins as the prior
            middle = np.full(len(self._searched), 0.5)
            self._gaussian = FullGaussian(middle, population_size, streams, PRIOR_VARIANCE, config.mutation_std)

    def propose(self, population: Population, rows: Sequence[int]) -> Values:
        """Return new values (m,) of every hyperparameter for the m rows, whose present ones are their donors'."""
        values = self.space.values_of(population.traits)
        cube = self.space.to_unit(values)
        mates = self._mates(population, rows)
        points = cube[rows].clone()
        if self._searched:
            genomes = cube[:, self._searched].numpy()
            if self._gaussian is None:
                bred = self._blended(genomes, rows, mates)
            else:  # a copy stands for its donor
                bred = _sampled(self._gaussian, genomes, population.fitness.tolist())[: len(rows)]
            points[:, self._searched] = torch.from_numpy(fold(bred))
        draws = self.streams.rows("explore_h", rows).uniform(0, 1, len(self.space), 3).double()
        own, others = ({name: value[chosen] for name, value in values.items()} for chosen in (rows, mates))
        return settle(self.space, own, others, points, draws, self.anew)

    def _mates(self, population: Population, rows: Sequence[int]) -> list[int]:
        """Return for each of the rows the winner of a tournament of those that were not replaced."""
        replaced = set(rows)
        everyone = [Individual(np.empty(0), row, fitness) for row, fitness in enumerate(population.fitness.tolist())]
        stayed = [member for member in everyone if member.row not in replaced] or everyone
        with self.streams.as_global("explore"):
            return [member.row for member in tools.selTournament(stayed, len(rows), self.config.tournament_size)]

    def _blended(self, genomes: Points, rows: Sequence[int], mates: Sequence[int]) -> Points:
        """Return (m, s) children of the rows and their mates, not folded yet; s hyperparameters have an order."""
        children = []
        with self.streams.as_global("explore"):
            for row, mate in zip(rows, mates, strict=True):
                child, other = Individual(genomes[row].copy()), Individual(genomes[mate].copy())
                tools.cxBlend(child, other, self.config.blend_alpha)
                tools.mutGaussian(child, mu=0.0, sigma=self.config.mutation_std, indpb=1.0)
                children.append(child.genome)
        return np.stack(children)

    def state_dict(self) -> dict[str, Any]:
        """Return the Gaussian, if there is one."""
        return {"gaussian": None if self._gaussian is None else self._gaussian.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        if self._gaussian is not None:
            self._gaussian.load_state_dict(state["gaussian"])


def _sampled(gaussian: FullGaussian, genomes: Points, fitness: Sequence[float]) -> Points:
    """Return n samples of the Gaussian after its update by n members."""
    gaussian.update([Individual(genome, row, fitness[row]) for row, genome in enumerate(genomes)])
    return np.stack(gaussian.generate(np.asarray))


def fold(points: Points) -> Points:
    """Return the points reflected at the faces of the unit cube until they lie inside."""
    reflected: Points = 1 - np.abs(1 - np.mod(points, 2))
    return reflected


def settle(space: Space, own: Values, others: Values, points: Tensor, draws: Tensor, anew: float) -> Values:
    """Return the values (m,) at points of the unit cube, where whole numbers always move and categories are inherited.

    Args:
        space: of k hyperparameters.
        own: (m,) each, what the rows had.
        others: (m,) each, what their mates have.
        points: (m, k); those of categories are not read.
        draws: (m, k, 3) uniform in [0, 1): which parent a category is of, whether it is drawn anew, and the draw.
        anew: probability of the latter.
    """
    before = space.to_unit(own)
    settled: dict[str, Tensor] = {}
    for column, (name, kind) in enumerate(space.items()):
        inherit, again, draw = draws[:, column].unbind(1)
        moved = kind.from_unit(points[:, column])
        if _is_category(kind):
            inherited = torch.where(inherit < 0.5, own[name], others[name])
            moved = torch.where(again < anew, kind.from_unit(draw), inherited)
        elif not isinstance(kind, Float):
            towards = (points[:, column] >= before[:, column]).double()
            moved = torch.where(moved == own[name], kind.perturb(own[name], towards, BY_ONE), moved)
        settled[name] = moved
    return settled


def _is_category(kind: Kind) -> bool:
    return isinstance(kind, Categorical) and not isinstance(kind, Ordinal)


def _is_searched(kind: Kind) -> bool:
    """Whether a hyperparameter has an order, and room to move."""
    return not _is_category(kind) and kind.bounds[0] < kind.bounds[1]
