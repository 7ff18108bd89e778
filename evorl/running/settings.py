"""Settings as plain data: dataclasses to JSON values and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from evorl.errors import ConfigError, nearest


def to_plain(settings: Any) -> dict[str, Any]:
    """Return a dataclass as JSON values; tuples become lists."""
    return {name: _plain(value) for name, value in dataclasses.asdict(settings).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


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
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_plain(hint, value)
    if typing.get_origin(hint) is tuple:
        return tuple(value)
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and isinstance(value, list):
        return tuple(value)
    return value


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
