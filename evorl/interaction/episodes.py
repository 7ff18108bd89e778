"""Episodes: whole episodes from seeded starts, nothing kept between calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from evorl.budget import Ledger, Purpose
from evorl.envs import MemberEnvs
from evorl.interaction.acting import act
from evorl.policies import Policy
from evorl.population import Population, Transitions
from evorl.streams import RowStreams

#: The seed of a row's next episode, from the row and the steps it has taken; None if it plays no more.
Following = Callable[[int, int], int | None]


@dataclass(frozen=True)
class Played:
    """k finished episodes, row by row and of a row in order of time.

    Attributes:
        returns: (k,) float64 undiscounted sums of rewards, -inf where the member failed.
        lengths: (k,) int64 steps.
        rows: (k,) int64, whose episode it is.
        transitions: all steps in the same order; None unless they were asked for.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    rows: NDArray[np.int64]
    transitions: Transitions | None


@dataclass(frozen=True)
class _Playing:
    """The k rows whose episodes go on: their numbers (k,), who acts in them (k, or one for all), and their noise."""

    rows: NDArray[np.int64]
    members: Population
    streams: RowStreams | None

    def without(self, ended: NDArray[np.bool_]) -> _Playing:
        """Return those that are not in `ended` (k,)."""
        if not ended.any():
            return self
        living = np.flatnonzero(~ended)
        members = self.members[living.tolist()] if len(self.members) > 1 else self.members
        return _Playing(self.rows[living], members, self.streams[living.tolist()] if self.streams else None)


class Episodes:
    """Plays episodes side by side, stepping only those that still live.

    Args:
        envs: at least as many rows as episodes are played at once.
        policy: what acts.
        ledger: where every step is counted.
    """

    def __init__(self, envs: MemberEnvs, policy: Policy, ledger: Ledger) -> None:
        self.envs = envs
        self.policy = policy
        self.ledger = ledger

    def play(
        self,
        members: Population,
        seeds: Sequence[int],
        purpose: Purpose,
        streams: RowStreams | None = None,
        keep: bool = False,
        following: Following | None = None,
    ) -> Played:
        """Play one episode from each seed, or several one after another.

        Args:
            members: a row for each seed, or one row that plays them all.
            seeds: (n,) seeds of the first starts.
            purpose: what the steps are counted as.
            streams: exploration noise of each row; None plays deterministically.
            keep: whether to return the transitions.
            following: asked at the end of each episode; one episode a row if not given.

        Raises:
            EnvironmentFault: an environment raised, or returned something that is not finite.
            ValueError: there are no seeds, or not one for each of several members.
        """
        if not seeds or len(members) not in (1, len(seeds)):
            raise ValueError(f"seeds must be one for each of {len(members)} members, got {len(seeds)}")
        playing = _Playing(np.arange(len(seeds)), members.only_traits("normaliser"), streams)
        totals, taken = np.zeros(len(seeds)), np.zeros(len(seeds), np.int64)
        ends: list[tuple[int, float, int]] = []
        observations = self.envs.reset(range(len(seeds)), seeds)
        kept: list[tuple[NDArray[np.generic], ...]] = []
        while (rows := playing.rows).size:
            actions, failed = act(self.policy, playing.members, observations, playing.streams)
            after, rewards, terminated, truncated = self.envs.step(rows.tolist(), actions)
            self.ledger.count_steps(purpose, rows.size)
            totals[rows] += np.where(failed, -np.inf, rewards)
            taken[rows] += 1
            if keep:
                kept.append((observations, actions, rewards, after, terminated, rows))
            observations, ended = after, terminated | truncated
            if ended.any():
                over = rows[ended].tolist()
                ends += [(row, totals[row], taken[row]) for row in over]
                totals[over] = 0.0
                observations, ended = self._begin(rows, observations, ended, taken, following)
                playing, observations = playing.without(ended), observations[~ended]
        if purpose != "test":
            self.ledger.episodes += len(ends)
        return _played(ends, _by_member(kept) if keep else None)

    def _begin(
        self,
        rows: NDArray[np.int64],
        observations: NDArray[np.float32],
        ended: NDArray[np.bool_],
        taken: NDArray[np.int64],
        following: Following | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Begin what follows the episodes that ended; return what is seen now (k, o), and who plays no more (k,)."""
        if following is None:
            return observations, ended
        places = np.flatnonzero(ended).tolist()
        seeds = {place: following(int(rows[place]), int(taken[rows[place]])) for place in places}
        going = {place: seed for place, seed in seeds.items() if seed is not None}
        over = ended.copy()
        if going:
            at = list(going)
            observations = observations.copy()
            observations[at] = self.envs.reset(rows[at].tolist(), list(going.values()))
            over[at] = False
        return observations, over


def _played(ends: list[tuple[int, float, int]], transitions: Transitions | None) -> Played:
    """Put the ends of episodes, (row, return, steps of the row until then), row by row."""
    ends = sorted(ends, key=lambda end: (end[0], end[2]))
    rows, returns, taken = (np.array(column) for column in zip(*ends, strict=True))
    first = np.diff(rows, prepend=-1) != 0
    lengths = np.where(first, taken, np.diff(taken, prepend=0))
    return Played(returns, lengths, rows, transitions)


def _by_member(steps: list[tuple[NDArray[np.generic], ...]]) -> Transitions:
    """Stack steps of many members and put them member by member."""
    columns = [np.concatenate(column) for column in zip(*steps, strict=True)]
    order = np.argsort(columns[-1], kind="stable")
    observations, actions, rewards, following, terminated, members = (torch.from_numpy(c[order]) for c in columns)
    return Transitions(observations, actions, rewards.float(), following, terminated.float(), members)
