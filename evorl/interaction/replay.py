"""Replay: rings of transitions as tensors, one shared or one for each member."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

from evorl.errors import require_at_least
from evorl.journal import Journal, records_of
from evorl.population import Transitions
from evorl.streams import RowStreams

#: Rows allocated at first; the storage doubles when it is full.
FIRST_ALLOCATION = 1024


class Replay:
    """Rings of transitions, each record one row of a tensor so that a minibatch is one index operation.

    Args:
        rings: 1 for a replay that all members share, n for one each.
        capacity: transitions a ring holds before the oldest are overwritten.
        observation_size: length of an observation.
        action_size: length of an action.
        device: where the storage lives.
    """

    def __init__(self, rings: int, capacity: int, observation_size: int, action_size: int, device: str = "cpu") -> None:
        require_at_least("rings", rings, 1)
        require_at_least("capacity", capacity, 1)
        self.capacity = capacity
        self._widths = [observation_size, action_size, 1, observation_size, 1]
        self._records = torch.zeros(rings, min(capacity, FIRST_ALLOCATION), sum(self._widths), device=device)
        self._added = [0] * rings
        self._editions = [0] * rings
        self._emptied = False
        self._journals: WeakSet[Journal] = WeakSet()

    @property
    def sizes(self) -> list[int]:
        """Transitions in each ring."""
        return [min(added, self.capacity) for added in self._added]

    @property
    def device(self) -> torch.device:
        """Where the storage lives."""
        return self._records.device

    def add(self, transitions: Transitions) -> None:
        """Store transitions, each in the ring of its member, or all in the one ring.

        Raises:
            ValueError: there are several rings and the transitions do not say whose they are.
        """
        self._keep_journals()
        t = transitions
        records = torch.cat(
            [t.observations, t.actions, t.rewards[:, None], t.next_observations, t.terminated[:, None]], dim=1
        ).to(self._records.device)
        rings = torch.zeros(len(records), dtype=torch.int64) if len(self._added) == 1 else t.members
        if rings is None:
            raise ValueError("transitions must name their members for a replay with a ring each, got members=None")
        self._write(rings, records)

    def _write(self, rings: Tensor, records: Tensor) -> None:
        """Put records (k, w) behind those of their rings (k,); of those of one ring the first come first."""
        counts = torch.bincount(rings, minlength=len(self._added))
        ends = torch.tensor(self._added) + counts
        order = torch.argsort(rings, stable=True)
        places = torch.empty_like(rings)
        places[order] = torch.arange(len(rings)) + (ends - counts.cumsum(0))[rings[order]]
        needed = min(self.capacity, int(ends.max()))
        while self._records.shape[1] < needed:
            self._grow(min(self.capacity, 2 * self._records.shape[1]))
        kept = places >= ends[rings] - self.capacity
        self._records[rings[kept], places[kept] % self.capacity] = records[kept]
        self._added = ends.tolist()

    def _grow(self, allocation: int) -> None:
        rings, allocated, width = self._records.shape
        records = self._records.new_zeros(rings, allocation, width)
        records[:, :allocated] = self._records
        self._records = records

    def follow(self, plan: Tensor) -> None:
        """Give every ring the transitions that the ring `plan[i]`, (n,), held."""
        self._keep_journals()
        self._records = self._records[plan]
        self._added = [self._added[row] for row in plan.tolist()]
        for row, donor in enumerate(plan.tolist()):
            self._editions[row] += donor != row

    def clear(self, rows: Sequence[int]) -> None:
        """Forget the transitions of the rings `rows`."""
        self._keep_journals()
        for row in rows:
            self._added[row] = 0
            self._editions[row] += 1

    def sample(self, streams: RowStreams, batch_size: int, replacement: bool = True) -> Transitions:
        """Draw a minibatch for each member, from its own stream: tensors (n, b, ...).

        Args:
            streams: one a member; with several rings, member i draws from ring i.
            batch_size: transitions a member.
            replacement: whether a transition can be drawn twice for one minibatch.

        Raises:
            RuntimeError: what is held was not restored with the rest.
        """
        if self._emptied:
            raise RuntimeError("a replay of a finished run was kept without its transitions, and none can be drawn")
        n, rings = len(streams), len(self._added)
        sizes = self.sizes if rings > 1 else self.sizes * n
        return self.take(streams.integers(sizes, batch_size) if replacement else streams.distinct(sizes, batch_size))

    def take(self, places: Tensor) -> Transitions:
        """Return the transitions at `places` (n, b) of each member's ring: tensors (n, b, ...)."""
        rings, allocated, width = self._records.shape
        if rings > 1:
            places = places + allocated * torch.arange(rings)[:, None]
        flat = self._records.view(-1, width)
        records = flat.index_select(0, places.flatten().to(flat.device)).view(*places.shape, width)
        observations, actions, rewards, following, terminated = torch.split(records, self._widths, dim=-1)
        return Transitions(observations, actions, rewards[..., 0], following, terminated[..., 0])

    def _keep_journals(self) -> None:
        for journal in list(self._journals):
            journal.keep()
        self._journals.clear()

    def _journal(self, ring: int) -> Journal:
        def read(begin: int, end: int) -> Tensor:
            return self._records[ring, torch.arange(begin, end) % self.capacity]

        journal = Journal(self._editions[ring], self._added[ring] - self.sizes[ring], self._added[ring], read)
        self._journals.add(journal)
        return journal

    def state_dict(self) -> dict[str, Any]:
        """Return how much was added to every ring, and what it holds as a `Journal`."""
        rings = range(len(self._added))
        return {
            "capacity": self.capacity,
            "added": list(self._added),
            "editions": list(self._editions),
            "records": [self._journal(ring) for ring in rings],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Fill the rings as `state` says.

        Where it holds None, as of a finished run, a ring only knows how much was added to it; nothing can be drawn.

        Raises:
            ValueError: it is of other rings or of another capacity.
        """
        held, ours = state["records"], (len(self._added), self.capacity)
        if (len(held), state["capacity"]) != ours:
            theirs = f"{len(held)} of {state['capacity']}"
            raise ValueError(f"state must be of {ours[0]} rings of capacity {ours[1]}, got {theirs}")
        self._keep_journals()
        self._editions = list(state["editions"])
        self._added = list(state["added"])
        self._emptied = any(journal is None and added for journal, added in zip(held, self._added, strict=True))
        for ring, journal in enumerate(held):
            if journal is not None:
                records = records_of(journal).to(self._records.device)
                self._added[ring] -= len(records)
                self._write(torch.full((len(records),), ring), records)
