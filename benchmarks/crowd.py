"""What do a hundred small members cost that act and learn, in time and in memory?

`python -m benchmarks.crowd N` prints, as JSON, how many bytes of memory N members took.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Cell, Goal, Result
from benchmarks.timing import interleaved
from evorl.algorithms.td3 import TD3
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig

_SMALL = NetworkConfig(hidden_sizes=(64, 64))
BATCH, STORED = 128, 10_000


def small_learners(n: int, interval: int) -> TD3:
    """Return n members of 64-64 on Pendulum-v1 that are past their warm-up of one interval."""
    learner = TD3Config(critic=_SMALL, batch_size=BATCH)
    config = TD3.preset(
        "published",
        env_id="Pendulum-v1",
        population_size=n,
        network=_SMALL,
        learner=learner,
        warmup_steps=interval,
        interval=interval,
        replay_size=STORED,
        total_timesteps=n * STORED,
    )
    made = TD3(config)
    made.step()
    return made


def memory(n: int) -> int:
    """Return by how many bytes the greatest memory of this process grew while n members acted and learned."""
    before = _peak()
    made = small_learners(n, BATCH)
    made.step()
    made.close()
    return _peak() - before


def _peak() -> int:
    """Return the greatest memory of this process so far, on Linux; `getrusage` would include its parent's."""
    (line,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), flags=re.MULTILINE)
    return 1024 * int(line)


def memory_apart(n: int) -> int:
    """Return `memory` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.crowd", str(n)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(json.loads(ended.stdout))


def measure(
    sizes: Sequence[int] = (25, 50, 100, 200), timed: int = 100, interval: int = 30, repeats: int = 3
) -> Result:
    """Time `timed` members; take the memory of as many as `sizes` says."""
    made = small_learners(timed, interval)
    timing = interleaved({"step": made.step}, repeats)["step"]
    made.close()
    each = 1e3 * timing.best / (timed * interval)
    rows: list[list[Cell]] = []
    for n in sizes:
        megabytes = memory_apart(n) / 1e6
        rows.append([float(n), each if n == timed else "", megabytes, megabytes / n])
    compared = (
        f"TD3 members of 64-64 with minibatches of {BATCH} on Pendulum-v1, one update a step. The time is wall time of "
        f"`step()` for {timed} members, acting and stepping included, for each update of a member, at the better "
        f"number of threads ({timing.threads}); median of {repeats} rounds of {interval} steps. The memory is by how "
        "much the peak of a process of its own grew."
    )
    goals = [Goal(f"ms an update of a member, {timed} small members on Pendulum-v1", 0.6, each, at_most=True)]
    columns = ("members", "ms a member-update", "MB", "MB a member")
    return Result("A hundred small members", compared, columns, rows, goals)


if __name__ == "__main__":
    print(json.dumps(memory(int(sys.argv[1]))))
