"""Fitness from whole episodes."""

import numpy as np
import pytest
import torch
from support import counted, members_of, number_of, oracle, small_policy, total_steps

from evorl.budget import Ledger
from evorl.envs import GymnasiumEnvs
from evorl.evaluation import evaluate_by_episodes
from evorl.interaction import Episodes, Replay
from evorl.population import Population
from evorl.streams import Streams

TASK = oracle(9, terminate_at=3, spread=12)


def episodes_of(n: int) -> Episodes:
    return Episodes(GymnasiumEnvs(TASK, n), small_policy(TASK), Ledger())


def members(n: int) -> Population:
    return members_of(small_policy(TASK), n)


def seed_of(generation: int, row: int, trial: int) -> int:
    return Streams(4).episode_seed("fitness", generation, row, trial)


@pytest.mark.parametrize("trials", [1, 3])
def test_fitness_is_the_mean_return_over_episodes_from_the_members_own_starts(trials: int) -> None:
    evaluated = evaluate_by_episodes(members(4), episodes_of(4), Streams(4), generation=2, episodes_per_member=trials)
    for row in range(4):
        returns = [
            episodes_of(1).play(members(4)[[row]], [seed_of(2, row, trial)], "test").returns[0]
            for trial in range(trials)
        ]
        assert evaluated.fitness[row].item() == pytest.approx(np.mean(returns), rel=1e-5)
    assert evaluated.fitness.dtype == torch.float64
    assert len(set(evaluated.fitness.tolist())) == 4


def test_some_of_a_population_start_where_they_would_among_all() -> None:
    everyone = evaluate_by_episodes(members(4), episodes_of(4), Streams(4), generation=2)
    some = evaluate_by_episodes(members(4)[[1, 3]], episodes_of(4), Streams(4), generation=2, rows=[1, 3])
    assert torch.equal(some.fitness, everyone.fitness[[1, 3]])


def test_everything_but_the_fitness_stays() -> None:
    candidates = members(3)
    evaluated = evaluate_by_episodes(candidates, episodes_of(3), Streams(4), generation=0)
    assert torch.equal(evaluated.params, candidates.params)
    assert torch.equal(evaluated.id, candidates.id)
    assert candidates.fitness.isnan().all()


def test_every_generation_and_trial_has_starts_of_its_own() -> None:
    seeds = {seed_of(generation, row, trial) for generation in range(5) for row in range(5) for trial in range(5)}
    assert len(seeds) == 125
    fitness = [
        evaluate_by_episodes(members(6), episodes_of(6), Streams(4), generation).fitness for generation in (0, 0, 1)
    ]
    assert torch.equal(fitness[0], fitness[1])
    assert not torch.equal(fitness[0], fitness[2])


def test_a_member_has_the_same_fitness_alone_and_beside_others() -> None:
    together = evaluate_by_episodes(members(5), episodes_of(5), Streams(4), generation=1)
    alone = evaluate_by_episodes(members(5)[[0]], episodes_of(1), Streams(4), generation=1)
    assert alone.fitness[0].item() == pytest.approx(together.fitness[0].item(), rel=1e-5)


@pytest.mark.parametrize("rings", [1, 4])
def test_every_transition_is_stored_with_its_member_and_counted(rings: int) -> None:
    replay = Replay(rings, 1_000, TASK.observation_size, TASK.action_size)
    with counted() as made:
        episodes = episodes_of(4)
        evaluate_by_episodes(members(4), episodes, Streams(4), generation=2, episodes_per_member=2, replay=replay)
        assert total_steps(made) == episodes.ledger.stored == sum(replay.sizes) == episodes.ledger.steps["fitness"]
    assert episodes.ledger.episodes == 8
    for ring in range(rings):
        places = torch.zeros(rings, replay.sizes[ring], dtype=torch.int64)
        places[ring] = torch.arange(replay.sizes[ring])
        stored = replay.take(places)
        rows = range(4) if rings == 1 else [ring]
        numbers = {number_of(seed_of(2, row, trial)) for row in rows for trial in range(2)}
        assert set(stored.observations[ring, :, 0].tolist()) == numbers
        assert torch.equal(stored.observations[ring, :, 0], stored.next_observations[ring, :, 0])
        assert torch.equal(stored.observations[ring, :, 1] + 1, stored.next_observations[ring, :, 1])


def test_without_a_replay_nothing_counts_as_stored() -> None:
    episodes = episodes_of(2)
    evaluate_by_episodes(members(2), episodes, Streams(4), generation=0)
    assert episodes.ledger.stored == 0


def test_evaluating_moves_no_stream() -> None:
    streams = Streams(4)
    evaluate_by_episodes(members(2), episodes_of(2), streams, generation=0)
    assert streams.state_dict()["live"] == []
