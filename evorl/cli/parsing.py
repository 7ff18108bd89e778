"""Dataclass to flags by tyro, its complaints in one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from evorl.errors import ConfigError

Parsed = TypeVar("Parsed")

#: Flags may stand in any order around a choice such as `learner:td3`.
CASCADE = (tyro.conf.CascadeSubcommandArgs,)


def parse(kind: type[Parsed], words: Sequence[str], prog: str, description: str, default: Any = None) -> Parsed:
    """Return the dataclass `kind` filled from the command line.

    Raises:
        ConfigError: a flag is unknown or missing, or a value is not of its type or range.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            parsed: Parsed = tyro.cli(
                kind, args=list(words), prog=prog, description=description, default=default, config=CASCADE
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        raise ConfigError(one_line(complaint.getvalue())) from None
    return parsed


def one_line(boxed: str) -> str:
    """Return tyro's boxed complaint as one line, without its title and the help it repeats."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", boxed).partition("\n")[2]
    text = re.sub(r"[\u2500-\u257f]+|-{4,}|^[|+]|[|+]$", " ", text, flags=re.MULTILINE)
    text = re.split(r"For full helptext|Argument helptext:", text)[0]
    return " ".join(text.split())
