"""Hyperparameters that members have each for themselves: kinds, spaces, and spaces to begin with."""

from evorl.hyperparameters.defaults import DEFAULTS, space_for
from evorl.hyperparameters.kinds import Categorical, Factors, Float, Int, Kind, Ordinal
from evorl.hyperparameters.spaces import Space, SpaceForms, Values, parse_space, traits_of

__all__ = [
    "DEFAULTS",
    "Categorical",
    "Factors",
    "Float",
    "Int",
    "Kind",
    "Ordinal",
    "Space",
    "SpaceForms",
    "Values",
    "parse_space",
    "space_for",
    "traits_of",
]
