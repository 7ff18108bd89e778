"""Cart-pole swing-up, the task of SVPG's figures: one environment, or rows of members that are stepped together.

`evorl/CartPoleSwingUp-v0` is rllab's task (Duan et al. 2016; after Tornio & Raiko 2006): masses, lengths, gravity, time
step, starts, reward and end are those of its Box2D model. The reward is the cosine of the pole's angle from upright,
and -100 at the step that leaves the track, which ends the episode; after 500 steps it is cut.

What differs from rllab:

- The equations of motion are solved in closed form by one Runge-Kutta step of fourth order (error of the energy below
  1e-3 J over an episode). Box2D takes a first-order step and restores the joints by impulses, which costs energy.
- A pole starts on its hinge and moves with it. In rllab a start moves the cart and leaves the pole where it was, so
  that the joint pulls them together in the first step, with a jerk.
- Observed are the cosine and sine of the angle, not the angle, which has no bound there. Its sign is the other one: it
  grows from upright towards positive positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, pi
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import seeding
from numpy.random import Generator
from numpy.typing import NDArray

from evorl.envs.door import require_finite
from evorl.envs.member_envs import Stepped
from evorl.task import Task

SWING_UP = "evorl/CartPoleSwingUp-v0"

# Kilograms, metres, seconds, newtons: rllab's model, a box of density 1 on each body.
CART_MASS, POLE_MASS = 1.0, 0.1
POLE_LENGTH, POLE_WIDTH = 1.0, 0.1
GRAVITY = 10.0
TIME_STEP = 0.05
MAX_FORCE = 10.0
#: Distance from the middle at which the track ends.
MAX_POSITION = 3.0
#: Reward of the step that leaves the track.
PENALTY = -100.0
#: Bounds of the uniform start: position, velocity, angle from upright, angular velocity.
START_LOW, START_HIGH = (-1.0, -2.0, pi - 1.0, -3.0), (1.0, 2.0, pi + 1.0, 3.0)

_MASS = CART_MASS + POLE_MASS
_MOMENT = POLE_MASS * POLE_LENGTH / 2  # first and second moment of the pole about its hinge
_INERTIA = POLE_MASS * (POLE_LENGTH**2 / 3 + POLE_WIDTH**2 / 12)

Array = NDArray[np.float64]


def start(generator: Generator) -> Array:
    """Draw a state (4,): position, velocity, angle from upright, angular velocity."""
    return generator.uniform(START_LOW, START_HIGH)


def derivative(state: Array, force: Array) -> Array:
    """Return the change in time of states (4, ...) under forces (...) on their carts.

    It solves the equations of Lagrange of the two bodies for their accelerations.
    """
    _, velocity, angle, spin = state
    sine, cosine = np.sin(angle), np.cos(angle)
    pushed = force + _MOMENT * spin * spin * sine
    turned = _MOMENT * GRAVITY * sine
    coupling = _MOMENT * cosine
    determinant = _MASS * _INERTIA - coupling * coupling
    acceleration = (_INERTIA * pushed - coupling * turned) / determinant
    angular_acceleration = (_MASS * turned - coupling * pushed) / determinant
    return np.stack([velocity, acceleration, spin, angular_acceleration])


def advance(state: Array, force: Array) -> Array:
    """Return the states (4, ...) a time step later, the forces (...) being held."""
    first = derivative(state, force)
    second = derivative(state + TIME_STEP / 2 * first, force)
    third = derivative(state + TIME_STEP / 2 * second, force)
    fourth = derivative(state + TIME_STEP * third, force)
    return state + TIME_STEP / 6 * (first + 2 * second + 2 * third + fourth)


def observe(state: Array) -> NDArray[np.float32]:
    """Return position, velocity, cosine and sine of the angle, and angular velocity, (..., 5), of states (4, ...)."""
    position, velocity, angle, spin = state
    return np.stack([position, velocity, np.cos(angle), np.sin(angle), spin], axis=-1).astype(np.float32)


def judge(state: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return the rewards (...) of states (4, ...) and whether they are off the track (...)."""
    off = np.abs(state[0]) > MAX_POSITION
    return np.where(off, PENALTY, np.cos(state[2])), off


class SwingUp(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """One cart and its pole; the action (1,) is the force on the cart, in newtons.

    Attributes:
        state: (4,) position, velocity, angle from upright, angular velocity.
    """

    def __init__(self) -> None:
        bound = np.array([inf, inf, 1, 1, inf], np.float32)
        self.observation_space = Box(-bound, bound, dtype=np.float32)
        self.action_space = Box(-MAX_FORCE, MAX_FORCE, (1,), np.float32)
        self.state = np.array([0.0, 0.0, pi, 0.0])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start about the middle with the pole hanging down, both moving; return the observation (5,)."""
        super().reset(seed=seed)
        self.state = start(self.np_random)
        return observe(self.state), {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Push the cart for a time step; return observation (5,), reward and whether it left the track."""
        force = np.clip(action[0], -MAX_FORCE, MAX_FORCE).astype(np.float64)
        self.state = advance(self.state, force)
        reward, off = judge(self.state)
        return observe(self.state), float(reward), bool(off), False, {}


class SwingUpEnvs:
    """MemberEnvs of the swing-up: all rows that are named move in one step of NumPy.

    Bit for bit, a row does what an environment of its own would do from the same seed with the same actions.

    Args:
        task: what `describe` returned.
        n: number of rows.
    """

    def __init__(self, task: Task, n: int) -> None:
        self.task = task
        self._limit = inf if task.time_limit is None else task.time_limit
        self._states = np.zeros((4, n))
        self._elapsed = np.zeros(n, np.int64)
        self._started = np.zeros(n, bool)

    def __len__(self) -> int:
        return len(self._started)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> NDArray[np.float32]:
        """Start an episode in each of `rows` from its seed; return the observations (k, o)."""
        for row, seed in zip(rows, seeds, strict=True):
            self._states[:, row] = start(seeding.np_random(int(seed))[0])
            self._elapsed[row], self._started[row] = 0, True
        return observe(self._states[:, list(rows)])

    def step(self, rows: Sequence[int], actions: NDArray[np.float32]) -> Stepped:
        """Step each of `rows` with its action in [-1, 1], (k, 1)."""
        index = np.asarray(rows, np.int64)
        for row in index[~self._started[index]]:
            raise RuntimeError(f"row {row} must be reset before it is stepped")
        self._elapsed[index] += 1
        states = advance(self._states[:, index], self.task.scale(actions)[:, 0].astype(np.float64))
        self._states[:, index] = states
        observations, (rewards, terminated) = observe(states), judge(states)
        require_finite(self.task, rows, self._elapsed[index].tolist(), observations, rewards)
        return observations, rewards, terminated, self._elapsed[index] >= self._limit

    def close(self) -> None:
        """Forget every episode."""
        self._started[:] = False


def register() -> None:
    """Make the task known to Gymnasium; called when `evorl.envs` is imported, again without effect."""
    if SWING_UP not in gymnasium.registry:
        gymnasium.register(SWING_UP, entry_point="evorl.envs.swing_up:SwingUp", max_episode_steps=500)
