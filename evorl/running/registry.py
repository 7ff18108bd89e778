"""Finding algorithms: entry points of the group `evorl.algorithms`, and subclasses in modules the user names."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from evorl.errors import ConfigError, nearest
from evorl.imports import import_module

if TYPE_CHECKING:
    from evorl.template import Config, EvoRL

GROUP = "evorl.algorithms"


def import_modules(names: Iterable[str]) -> None:
    """Import the user's modules, which may register environments and define algorithms; the working folder counts.

    Raises:
        ConfigError: an import fails; the message is the module's own.
    """
    for name in names:
        import_module("--import", name)


def installed() -> dict[str, str]:
    """Return the installed algorithms, name to `module:class`, without importing them."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


def find(name: str, imports: Iterable[str] = ()) -> type[EvoRL[Any]]:
    """Return the algorithm called `name`, installed or defined in one of the modules `imports`.

    Raises:
        ConfigError: there is none, or it or a module cannot be imported.
    """
    own = defined_in(imports)
    if name in own:
        return own[name]
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        raise ConfigError(
            f"algorithm must be one of {', '.join(sorted(own | points))}, got {name!r}{nearest(name, [*own, *points])}"
        )
    try:
        found: type[EvoRL[Any]] = points[name].load()
    except Exception as error:  # whatever someone else's package raises
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ConfigError(f"algorithm {name} cannot be imported: {reason}") from error
    return found


def defined_in(modules: Iterable[str]) -> dict[str, type[EvoRL[Any]]]:
    """Return the algorithms in modules that the user names, by name; the modules are imported.

    Raises:
        ConfigError: an import fails; the message is the module's own.
    """
    import_modules(modules)
    from evorl.template import EvoRL

    members = [member for module in modules for member in vars(sys.modules[module]).values()]
    found = [own for own in members if inspect.isclass(own) and issubclass(own, EvoRL) and own is not EvoRL]
    return {own.name: own for own in found}


def of_config(config: Config) -> type[EvoRL[Any]]:
    """Return the installed algorithm that stands in one module with the type of `config`.

    Raises:
        ConfigError: there is none.
    """
    for point in entry_points(group=GROUP):
        try:
            algorithm: type[EvoRL[Any]] = point.load()
        except Exception as error:  # one broken package must not stop the others
            warnings.warn(f"algorithm {point.name} cannot be imported: {error}", stacklevel=2)
            continue
        if algorithm.config_type is type(config) and algorithm.__module__ == type(config).__module__:
            return algorithm
    raise ConfigError(f"config must be of an installed algorithm unless `algorithm` is given, got {type(config)}")


def path_of(algorithm: type[EvoRL[Any]]) -> str:
    """Return `module:class`."""
    return f"{algorithm.__module__}:{algorithm.__qualname__}"


def from_path(path: str, imports: Iterable[str] = ()) -> type[EvoRL[Any]]:
    """Return the algorithm at `module:class`.

    Raises:
        ConfigError: it cannot be imported.
    """
    import_modules(imports)
    module, _, name = path.partition(":")
    found: type[EvoRL[Any]] | None = getattr(import_module("algorithm", module), name, None)
    if found is None:
        raise ConfigError(f"algorithm must be importable, got {path!r}: no {name} in {module}")
    return found
