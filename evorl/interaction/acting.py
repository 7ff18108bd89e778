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
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return an action (n, a) for each member's observation (n, o), and who has failed (n,).

    A member has failed when its parameters have diverged and give no finite action; zeros stand for it, and an episode
    in which that happens is worth minus infinity. With streams the policy explores.
    """
    with one_thread():
        seen = torch.from_numpy(observations).to(members.params.device)
        actions: NDArray[np.float32] = policy.act(members, seen, streams).cpu().numpy()
    failed = np.asarray(~np.isfinite(actions).all(axis=1))
    return (np.where(failed[:, None], np.float32(0), actions) if failed.any() else actions), failed
