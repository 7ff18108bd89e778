"""Timing: medians over repeats, with everything that is compared taking turns in one run.

A machine that is slow for a minute is then slow for all, and the ratios hold.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

#: What is timed: a call without arguments, of the same amount of work each time.
Work = Callable[[], object]
#: Numbers of threads of torch's operations that everything is tried with.
THREADS: Sequence[int] = (1, 2)


@dataclass(frozen=True)
class Timing:
    """Median seconds of one piece of work, by the number of torch's threads."""

    by_threads: Mapping[int, float]

    @property
    def threads(self) -> int:
        """Threads with which it is fastest."""
        return min(self.by_threads, key=lambda count: self.by_threads[count])

    @property
    def best(self) -> float:
        """Median seconds with those."""
        return self.by_threads[self.threads]


def interleaved(works: Mapping[str, Work], repeats: int, threads: Sequence[int] | None = None) -> dict[str, Timing]:
    """Time all `works` in turns, each with every number of threads; a first round warms up and is not counted.

    Args:
        works: what is compared, by name.
        repeats: rounds that count.
        threads: numbers of threads of torch's operations, `THREADS` if not given; the one in force before is restored.
    """
    threads = THREADS if threads is None else threads
    seconds: dict[str, dict[int, list[float]]] = {name: {count: [] for count in threads} for name in works}
    before = torch.get_num_threads()
    try:
        for repeat in range(repeats + 1):
            for name, work in works.items():
                for count in threads:
                    torch.set_num_threads(count)
                    took = clocked(work)
                    if repeat:
                        seconds[name][count].append(took)
    finally:
        torch.set_num_threads(before)
    return {
        name: Timing({count: statistics.median(taken) for count, taken in by_threads.items()})
        for name, by_threads in seconds.items()
    }


def clocked(work: Work) -> float:
    """Return the wall seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
