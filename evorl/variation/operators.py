"""The genetic operators as a `deap.base.Toolbox`, by name, so that stock DEAP operators can take a place."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from deap import base
from numpy.random import Generator

from evorl.errors import ConfigError, require_between
from evorl.policies import Block
from evorl.variation.rows import MutationConfig, mate_rows, mutate_sparse

OPERATOR = "an operator, module:function:name=value,..."
#: What DEAP's conventions give each operator: individuals and how many, two individuals, one.
POSITIONAL = {"select": 2, "mate": 2, "mutate": 1}


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
    toolbox.register("mate", own.get(config.mate) or operator("mate", config.mate))
    sparse = {"sparse": partial(mutate_sparse, layout=layout, generator=generator, config=config)}
    toolbox.register("mutate", sparse.get(config.mutate) or operator("mutate", config.mutate))
    toolbox.register("select", operator("select", config.select))
    toolbox.register("clone", copy.deepcopy)
    return toolbox


def operator(argument: str, text: str) -> Callable[..., Any]:
    """Return the operator that `module:function:name=value,...` names, its arguments bound.

    Args:
        argument: whose value `text` is, for the message of a fault.
        text: such as `deap.tools:cxUniform:indpb=0.5`.

    Raises:
        ConfigError: it cannot be imported, or an argument is not a plain value.
    """
    module, _, rest = text.partition(":")
    name, _, pairs = rest.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
        split = [pair.partition("=") for pair in pairs.split(",") if pair]
        bound = {key: ast.literal_eval(value) for key, _, value in split}
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise ConfigError(f"{argument} must name {OPERATOR}, got {text!r}: {error}") from error
    if not callable(function):
        raise ConfigError(f"{argument} must name {OPERATOR}, got {text!r}: it cannot be called")
    try:
        inspect.signature(function).bind(*[None] * POSITIONAL[argument], **bound)
    except ValueError:  # a builtin that does not tell its arguments
        return partial(function, **bound)
    except TypeError as error:
        raise ConfigError(f"{argument} must name {OPERATOR}, got {text!r}: {error}") from error
    return partial(function, **bound)
