"""The command line: one file a command, each calling the Python functions of the same name."""

from evorl.cli.dispatch import main, script

__all__ = ["main", "script"]
