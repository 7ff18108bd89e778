"""Hyperparameters that members have each for themselves: kinds, spaces, spaces to begin with, and schedules."""

from evorl.hyperparameters.defaults import DEFAULTS, space_for
from evorl.hyperparameters.grid import axes, grid
from evorl.hyperparameters.kinds import Categorical, Factors, Float, Int, Kind, Ordinal
from evorl.hyperparameters.optuna_trials import Rung, Sampler, propose, stopped
from evorl.hyperparameters.schedule import Fixed, Schedule, ScheduleFile
from evorl.hyperparameters.spaces import Space, SpaceForms, Values, parse_space, traits_of

__all__ = [
    "DEFAULTS",
    "Categorical",
    "Factors",
    "Fixed",
    "Float",
    "Int",
    "Kind",
    "Ordinal",
    "Rung",
    "Sampler",
    "Schedule",
    "ScheduleFile",
    "Space",
    "SpaceForms",
    "Values",
    "axes",
    "grid",
    "parse_space",
    "propose",
    "space_for",
    "stopped",
    "traits_of",
]
