"""The one door of observations and rewards: what is not finite stops the run, and the fault says whose it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evorl.errors import EnvironmentFault
from evorl.task import Task


def fault(task: Task, row: int, step: int, what: str) -> EnvironmentFault:
    """Return the fault of member `row` at a step of its episode, in one line."""
    return EnvironmentFault(f"{task.env_id}, member {row}, step {step} of its episode: {' '.join(what.split())}")


def require_finite(
    task: Task,
    rows: Sequence[int],
    steps: Sequence[int],
    observations: NDArray[np.float32],
    rewards: NDArray[np.float64] | None = None,
) -> None:
    """Raise EnvironmentFault unless observations (k, o) and rewards (k,) are finite.

    Args:
        task: where they come from.
        rows: the k members.
        steps: of each member's episode, k.
        observations: (k, o).
        rewards: (k,); None after a reset.
    """
    if not np.isfinite(observations).all():
        index = int(np.argmin(np.isfinite(observations).all(axis=1)))
        raise fault(task, rows[index], steps[index], "its observation must be finite, got NaN or infinity")
    if rewards is not None and not np.isfinite(rewards).all():
        index = int(np.argmin(np.isfinite(rewards)))
        raise fault(task, rows[index], steps[index], f"its reward must be finite, got {rewards[index]}")
