"""What the rules of MuJoCo's tasks are made of: functions of k simulations at once.

Equal to Gymnasium means to the last bit: every operation has the type, and every sum the order, of its own code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Observations = NDArray[np.float32]
#: Rewards (k,) and whether the states are terminal (k,).
Judged = tuple[Array, NDArray[np.bool_]]
#: Of k simulations, by MjData's names: each (k, ...).
Fields = Mapping[str, Array]
#: The environment of Gymnasium, unwrapped; its arguments are private attributes.
Env = Any


@dataclass(frozen=True)
class Rules:
    """One task.

    Attributes:
        observe: observations (k, o) of the fields.
        judge: rewards and ends, of the fields, the marks of the steps before and the task's own actions (k, a).
        mark: what the next step's reward needs of this one's fields, (k, m).
        fields: names of what is read.
        contacts: whether `cfrc_ext`, the forces of contact, is read too.
    """

    observe: Callable[[Fields], Observations]
    judge: Callable[[Fields, Array, NDArray[np.float32]], Judged]
    mark: Callable[[Fields], Array]
    fields: tuple[str, ...] = ("qpos", "qvel")
    contacts: bool = False


def joined(*parts: Array) -> Observations:
    """Return parts (k, ...) flattened side by side: (k, o)."""
    flat = [part.reshape(len(part), -1) for part in parts]
    return np.concatenate(flat, axis=1, dtype=np.float32, casting="same_kind")


def sum_of_squares(values: NDArray[Any]) -> NDArray[Any]:
    """Return the sums (k,) of the squares of values (k, ...), in their own precision."""
    sums: NDArray[Any] = np.square(values).reshape(len(values), -1).sum(axis=1)
    return sums


def lengths(vectors: Array) -> Array:
    """Return the Euclidean lengths (k,) of vectors (k, m): of each a dot product, as in `np.linalg.norm`."""
    squares: Array = np.matmul(vectors[:, None], vectors[:, :, None])[:, 0, 0]
    return np.sqrt(squares)


def scalar_squares(values: Array) -> Array:
    """Return the squares (k,) of values (k,) as `x ** 2` gives them of a number, which differ from `x * x`."""
    return np.array([value**2 for value in values.tolist()])


def control_cost(env: Env, actions: NDArray[Any]) -> NDArray[Any]:
    """Return the weighted sum of squares (k,)."""
    cost: NDArray[Any] = env._ctrl_cost_weight * sum_of_squares(actions)
    return cost


def survived(env: Env, healthy: NDArray[np.bool_], version: int) -> Judged:
    """Return the reward for being healthy (k,), which v4 pays at a terminal step too, and whether it is over (k,)."""
    ends = bool(env._terminate_when_unhealthy)
    paid = healthy | ends if version == 4 else healthy
    reward: float = env._healthy_reward
    return np.where(paid, 1.0, 0.0) * reward, ~healthy & ends


def within(values: Array, bounds: tuple[float, float]) -> NDArray[np.bool_]:
    """Return where values lie between bounds, neither being reached."""
    inside: NDArray[np.bool_] = (bounds[0] < values) & (values < bounds[1])
    return inside


def without(env: Env, positions: Array, count: int) -> Array:
    """Return positions (k, q) less the first `count`, where the environment hides them."""
    hides = getattr(env, "_exclude_current_positions_from_observation", True)  # HumanoidStandup-v4 has no choice
    return positions[:, count:] if hides else positions


def nothing(fields: Fields) -> Array:
    """Return marks (k, 0)."""
    return np.empty((len(fields["qpos"]), 0))
