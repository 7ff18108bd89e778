"""Small tasks whose optimum is known in closed form, for tests and first experiments; batched physics is not needed.

`evorl/Quadratic-v0`: one step, reward minus the squared distance of the action to (0.5, -0.5); the best return is 0.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

QUADRATIC = "evorl/Quadratic-v0"


class Quadratic(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """A bandit: one constant observation, one action, then the episode terminates."""

    target = np.array([0.5, -0.5], np.float32)

    def __init__(self) -> None:
        self.observation_space = Box(0.0, 1.0, (1,), np.float32)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return the observation, which is always 1."""
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Return minus the squared distance of the action (2,) to the target, and the end."""
        return np.ones(1, np.float32), -float(np.square(action - self.target).sum()), True, False, {}


def register() -> None:
    """Make the tasks known to Gymnasium; called when `evorl.envs` is imported, again without effect."""
    if QUADRATIC not in gymnasium.registry:
        gymnasium.register(QUADRATIC, entry_point="evorl.envs.analytic:Quadratic", max_episode_steps=1)
