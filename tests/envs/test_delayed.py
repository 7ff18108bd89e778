"""Delayed rewards against the sums of what the undelayed task gave."""

import numpy as np
import pytest
from support import members_of, oracle, same, small_policy

from evorl.budget import Ledger
from evorl.envs import GymnasiumEnvs, MemberEnvs
from evorl.envs.delayed import DelayedReward
from evorl.errors import ConfigError
from evorl.interaction import Collector, Episodes
from evorl.streams import Streams
from evorl.task import Task

STILL = np.zeros((1, 2), np.float32)


def delayed(task: Task, n: int, every: int) -> DelayedReward:
    return DelayedReward(GymnasiumEnvs(task, n), n, every)


def rewards_of(envs: MemberEnvs, row: int, steps: int) -> list[float]:
    return [float(envs.step([row], STILL)[1][0]) for _ in range(steps)]


def test_the_sum_is_paid_at_every_so_many_steps_and_at_a_terminal_state() -> None:
    """The oracle's reward is the number of the step."""
    envs = delayed(oracle(terminate_at=8), 1, every=3)
    envs.reset([0], [1])
    assert rewards_of(envs, 0, 8) == [0, 0, 1 + 2 + 3, 0, 0, 4 + 5 + 6, 0, 7 + 8]


def test_a_time_limit_pays_and_the_next_episode_counts_from_its_own_start() -> None:
    envs = delayed(oracle(time_limit=5), 1, every=3)
    for seed in (1, 2):
        envs.reset([0], [seed])
        assert rewards_of(envs, 0, 5) == [0, 0, 6, 0, 9]


def test_an_episode_that_is_broken_off_owes_nothing_to_the_next() -> None:
    envs = delayed(oracle(terminate_at=9), 1, every=3)
    envs.reset([0], [1])
    rewards_of(envs, 0, 2)
    envs.reset([0], [2])
    assert rewards_of(envs, 0, 3) == [0, 0, 6]


def test_rows_count_for_themselves_and_only_those_named_move() -> None:
    envs = delayed(oracle(terminate_at=9), 3, every=2)
    envs.reset([0, 2], [1, 2])
    seen: dict[int, list[float]] = {0: [], 2: []}
    for rows in ([0], [0, 2], [2, 0], [2]):
        _, paid, _, _ = envs.step(rows, np.zeros((len(rows), 2), np.float32))
        for row, reward in zip(rows, paid.tolist(), strict=True):
            seen[row].append(reward)
    assert seen == {0: [0, 3, 0], 2: [0, 3, 0]}


def test_paid_at_every_step_it_is_the_task_itself() -> None:
    task = oracle(terminate_at=6)
    for envs in (delayed(task, 1, every=1), GymnasiumEnvs(task, 1)):
        envs.reset([0], [1])
        assert rewards_of(envs, 0, 6) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("limits", [{"terminate_at": 7, "spread": 5}, {"time_limit": 9}])
def test_returns_lengths_and_observations_are_those_of_the_task(limits: dict[str, int]) -> None:
    task = oracle(**limits)
    policy = small_policy(task)
    members, seeds = members_of(policy, 4), [3, 4, 5, 6]
    plain, late = (
        Episodes(envs, policy, Ledger()).play(members, seeds, "fitness", keep=True)
        for envs in (GymnasiumEnvs(task, 4), delayed(task, 4, every=4))
    )
    np.testing.assert_allclose(late.returns, plain.returns, rtol=1e-12)
    assert late.lengths.tolist() == plain.lengths.tolist()
    assert plain.transitions is not None
    assert late.transitions is not None
    for name in ("observations", "actions", "next_observations", "terminated"):
        assert same(getattr(late.transitions, name), getattr(plain.transitions, name)), name
    assert (late.transitions.rewards == 0).float().mean() > 0.6


def test_a_resumed_episode_owes_what_it_owed() -> None:
    """The collector repeats the steps of a broken episode; the next payment then comes when it was due."""
    task = oracle(terminate_at=12)
    policy = small_policy(task, 0.1)

    def side() -> tuple[Collector, Streams]:
        streams = Streams(7)
        return Collector(delayed(task, 2, every=4), 2, task, policy, streams, Ledger()), streams

    (first, streams), (second, others) = side(), side()
    members = members_of(policy, 2)
    for _ in range(6):
        first.step(members, 0)
    second.load_state_dict(first.state_dict())
    others.load_state_dict(streams.state_dict())
    assert second.exact
    for step in range(7, 10):
        ours, theirs = (collector.step(members, 0).transitions.rewards for collector in (second, first))
        assert same(ours, theirs)
        assert bool(theirs.any()) == (step == 8)


def test_closing_closes_the_environments_which_may_be_reset_again() -> None:
    envs = delayed(oracle(terminate_at=4), 1, every=4)
    envs.reset([0], [1])
    rewards_of(envs, 0, 3)
    envs.close()
    with pytest.raises(RuntimeError, match="row 0 must be reset before it is stepped"):
        envs.step([0], STILL)
    envs.reset([0], [1])
    assert rewards_of(envs, 0, 4) == [0, 0, 0, 10]


def test_payments_come_at_least_a_step_apart() -> None:
    with pytest.raises(ConfigError, match="every must be at least 1, got 0"):
        delayed(oracle(), 1, every=0)
