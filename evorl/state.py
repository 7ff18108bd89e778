"""State: what a run must hold to go on, as plain values of named attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from evorl.population import Identities, Population


def state_of(owner: object, names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of `owner` called `names`, in tensors and plain values."""
    attributes = {name: getattr(owner, name) for name in names}
    return {name: value.state_dict() if hasattr(value, "state_dict") else value for name, value in attributes.items()}


def restore(owner: object, names: Sequence[str], state: Mapping[str, Any], identities: Identities) -> None:
    """Set the attributes of `owner` called `names` to what `state_of` returned; what holds a state is told of it.

    Args:
        owner: as built, not stepped.
        names: in the order in which they are set.
        state: what `state_of` returned.
        identities: of the run; the new populations take their ids from them.

    Raises:
        ValueError: the names in `state` are others.
    """
    if set(state) != set(names):
        raise ValueError(f"state must hold {sorted(names)}, got {sorted(state)}")
    for name in names:
        held = getattr(owner, name, None)
        if Population.is_state(state[name]):
            setattr(owner, name, Population.from_state(state[name], identities))
        elif held is not None and hasattr(held, "load_state_dict"):
            held.load_state_dict(state[name])
        else:
            setattr(owner, name, state[name])


def equal(first: Any, second: Any) -> bool:
    """Whether two nested states are the same to the last bit, NaN being equal to NaN."""
    if isinstance(first, dict) and isinstance(second, dict):
        return set(first) == set(second) and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, torch.Tensor | np.ndarray):
        one, other = np.asarray(first), np.asarray(second)
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(first == second) or (first != first and second != second)  # noqa: PLR0124  NaN
