"""Fitness from fresh whole episodes."""

from __future__ import annotations

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
    trials: int = 1,
    name: str = "fitness",
    replay: Replay | None = None,
) -> Population:
    """Return the candidates with the mean undiscounted return of `trials` deterministic episodes as fitness.

    Args:
        candidates: n members.
        episodes: plays and counts.
        streams: the seed of a start is that of `name`, (generation, row, episode).
        generation: the present one.
        trials: episodes a member.
        name: of the stream of the starts.
        replay: where every transition is stored, if anywhere.
    """
    returns = np.zeros((trials, len(candidates)))
    for trial in range(trials):
        seeds = [streams.episode_seed(name, generation, row, trial) for row in range(len(candidates))]
        played = episodes.play(candidates, seeds, "fitness", keep=replay is not None)
        returns[trial] = played.returns
        if replay is not None and played.transitions is not None:
            replay.add(played.transitions)
            episodes.ledger.stored += len(played.transitions)
    return candidates.with_fitness(torch.from_numpy(returns.mean(axis=0)))
