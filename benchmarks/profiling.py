"""Into which operations does the time of an update go?"""

from __future__ import annotations

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.report import Cell, Result
from benchmarks.setups import Case, setup, transitions

CASES = (Case(10, (256, 256), 256), Case(40, (64, 64), 128))


def shares(case: Case, updates: int, stored: int = 2_000) -> list[tuple[str, float, float]]:
    """Return operations by their own time, most first: name, share of all in percent, calls an update."""
    made = setup(case, transitions(case.members, stored))
    made.update(2)
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        made.update(updates)
    events = sorted(recorded.key_averages(), key=lambda event: -event.self_cpu_time_total)
    whole = sum(event.self_cpu_time_total for event in events)
    return [(event.key, 100 * event.self_cpu_time_total / whole, event.count / updates) for event in events]


def measure(updates: int = 10, shown: int = 10, cases: tuple[Case, ...] = CASES) -> Result:
    """Profile the update of stacked members."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    rows: list[list[Cell]] = []
    for case in cases:
        found = shares(case, updates)
        rows += [[case.name, *row] for row in found[:shown]]
        rest = found[shown:]
        rows.append([case.name, "all others", sum(row[1] for row in rest), sum(row[2] for row in rest)])
    torch.set_num_threads(before)
    compared = f"Own time of torch's operations in {updates} stacked updates, by its profiler, on one thread."
    return Result("Profile of an update", compared, ("members", "operation", "% of the time", "calls an update"), rows)
