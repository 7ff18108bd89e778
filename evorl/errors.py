"""The faults that evorl reports, each in one line that names what was needed and what came."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import math
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin, get_type_hints


class EvorlError(Exception):
    """Root of all faults that evorl raises on purpose; `exit_code` is what the command line ends with."""

    exit_code = 2


class ConfigError(EvorlError, ValueError):
    """A setting that cannot work; raised before anything runs."""


class RunFolderError(EvorlError):
    """A run folder that is missing, in the way, cut, altered or of another run."""


class EnvironmentFault(EvorlError, RuntimeError):
    """An environment raised, or returned something that is not a number, while a run was under way."""

    exit_code = 1


class OperatorFault(EvorlError, RuntimeError):
    """An operator that a setting names raised while a run was under way."""

    exit_code = 1


class Diverged(EvorlError, RuntimeError):
    """No member has finite parameters any more."""

    exit_code = 1


class Interrupted(EvorlError):
    """The user asked a run to end; it did, after its generation."""

    exit_code = 130


def nearest(word: str, words: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the word of `words` nearest to `word`, or nothing."""
    matches = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def require_at_least(name: str, value: float, least: float) -> None:
    """Raise ConfigError unless `value` is finite and at least `least`."""
    if not (value >= least and math.isfinite(value)):
        raise ConfigError(f"{name} must be at least {least}, got {value}")


def require_above(name: str, value: float, bound: float) -> None:
    """Raise ConfigError unless `value` is finite and above `bound`."""
    if not (value > bound and math.isfinite(value)):
        raise ConfigError(f"{name} must be above {bound}, got {value}")


def require_fields(settings: Any) -> None:
    """Raise ConfigError unless every field of a dataclass holds what its hint says, where that can be told.

    One of a few words, an integer, or just one of the dataclasses that are named: what is derived from these could not
    be written and read again.
    """
    for name, hint in get_type_hints(type(settings)).items():
        value, kinds = getattr(settings, name), get_args(hint) or (hint,)
        if get_origin(hint) is Literal and value not in kinds:
            raise ConfigError(f"{name} must be one of {', '.join(kinds)}, got {value!r}{nearest(str(value), kinds)}")
        if hint in (int, int | None) and type(value) not in kinds:
            raise ConfigError(f"{name} must be an integer, got {value!r}")
        if all(map(dataclasses.is_dataclass, kinds)) and type(value) not in kinds:
            names = " or ".join(kind.__name__ for kind in kinds)
            raise ConfigError(f"{name} must be {names}, got {type(value).__name__}")


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless `low <= value <= high`."""
    if not low <= value <= high:
        raise ConfigError(f"{name} must be between {low} and {high}, got {value}")


def require_installed(who: str, module: str, package: str, extra: str) -> None:
    """Raise ConfigError unless `module` can be imported, which `package` has and `extra` brings along."""
    if importlib.util.find_spec(module) is None:
        raise ConfigError(f"{who} needs {package}; pip install 'evorl-torch[{extra}]'")
