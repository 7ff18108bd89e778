"""A task that paints its frames itself, for what is looked at: importing this module registers `tests/Painted-v0`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

PAINTED = "tests/Painted-v0"
#: Height and width of its frames.
SIZE = (32, 48)


class Painted(gymnasium.Env[Any, Any]):
    """Sends the last bits of an action far: its states are chaotic. An episode has 6 to 9 steps, as its seed says.

    The frame of step s is grey, 20 s bright, and always the same canvas.

    Args:
        render_mode: `rgb_array` for frames.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012, so Gymnasium has it

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = Box(-np.inf, np.inf, (4,), np.float64)
        self.action_space = Box(-2.0, 2.0, (4,), np.float32)
        self.canvas = np.zeros((*SIZE, 3), np.uint8)
        self.steps, self.last_step = 0, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start the episode of `seed`."""
        super().reset(seed=seed)
        self.state = self.np_random.normal(size=4)
        self.steps, self.last_step = 0, 6 + (seed or 0) % 4
        return self.state, {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Fold the state."""
        self.state = np.sin(40 * self.state + action)
        self.steps += 1
        return self.state, float(self.state.sum()), self.steps == self.last_step, False, {}

    def render(self) -> Any:
        """Return the canvas."""
        self.canvas[:] = 20 * self.steps
        return self.canvas


def register() -> None:
    """Make the task known to Gymnasium; again without effect."""
    if PAINTED not in gymnasium.registry:
        gymnasium.register(PAINTED, entry_point="painted:Painted")


register()
