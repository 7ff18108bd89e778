"""Settings as plain data: dataclasses to JSON values and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evorl.errors import ConfigError, nearest

#: Key under which a dataclass that stands for a choice says which one it is.
KIND = "kind"
#: Parts of how a run is carried out that its figures depend on.
PROTOCOL = ("test_interval", "test_episodes", "final_episodes")


def decisive(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the figures of a run depend on, from the content of its `config.json`: its config and its tests."""
    return {**stored["config"], **{name: stored["running"][name] for name in PROTOCOL}}


def to_plain(settings: Any) -> dict[str, Any]:
    """Return a dataclass as JSON values; tuples become lists, and a choice among dataclasses names the chosen one."""
    hints = typing.get_type_hints(type(settings))
    plain = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        plain[field.name] = _plain(value)
        if dataclasses.is_dataclass(value) and _choices(hints[field.name]):
            plain[field.name] = {KIND: type(value).__name__, **plain[field.name]}
    return plain


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_plain(value)
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, Path):
        return str(value)
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def _choices(hint: Any) -> dict[str, type[Any]]:
    """Return the dataclasses among which a union chooses, by name."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return {}
    kinds = [kind for kind in typing.get_args(hint) if isinstance(kind, type) and dataclasses.is_dataclass(kind)]
    return {kind.__name__: kind for kind in kinds}


def from_plain(kind: type[Any], plain: Mapping[str, Any]) -> Any:
    """Return the dataclass `kind` that `to_plain` made `plain` of.

    Raises:
        ConfigError: `plain` has a field that `kind` does not know, or a value that it refuses.
    """
    hints = typing.get_type_hints(kind)
    unknown = set(plain) - set(hints)
    if unknown:
        name = sorted(unknown)[0]
        raise ConfigError(f"{kind.__name__} has no setting {name!r}{nearest(name, hints)}")
    return kind(**{name: _restored(hints[name], value) for name, value in plain.items()})


def _restored(hint: Any, value: Any) -> Any:
    choices = _choices(hint)
    if choices and isinstance(value, Mapping):
        chosen = value.get(KIND)
        if chosen not in choices:
            raise ConfigError(f"{KIND} must be one of {', '.join(choices)}, got {chosen!r}")
        return from_plain(choices[chosen], {name: inner for name, inner in value.items() if name != KIND})
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_plain(hint, value)
    return tuple(value) if isinstance(value, list) else value


def differences(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return `name: first -> second` for every setting in which two plain settings differ."""
    found = []
    for name in sorted({*first, *second}):
        one, other = first.get(name), second.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, f"{prefix}{name}.")
        elif one != other:
            found.append(f"{prefix}{name}: {one} -> {other}")
    return found
