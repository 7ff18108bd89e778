"""Stopwatch: where the seconds of a generation go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

#: What is timed: the four parts of the loop, and what a run does beside them.
PARTS = ("vary", "learn", "evaluate", "select", "test", "checkpoint")

P = ParamSpec("P")
R = TypeVar("R")


class Stopwatch:
    """Seconds by what they were spent on, from one reading to the next."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._seconds = dict.fromkeys(PARTS, 0.0)

    def timed(self, part: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `call` returns; its seconds are added to those of `part`."""
        began = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            self._seconds[part] += time.perf_counter() - began

    def read(self) -> dict[str, float]:
        """Return the seconds of each of `PARTS` and of the rest since the last reading by their tags; begin anew."""
        now = time.perf_counter()
        rest = now - self._began - sum(self._seconds.values())
        read = {f"time/{part}": seconds for part, seconds in self._seconds.items()} | {"time/rest": rest}
        self._began, self._seconds = now, dict.fromkeys(PARTS, 0.0)
        return read
