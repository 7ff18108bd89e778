"""Rollouts: what members did since their parameters last changed, in order of time, for learners without a replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evorl.interaction.collector import Collected
from evorl.interaction.episodes import Episodes, Played
from evorl.population import Population, Transitions
from evorl.streams import Streams

#: Returns of finished episodes, (k,) float64, and the rows whose they are.
Finished = tuple[list[int], NDArray[np.float64]]


@dataclass(frozen=True)
class Rollout:
    """b steps of each of n members, one after another; an episode may be followed by another.

    Attributes:
        transitions: (n, b, ...).
        ended: (n, b) float32, 1 at the last step of an episode, in a terminal state or at a time limit.
        weights: (n, b) float32, 1 at a step and 0 where a row is only filled up to the length of the longest.
    """

    transitions: Transitions
    ended: Tensor
    weights: Tensor

    @classmethod
    def of_steps(cls, collected: Sequence[Collected]) -> Rollout:
        """Put one behind another the steps that a collector brought: b of them, each of all n rows."""
        names = ("observations", "actions", "rewards", "next_observations", "terminated")
        steps = [one.transitions for one in collected]
        transitions = Transitions(*(torch.stack([getattr(step, name) for step in steps], 1) for name in names))
        ended = torch.zeros_like(transitions.rewards)
        for place, one in enumerate(collected):
            ended[one.finished, place] = 1
        return cls(transitions, ended, torch.ones_like(ended))

    @classmethod
    def of_episodes(cls, transitions: Transitions, ended: Tensor, n: int) -> Rollout:
        """Put the steps of n members, (m, ...), into rows, each in order of time as they come.

        Args:
            transitions: say whose they are.
            ended: (m,) float32.
            n: members.

        Raises:
            ValueError: the transitions do not say whose they are.
        """
        if transitions.members is None:
            raise ValueError("transitions must name their members to be put into their rows, got members=None")
        rows = transitions.members
        lengths = torch.bincount(rows, minlength=n)
        starts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        order = torch.argsort(rows, stable=True)
        places = torch.empty_like(rows)
        places[order] = torch.arange(len(rows)) - starts

        def padded(column: Tensor) -> Tensor:
            filled = column.new_zeros(n, int(lengths.max()), *column.shape[1:])
            filled[rows, places] = column
            return filled

        columns = {name: padded(column) for name, column in vars(transitions).items() if name != "members"}
        return cls(Transitions(**columns), padded(ended), padded(torch.ones_like(ended)))

    def to(self, device: torch.device) -> Rollout:
        """Return the same steps on another device."""
        columns = {name: column.to(device) for name, column in vars(self.transitions).items() if column is not None}
        return Rollout(Transitions(**columns), self.ended.to(device), self.weights.to(device))


def play_batch(
    episodes: Episodes, members: Population, steps: int, streams: Streams, generation: int, environments: int = 1
) -> tuple[Rollout, list[Finished]]:
    """Let every member play whole episodes with exploration until it has taken at least `steps` steps.

    Args:
        episodes: plays and counts, as `train`; it has n * environments rows.
        members: n rows.
        steps: of a member, an equal share in each of its environments.
        streams: of each environment, from the first member's first to the last one's last: `explore` draws the actions,
            `episode`, (generation, environment, episode), are the starts.
        generation: the present one.
        environments: of a member, which plays in them side by side.

    Returns:
        The steps, of a member those in its first environment first, and the returns in rounds, one a member in each,
        a member's in the order in which its episodes ended.
    """
    rows = np.arange(len(members)).repeat(environments).tolist()
    begun, share = [0] * len(rows), -(-steps // environments)

    def following(row: int, taken: int) -> int | None:
        begun[row] += 1
        return streams.episode_seed("episode", generation, row, begun[row]) if taken < share else None

    seeds = [streams.episode_seed("episode", generation, row, 0) for row in range(len(rows))]
    exploring = streams.rows("explore", range(len(rows)))
    played = episodes.play(members[rows], seeds, "train", exploring, keep=True, following=following)
    kept = cast(Transitions, played.transitions)
    ended = torch.zeros(len(kept))
    ended[played.lengths.cumsum() - 1] = 1
    of_member = torch.tensor(rows)[cast(Tensor, kept.members)]
    return Rollout.of_episodes(replace(kept, members=of_member), ended, len(members)), _in_rounds(played, environments)


def _in_rounds(played: Played, environments: int) -> list[Finished]:
    total = played.lengths.cumsum()
    first = np.searchsorted(played.rows, played.rows)  # of the same environment
    ends = total - (total - played.lengths)[first]
    members = played.rows // environments
    in_time = np.lexsort((ends, members))
    members, returns = members[in_time], played.returns[in_time]
    rounds = np.arange(len(members)) - np.searchsorted(members, members)
    return [(members[rounds == one].tolist(), returns[rounds == one]) for one in np.unique(rounds)]
