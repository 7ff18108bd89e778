"""`evorl list`: the algorithms that are installed, read off their sources without importing them, and the user's."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from evorl.errors import ConfigError
from evorl.running.registry import defined_in, installed, path_of


def run(words: Sequence[str]) -> None:
    """Print a line for each algorithm."""
    if {"-h", "--help"} & set(words):
        print(
            "usage: evorl list [--import MODULE ...]\n\nThe algorithms that are installed, and those of your modules."
        )
        return
    if words and words[0] != "--import":
        raise ConfigError(f"list takes --import MODULE ... and no other words, got {words[0]!r}")
    own = defined_in(words[1:]) if words else {}
    found = installed() | {name: path_of(algorithm) for name, algorithm in own.items()}
    width = max(map(len, found))
    for name, path in sorted(found.items()):
        print(f"{name:<{width}}  {_summary(path)}")


def _summary(path: str) -> str:
    """Return the first line of what the module of `module:class` says of itself."""
    try:
        spec = importlib.util.find_spec(path.partition(":")[0])
    except ImportError:  # of the package that it is in
        spec = None
    if spec is None or spec.origin is None:
        return f"not importable: {path}"
    documented = ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or ""
    return documented.partition("\n")[0]
