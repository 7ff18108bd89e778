"""MemberEnvs: the contract between members and their environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: What one step of k members returns: observations (k, o) float32, rewards (k,) float64, terminated (k,) and
#: truncated (k,) bool. An episode that ended stays ended until `reset` names its row.
Stepped = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]


class MemberEnvs(Protocol):
    """n environments of one task, row i belonging to member i.

    Only the rows that are named move, so a member whose episode is over costs nothing and whoever counts the rows
    counts the steps. Every reset has an explicit seed and nothing resets by itself. Observations are float32 and
    finite, rewards finite float64; anything else raises EnvironmentFault here, at the one door.
    """

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> NDArray[np.float32]:
        """Start an episode in each of `rows` from its seed; return the observations (k, o)."""

    def step(self, rows: Sequence[int], actions: NDArray[np.float32]) -> Stepped:
        """Step each of `rows` with its action (k, a), in [-1, 1] or the index of a choice."""

    def close(self) -> None:
        """Free what the environments hold; they may be reset again afterwards."""
