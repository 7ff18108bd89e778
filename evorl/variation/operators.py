"""The genetic operators as a `deap.base.Toolbox`, by name, so that stock DEAP operators can take a place."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from deap import base
from numpy.random import Generator

from evorl.errors import require_between
from evorl.policies import Block
from evorl.toolbox import operator
from evorl.variation.rows import MutationConfig, mate_rows, mutate_sparse


@dataclass(frozen=True, kw_only=True)
class GeneticConfig(MutationConfig):
    """Settings of the genetic algorithm; the defaults are those of ERL's 2018 code on HalfCheetah."""

    elite_fraction: float = 0.1
    """Share of the members that are copied and protected; at least one is."""
    mutation_probability: float = 0.9
    """Of each member that is not protected."""
    select: str = "deap.tools:selTournament:tournsize=3"
    """Draws offspring: an operator of DEAP's conventions, module:function:name=value,..."""
    mate: str = "rows"
    """Crosses two members: `rows`, or an operator as above, such as deap.tools:cxTwoPoint."""
    mutate: str = "sparse"
    """Mutates a member: `sparse`, or an operator as above."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        super().check()
        require_between("elite_fraction", self.elite_fraction, 0, 0.5)
        require_between("mutation_probability", self.mutation_probability, 0, 1)

    def elites(self, members: int) -> int:
        """Return how many of `members` are copied and protected."""
        return max(1, int(self.elite_fraction * members))


def genetic_toolbox(config: GeneticConfig, layout: Sequence[Block], generator: Generator) -> base.Toolbox:
    """Return a toolbox with `select`, `mate`, `mutate` and `clone`.

    Args:
        config: names of the operators, and settings of our own.
        layout: the blocks of a row.
        generator: of our own operators; DEAP's draw from global state and need `streams.as_global`.

    Raises:
        ConfigError: a name cannot be imported, or its arguments are not plain values.
    """
    toolbox = base.Toolbox()
    own = {"rows": partial(mate_rows, layout=layout, generator=generator)}
    toolbox.register("mate", own.get(config.mate) or operator("mate", config.mate, own))
    sparse = {"sparse": partial(mutate_sparse, layout=layout, generator=generator, config=config)}
    toolbox.register("mutate", sparse.get(config.mutate) or operator("mutate", config.mutate, sparse))
    toolbox.register("select", operator("select", config.select))
    toolbox.register("clone", copy.deepcopy)
    return toolbox
