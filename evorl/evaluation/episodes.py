"""Fitness from fresh whole episodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from evorl.interaction import Episodes, Replay
from evorl.population import Population
from evorl.streams import Streams


def evaluate_by_episodes(
    candidates: Population,
    episodes: Episodes,
    streams: Streams,
    generation: int,
    episodes_per_member: int = 1,
    starts: str = "fitness",
    replay: Replay | None = None,
    rows: Sequence[int] | None = None,
) -> Population:
    """Return the candidates with the mean undiscounted return of deterministic episodes as fitness.

    Args:
        candidates: n members.
        episodes: plays and counts.
        streams: the seed of a start is that of `starts`, (generation, row, episode).
        generation: the present one.
        episodes_per_member: how many.
        starts: name of the stream of the starts.
        replay: where every transition is stored, if anywhere.
        rows: the candidates' rows in their population; the first n if not given.
    """
    own = range(len(candidates)) if rows is None else rows
    returns = np.zeros((episodes_per_member, len(candidates)))
    for episode in range(episodes_per_member):
        seeds = [streams.episode_seed(starts, generation, row, episode) for row in own]
        played = episodes.play(candidates, seeds, "fitness", keep=replay is not None)
        returns[episode] = played.returns
        if replay is not None and played.transitions is not None:
            replay.add(played.transitions)
            episodes.ledger.stored += len(played.transitions)
    return candidates.with_fitness(torch.from_numpy(returns.mean(axis=0)))
