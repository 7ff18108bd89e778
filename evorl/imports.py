"""Imports of what a user names; the working folder counts."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

from evorl.errors import ConfigError


def import_module(argument: str, name: str) -> ModuleType:
    """Import the module `name`.

    Args:
        argument: which setting named it, for the message of a fault.
        name: dotted.

    Raises:
        ConfigError: the import fails; the message is the module's own.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(name)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ConfigError(f"{argument} must name a module that imports, got {name!r}: {reason}") from error
