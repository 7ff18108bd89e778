"""Episodes: whole episodes from seeded starts, nothing kept between calls."""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Played:
    """k finished episodes.

    Attributes:
        returns: (k,) float64 undiscounted sums of rewards.
        lengths: (k,) int64 steps.
        transitions: all steps, member by member in order of time; None unless they were asked for.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    transitions: Transitions | None


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
    ) -> Played:
        """Play one episode from each seed.

        Args:
            members: a row for each seed, or one row that plays them all.
            seeds: (k,) seeds of the starts.
            purpose: what the steps are counted as.
            streams: exploration noise of each row; None plays deterministically.
            keep: whether to return the transitions.

        Raises:
            EnvironmentFault: an environment raised, or returned something that is not finite.
            ValueError: there are no seeds, or not one for each of several members.
        """
        if not seeds or len(members) not in (1, len(seeds)):
            raise ValueError(f"seeds must be one for each of {len(members)} members, got {len(seeds)}")
        alive = np.arange(len(seeds))
        acting, drawing = members.only_traits("normaliser"), streams
        returns, lengths = np.zeros(len(seeds)), np.zeros(len(seeds), np.int64)
        observations = self.envs.reset(range(len(seeds)), seeds)
        kept: list[tuple[NDArray[np.generic], ...]] = []
        while alive.size:
            actions = act(self.policy, acting, observations, drawing)
            following, rewards, terminated, truncated = self.envs.step(alive.tolist(), actions)
            self.ledger.count_steps(purpose, alive.size)
            returns[alive] += rewards
            lengths[alive] += 1
            if keep:
                kept.append((observations, actions, rewards, following, terminated, alive))
            observations, ended = following, terminated | truncated
            if ended.any():
                living = np.flatnonzero(~ended)
                alive, observations = alive[living], following[living]
                acting = acting[living.tolist()] if len(members) > 1 else acting
                drawing = drawing[living.tolist()] if drawing else None
        if purpose != "test":
            self.ledger.episodes += len(seeds)
        return Played(returns, lengths, _by_member(kept) if keep else None)


def _by_member(steps: list[tuple[NDArray[np.generic], ...]]) -> Transitions:
    """Stack steps of many members and put them member by member."""
    columns = [np.concatenate(column) for column in zip(*steps, strict=True)]
    order = np.argsort(columns[-1], kind="stable")
    observations, actions, rewards, following, terminated, members = (torch.from_numpy(c[order]) for c in columns)
    return Transitions(observations, actions, rewards.float(), following, terminated.float(), members)
