"""Rollouts: steps in order of time, of a collector or of whole episodes, and where episodes end."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import counted, members_of, number_of, oracle, small_policy, total_steps

from evorl.budget import Ledger
from evorl.envs import GymnasiumEnvs
from evorl.interaction import Collector, Episodes, Rollout, play_batch
from evorl.population import Transitions
from evorl.streams import Streams
from evorl.task import Task

NOISE = 0.1


def collected(task: Task, n: int, steps: int) -> Rollout:
    policy = small_policy(task, NOISE)
    collector = Collector(GymnasiumEnvs(task, n), n, task, policy, Streams(7), Ledger())
    return Rollout.of_steps([collector.step(members_of(policy, n), 0) for _ in range(steps)])


def seed_of(row: int, episode: int, generation: int = 0) -> int:
    return Streams(7).episode_seed("episode", generation, row, episode)


def test_steps_stand_one_behind_another_and_their_observations_are_not_overwritten() -> None:
    rollout = collected(oracle(5), 2, 12)
    for row in range(2):
        for place in range(12):
            episode, within = divmod(place, 5)
            number = number_of(seed_of(row, episode))
            assert rollout.transitions.observations[row, place].tolist() == [number, within]
            assert rollout.transitions.next_observations[row, place].tolist() == [number, within + 1]
    reward = 1 + torch.arange(12).remainder(5) + rollout.transitions.actions.sum(-1)
    torch.testing.assert_close(rollout.transitions.rewards, reward)
    assert rollout.weights.all()
    assert rollout.transitions.members is None


@pytest.mark.parametrize(("task", "terminates"), [(oracle(4), False), (oracle(9, terminate_at=4), True)])
def test_an_episode_ends_in_a_terminal_state_or_at_a_time_limit(task: Task, terminates: bool) -> None:
    rollout = collected(task, 2, 9)
    ends = [[0, 0, 0, 1, 0, 0, 0, 1, 0]] * 2
    assert rollout.ended.tolist() == ends
    assert rollout.transitions.terminated.tolist() == (ends if terminates else [[0] * 9] * 2)
    assert rollout.ended.dtype == torch.float32


def test_only_the_rows_whose_episode_ended_say_so() -> None:
    rollout = collected(oracle(50, terminate_at=3, spread=4), 3, 30)
    following = rollout.transitions.observations[:, 1:, 1] == 0
    assert torch.equal(rollout.ended[:, :-1].bool(), following)
    assert len({tuple(row.tolist()) for row in rollout.ended}) == 3


# Whole episodes.


def interleaved() -> tuple[Transitions, torch.Tensor]:
    """Return steps of members 2, 0, 2 and 2, that is none of member 1."""
    numbers = torch.arange(4.0)
    pairs = torch.stack([numbers, -numbers], 1)
    members = torch.tensor([2, 0, 2, 2])
    steps = Transitions(pairs, pairs + 10, numbers + 20, pairs + 30, torch.tensor([0.0, 1.0, 0.0, 1.0]), members)
    return steps, torch.tensor([1.0, 1.0, 0.0, 1.0])


def test_steps_of_several_members_are_put_into_their_rows_in_order() -> None:
    rollout = Rollout.of_episodes(*interleaved(), 3)
    assert rollout.weights.tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 1]]
    assert rollout.transitions.rewards.tolist() == [[21, 0, 0], [0, 0, 0], [20, 22, 23]]
    assert rollout.transitions.observations[2].tolist() == [[0, 0], [2, -2], [3, -3]]
    assert rollout.transitions.actions[0, 0].tolist() == [11, 9]
    assert rollout.transitions.next_observations[2, 1].tolist() == [32, 28]
    assert rollout.transitions.terminated.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert rollout.ended.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]


def test_steps_that_do_not_say_whose_they_are_are_refused() -> None:
    steps, ended = interleaved()
    with pytest.raises(ValueError, match=r"^transitions must name their members to be put into their rows"):
        Rollout.of_episodes(replace(steps, members=None), ended, 3)


def test_every_member_plays_whole_episodes_until_it_has_the_steps() -> None:
    """Lengths of episodes are 3 to 6, by their seeds, so that members need different numbers of them."""
    task = oracle(50, terminate_at=3, spread=4)
    policy, ledger, streams = small_policy(task, NOISE), Ledger(), Streams(7)
    with counted() as made:
        episodes = Episodes(GymnasiumEnvs(task, 3), policy, ledger)
        rollout, finished = play_batch(episodes, members_of(policy, 3), 23, streams, generation=2)
        assert ledger.steps["train"] == ledger.spent == total_steps(made) == rollout.weights.sum()
    returns: list[list[float]] = [[], [], []]
    for rows, totals in finished:
        for row, total in zip(rows, totals.tolist(), strict=True):
            returns[row].append(total)
    for row in range(3):
        lengths = [3 + seed_of(row, episode, 2) % 4 for episode in range(len(returns[row]))]
        length = sum(lengths)
        assert length >= 23 > length - lengths[-1]
        assert rollout.weights[row].tolist() == [1.0] * length + [0.0] * (rollout.weights.shape[1] - length)
        ends = np.cumsum(lengths) - 1
        assert rollout.ended[row].nonzero()[:, 0].tolist() == ends.tolist()
        assert torch.equal(rollout.ended[row], rollout.transitions.terminated[row])
        numbers = [number_of(seed_of(row, e, 2)) for e, count in enumerate(lengths) for _ in range(count)]
        assert rollout.transitions.observations[row, :length, 0].tolist() == numbers
        sums = [part.sum().item() for part in torch.split(rollout.transitions.rewards[row, :length], lengths)]
        np.testing.assert_allclose(returns[row], sums, rtol=1e-6)
    assert len({len(totals) for totals in returns}) > 1


def test_a_batch_in_several_environments_is_that_of_as_many_members_with_equal_shares() -> None:
    task = oracle(50, terminate_at=3, spread=4)
    policy = small_policy(task, NOISE)
    members = members_of(policy, 2)
    ours, finished = play_batch(Episodes(GymnasiumEnvs(task, 6), policy, Ledger()), members, 31, Streams(7), 0, 3)
    apart, alone = play_batch(
        Episodes(GymnasiumEnvs(task, 6), policy, Ledger()), members[[0, 0, 0, 1, 1, 1]], 11, Streams(7), 0
    )
    for row in range(2):
        kept = [apart.weights[3 * row + k].bool() for k in range(3)]
        for name in ("observations", "actions", "rewards", "next_observations", "terminated"):
            parts = [getattr(apart.transitions, name)[3 * row + k][kept[k]] for k in range(3)]
            assert torch.equal(getattr(ours.transitions, name)[row][ours.weights[row].bool()], torch.cat(parts))
        ends = torch.cat([apart.ended[3 * row + k][kept[k]] for k in range(3)])
        assert torch.equal(ours.ended[row][ours.weights[row].bool()], ends)
        totals = [total for rows, returns in finished for r, total in zip(rows, returns, strict=True) if r == row]
        expected = []
        for k in range(3):
            last = apart.ended[3 * row + k].nonzero()[:, 0].tolist()
            lone = [t for rows, returns in alone for r, t in zip(rows, returns, strict=True) if r == 3 * row + k]
            expected += [(end, k, total) for end, total in zip(last, lone, strict=True)]
        assert totals == [total for _, _, total in sorted(expected)], "in the order in which episodes ended"
    assert all(len(set(rows)) == len(rows) for rows, _ in finished), "a member has one return in a round"


def test_members_explore_and_play_the_same_alone() -> None:
    task = oracle(50, terminate_at=3, spread=4)
    policy = small_policy(task, NOISE)
    members = members_of(policy, 3)
    batches = []
    for some in (members, members[[0]]):
        episodes = Episodes(GymnasiumEnvs(task, 3), policy, Ledger())
        batches.append(play_batch(episodes, some, 11, Streams(7), generation=0)[0])
    length = int(batches[1].weights.sum())
    together, alone = (batch.transitions.actions[0, :length] for batch in batches)
    torch.testing.assert_close(together, alone)
    quiet = policy.network(members.params[[0]], batches[1].transitions.observations)
    assert (alone - quiet[0]).abs().max() > 0.01


def test_a_rollout_moves_to_a_device() -> None:
    rollout = Rollout.of_episodes(*interleaved(), 3).to(torch.device("meta"))
    tensors = [rollout.ended, rollout.weights, rollout.transitions.observations, rollout.transitions.terminated]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
