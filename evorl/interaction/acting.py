"""Acting: from arrays of observations to arrays of actions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from evorl.policies import Policy
from evorl.population import Population
from evorl.streams import RowStreams


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread meanwhile: its others, once woken, spin where the physics has to run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def act(
    policy: Policy, members: Population, observations: NDArray[np.float32], streams: RowStreams | None = None
) -> NDArray[np.float32]:
    """Return an action (n, a) for each member's observation (n, o); with streams the policy explores."""
    with one_thread():
        seen = torch.from_numpy(observations).to(members.params.device)
        actions: NDArray[np.float32] = policy.act(members, seen, streams).cpu().numpy()
    return actions
