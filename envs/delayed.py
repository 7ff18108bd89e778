"""Delayed rewards, the harder form of a task that P3S-TD3 is compared on (Jung, Park & Sung 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evorl.envs.member_envs import MemberEnvs, Stepped
from evorl.errors import require_at_least


class DelayedReward:
    """MemberEnvs whose rewards are withheld: their sum is paid every so many steps, and at an episode's end.

    The undiscounted return of an episode is unchanged. Every episode counts its steps from its own start; in the
    authors' code the count, and what is still owed, go on beyond a time limit into the next one.

    Args:
        envs: those of the undelayed task.
        n: number of rows.
        every: steps from one payment to the next.

    Raises:
        ConfigError: `every` is below 1.
    """

    def __init__(self, envs: MemberEnvs, n: int, every: int) -> None:
        require_at_least("every", every, 1)
        self._envs = envs
        self._every = every
        self._owed = np.zeros(n)
        self._elapsed = np.zeros(n, np.int64)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> NDArray[np.float32]:
        """Start an episode in each of `rows` from its seed, with nothing owed; return the observations (k, o)."""
        observations = self._envs.reset(rows, seeds)
        index = list(rows)
        self._owed[index], self._elapsed[index] = 0.0, 0
        return observations

    def step(self, rows: Sequence[int], actions: NDArray[np.float32]) -> Stepped:
        """Step each of `rows` with its action (k, a); what is paid stands in place of the rewards."""
        observations, rewards, terminated, truncated = self._envs.step(rows, actions)
        index = list(rows)
        self._owed[index] += rewards
        self._elapsed[index] += 1
        due = terminated | truncated | (self._elapsed[index] % self._every == 0)
        paid = np.where(due, self._owed[index], 0.0)
        self._owed[index] = np.where(due, 0.0, self._owed[index])
        return observations, paid, terminated, truncated

    def close(self) -> None:
        """Close the environments."""
        self._envs.close()
