"""How long does a user wait for help, and for the first learning update?

`python -m benchmarks.launch FOLDER` begins a run in FOLDER and ends after its first update.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.report import Cell, Goal, Result
from benchmarks.timing import clocked

WARMUP = 1_000
COMMAND = f"train td3 --env-id Pendulum-v1 --warmup-steps {WARMUP} --total-timesteps 20000".split()


def first_update(runs: str) -> None:
    """Begin a run from the command line and exit after its first update."""
    from evorl.cli import main
    from evorl.learning import ActorCritic

    update = ActorCritic.critic_step

    def update_and_exit(*args: Any, **kwargs: Any) -> None:
        update(*args, **kwargs)
        sys.exit()

    setattr(ActorCritic, "critic_step", update_and_exit)  # noqa: B010  the run is ended from outside of the library
    main([*COMMAND, "--runs", runs])


def measure(repeats: int = 3) -> Result:
    """Time both from the start of their process to its end."""
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "evorl --help": [sys.executable, "-m", "evorl", "--help"],
            "first learning update": [sys.executable, "-m", "benchmarks.launch"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for repeat in range(repeats + 1):
            for name, command in commands.items():
                runs = [f"{folder}/{repeat}"] if "launch" in command[-1] else []
                took = clocked(lambda call=[*command, *runs]: subprocess.run(call, check=True, capture_output=True))  # type: ignore[misc]
                seconds[name] += [took] if repeat else []
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    rows: list[list[Cell]] = [[name, took] for name, took in medians.items()]
    goals = [
        Goal(f"seconds of {name}", bar, medians[name], at_most=True)
        for name, bar in zip(commands, (0.4, 6.0), strict=True)
    ]
    compared = (
        f"Seconds of a process from its start to its end; the update is the first of `evorl {' '.join(COMMAND)}`. "
        f"Medians of {repeats}, after one that warms the disk's cache."
    )
    return Result("What a user waits for", compared, ("what", "seconds"), rows, goals)


if __name__ == "__main__":
    first_update(sys.argv[1])
