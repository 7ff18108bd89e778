"""Named random streams from one seed, so that no draw depends on who else draws.

A stream is NumPy's PCG64 on `SeedSequence(seed, spawn_key=(crc32(name), *key))`. The key says for whom it is:
`(generation, row, episode)` for the seed of an episode, `(row,)` for what a member draws, `(episode,)` for tests.
A member therefore draws the same numbers alone, in a stack or on another worker. Nothing here touches global state.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.random import PCG64, Generator, SeedSequence
from torch import Tensor

from evorl.errors import require_at_least


class RowStreams:
    """One generator a row; each draw has the row as its first axis and comes from that row's generator alone.

    NumPy's generators give the same numbers whatever the length of the blocks they are drawn in.
    """

    def __init__(self, generators: Sequence[Generator]) -> None:
        self.generators = tuple(generators)

    def __len__(self) -> int:
        return len(self.generators)

    def __getitem__(self, rows: Sequence[int]) -> RowStreams:
        """Return the streams of `rows`; they are the same streams, not copies."""
        return RowStreams([self.generators[row] for row in rows])

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normals: (n, *shape) float32."""
        return _stack([g.standard_normal(shape, dtype=np.float32) for g in self.generators])

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw uniformly between low and high: (n, *shape) float32."""
        return _stack([g.random(shape, dtype=np.float32) for g in self.generators]) * (high - low) + low

    def integers(self, highs: Sequence[int], *shape: int) -> Tensor:
        """Draw uniformly from 0 to `highs[row] - 1`: (n, *shape) int64."""
        pairs = zip(self.generators, highs, strict=True)
        return _stack([g.integers(high, size=shape) for g, high in pairs])

    def distinct(self, highs: Sequence[int], size: int) -> Tensor:
        """Draw `size` different numbers from 0 to `highs[row] - 1`: (n, size) int64."""
        pairs = zip(self.generators, highs, strict=True)
        return _stack([g.choice(high, size=size, replace=False, shuffle=False) for g, high in pairs])


def _stack(draws: list[Any]) -> Tensor:
    return torch.from_numpy(np.stack(draws))


class Streams:
    """All streams of one run.

    Args:
        seed: the run's seed, 0 or above.
    """

    def __init__(self, seed: int) -> None:
        require_at_least("seed", seed, 0)
        self.seed = seed
        self._live: dict[tuple[str, tuple[int, ...]], Generator] = {}
        self._global: dict[str, tuple[Any, Any]] = {}
        self._active: set[str] = set()

    def episode_seed(self, name: str, *key: int) -> int:
        """Return the seed, 32 bits, of the episode `key`; it does not depend on any earlier draw."""
        return int(self._sequence(name, key).generate_state(1)[0])

    def generator(self, name: str, *key: int) -> Generator:
        """Return the stream `name`, `key`; asked for again, it goes on where it stopped."""
        if (name, key) not in self._live:
            self._live[name, key] = Generator(PCG64(self._sequence(name, key)))
        return self._live[name, key]

    def rows(self, name: str, rows: Sequence[int]) -> RowStreams:
        """Return the stream `name` of every row in `rows`."""
        return RowStreams([self.generator(name, int(row)) for row in rows])

    @contextmanager
    def as_global(self, name: str) -> Iterator[None]:
        """Let the stream `name` stand in for the global states of `random` and `numpy.random`, then restore them.

        DEAP's operators draw from Python's global state, and `deap.cma` from NumPy's.
        """
        if name in self._active:
            raise RuntimeError(f"the stream {name!r} stands in for the global state already")
        self._active.add(name)
        before = random.getstate(), np.random.get_state()  # noqa: NPY002  the very state that is guarded
        python, numpy = self._global.get(name) or self._fresh_global(name)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        try:
            yield
        finally:
            self._active.remove(name)
            self._global[name] = random.getstate(), np.random.get_state()  # noqa: NPY002
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002

    def _fresh_global(self, name: str) -> tuple[Any, Any]:
        words = self._sequence(name, ()).generate_state(2)
        numpy = np.random.RandomState(int(words[1]))
        return random.Random(int(words[0])).getstate(), numpy.get_state()  # noqa: S311

    def _sequence(self, name: str, key: tuple[int, ...]) -> SeedSequence:
        return SeedSequence(self.seed, spawn_key=(zlib.crc32(name.encode()), *key))

    def state_dict(self) -> dict[str, Any]:
        """Return where every stream stands, in plain Python values and tensors."""
        live = [[name, list(key), g.bit_generator.state] for (name, key), g in self._live.items()]
        guarded = [
            [name, python, [kind, torch.from_numpy(words.astype(np.int64)), position, has_gauss, gauss]]
            for name, (python, (kind, words, position, has_gauss, gauss)) in self._global.items()
        ]
        return {"seed": self.seed, "live": live, "global": guarded}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set every stream, in place, to where `state` says it stood; whoever holds a stream goes on with it."""
        self.seed = state["seed"]
        for (name, key), generator in self._live.items():
            generator.bit_generator.state = PCG64(self._sequence(name, key)).state
        for name, key, where in state["live"]:
            self.generator(name, *key).bit_generator.state = where
        self._global = {
            name: (python, (numpy[0], numpy[1].numpy().astype(np.uint32), *numpy[2:]))
            for name, python, numpy in state["global"]
        }
