"""Hyperparameters that members have each for themselves: kinds, spaces, and spaces to begin with."""

from evorl.hyperparameters.defaults import DEFAULTS, space_for
from evorl.hyperparameters.grid import grid
from evorl.hyperparameters.kinds import Categorical, Factors, Float, Int, Kind, Ordinal
from evorl.hyperparameters.optuna_trials import Rung, Sampler, propose, require_optuna, stopped
from evorl.hyperparameters.spaces import Space, SpaceForms, Values, parse_space, traits_of

__all__ = [
    "DEFAULTS",
    "Categorical",
    "Factors",
    "Float",
    "Int",
    "Kind",
    "Ordinal",
    "Rung",
    "Sampler",
    "Space",
    "SpaceForms",
    "Values",
    "grid",
    "parse_space",
    "propose",
    "require_optuna",
    "space_for",
    "stopped",
    "traits_of",
]
