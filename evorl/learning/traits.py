"""What learners read and write: traits of members as named tensors, and hyperparameters, which may be traits too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

#: What a learner reads and writes: named (n, ...) tensors.
State = Mapping[str, Tensor]
#: A hyperparameter: one value for all members, or (n,) a value each.
Hyperparameter = float | Tensor
#: By name.
Hyperparameters = Mapping[str, Hyperparameter]


def own_or_set(state: State, settings: Any, names: Iterable[str]) -> dict[str, Hyperparameter]:
    """Return each hyperparameter in `names`: the members' own trait `h.<name>` if there is one, else the setting."""
    own = {name: state[f"h.{name}"].float() for name in names if f"h.{name}" in state}
    return {name: own.get(name, getattr(settings, name)) for name in names}


def column(value: Hyperparameter) -> Hyperparameter:
    """Return `value` so that it multiplies (n, d) row by row."""
    return value[:, None] if isinstance(value, Tensor) else value


def per_sample(value: Hyperparameter, dimensions: int) -> Tensor:
    """Return a hyperparameter so that it broadcasts over (n, b, ...)."""
    return torch.as_tensor(value).view(-1, *[1] * (dimensions - 1))
