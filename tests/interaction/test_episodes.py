"""Whole episodes against loops over Gymnasium by hand."""

import gymnasium
import numpy as np
import pytest
import torch
from support import Oracle, counted, members_of, number_of, oracle, small_policy, total_steps

from evorl.budget import Ledger, Purpose
from evorl.envs import GymnasiumEnvs, describe
from evorl.errors import EnvironmentFault
from evorl.interaction import Episodes
from evorl.population import Population
from evorl.streams import Streams
from evorl.task import Task


def episodes_of(task: Task, n: int, exploration_noise: float = 0.0) -> Episodes:
    return Episodes(GymnasiumEnvs(task, n), small_policy(task, exploration_noise), Ledger())


def by_hand(task: Task, members: Population, row: int, seed: int) -> tuple[float, int]:
    """Play one episode with one member and plain Gymnasium."""
    policy, member = small_policy(task), members[[row]]
    environment = gymnasium.make(task.env_id, **task.env_kwargs)
    observation, _ = environment.reset(seed=seed)
    total, steps, over = 0.0, 0, False
    while not over:
        action = policy.act(member, torch.tensor(np.array([observation], np.float32)))[0].numpy()
        half = (np.array(task.action_high) - np.array(task.action_low)) / 2
        observation, reward, terminated, truncated, _ = environment.step((half * action).astype(np.float32))
        total, steps, over = total + float(reward), steps + 1, terminated or truncated
    return total, steps


def test_returns_and_lengths_equal_those_of_a_loop_by_hand_on_pendulum() -> None:
    task = describe("Pendulum-v1", {"max_episode_steps": 60})
    episodes, members = episodes_of(task, 3), members_of(small_policy(task), 3)
    played = episodes.play(members, [11, 12, 13], "fitness")
    expected = [by_hand(task, members, row, 11 + row) for row in range(3)]
    np.testing.assert_allclose(played.returns, [total for total, _ in expected], rtol=1e-5)
    assert played.lengths.tolist() == [60, 60, 60]
    assert played.returns.dtype == np.float64
    assert len(set(played.returns.tolist())) == 3


def test_returns_and_lengths_equal_those_of_a_loop_by_hand_on_episodes_of_different_lengths() -> None:
    task = oracle(9, terminate_at=3, spread=12)
    seeds = [5, 20, 0, 11, 3, 6, 7]
    members = members_of(small_policy(task), len(seeds))
    played = episodes_of(task, len(seeds)).play(members, seeds, "fitness")
    expected = [by_hand(task, members, row, seed) for row, seed in enumerate(seeds)]
    np.testing.assert_allclose(played.returns, [total for total, _ in expected], rtol=1e-5)
    assert played.lengths.tolist() == [steps for _, steps in expected] == [8, 9, 3, 9, 6, 9, 9]


def test_a_member_whose_episode_is_over_costs_nothing() -> None:
    task = oracle(20, terminate_at=2, spread=7)
    with counted() as made:
        episodes = episodes_of(task, 5)
        played = episodes.play(members_of(small_policy(task), 5), [0, 6, 2, 3, 13], "fitness")
        assert [environment.steps for environment in made] == played.lengths.tolist() == [2, 8, 4, 5, 8]
        assert episodes.ledger.steps["fitness"] == total_steps(made) == 27
    assert episodes.ledger.episodes == 5


@pytest.mark.parametrize("purpose", ["train", "fitness", "test"])
def test_steps_are_counted_under_their_purpose_and_test_episodes_not_at_all(purpose: Purpose) -> None:
    task = oracle(4)
    episodes = episodes_of(task, 3)
    episodes.play(members_of(small_policy(task), 3), [0, 1, 2], purpose)
    assert episodes.ledger.steps == {**Ledger().steps, purpose: 12}
    assert episodes.ledger.episodes == (0 if purpose == "test" else 3)


def test_one_member_may_play_all_episodes() -> None:
    task = oracle(20, terminate_at=2, spread=7)
    one, seeds = members_of(small_policy(task), 1), [4, 0, 6, 1]
    together = episodes_of(task, 4).play(one, seeds, "test", keep=True)
    copies = episodes_of(task, 4).play(one[[0] * 4], seeds, "test")
    np.testing.assert_allclose(together.returns, copies.returns, rtol=1e-5)
    assert together.lengths.tolist() == copies.lengths.tolist() == [6, 2, 8, 3]
    assert together.transitions is not None
    assert together.transitions.members is not None
    assert together.transitions.members.tolist() == [0] * 6 + [1] * 2 + [2] * 8 + [3] * 3


def test_a_member_plays_the_same_alone_and_beside_others() -> None:
    task = oracle(20, terminate_at=2, spread=7)
    members, seeds = members_of(small_policy(task), 4), [4, 0, 6, 1]
    streams = Streams(0).rows("explore", range(4))
    together = episodes_of(task, 4, 0.3).play(members, seeds, "train", streams)
    for row in range(4):
        own = Streams(0).rows("explore", [row])
        alone = episodes_of(task, 1, 0.3).play(members[[row]], [seeds[row]], "train", own)
        assert alone.returns[0] == pytest.approx(together.returns[row], rel=1e-5)
        assert own.normal(1)[0] == streams[[row]].normal(1)[0]  # nothing was drawn after the member's end


def test_exploration_noise_is_that_of_the_members_streams() -> None:
    task, seeds = oracle(6), [1, 2]
    members = members_of(small_policy(task), 2)
    quiet = episodes_of(task, 2).play(members, seeds, "train", keep=True).transitions
    streams = Streams(0).rows("explore", range(2))
    noisy = episodes_of(task, 2, 0.01).play(members, seeds, "train", streams, keep=True).transitions
    assert quiet is not None
    assert noisy is not None
    noise = Streams(0).rows("explore", range(2)).normal(12).view(12, 2)
    torch.testing.assert_close(noisy.actions, (quiet.actions + 0.01 * noise).clamp(-1, 1), rtol=0, atol=1e-6)


def kept(task: Task, seeds: list[int]) -> list[list[tuple[list[float], list[float], float, float, list[float]]]]:
    """Return each member's transitions in the order in which they were handed back."""
    played = episodes_of(task, len(seeds)).play(members_of(small_policy(task), len(seeds)), seeds, "train", keep=True)
    transitions = played.transitions
    assert transitions is not None
    assert transitions.members is not None
    assert len(transitions) == played.lengths.sum()
    columns = (
        transitions.observations,
        transitions.next_observations,
        transitions.terminated,
        transitions.rewards,
        transitions.actions,
    )
    assert all(column.dtype == torch.float32 for column in columns)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    return [
        [row for row, owner in zip(rows, transitions.members.tolist(), strict=True) if owner == member]
        for member in range(len(seeds))
    ]


def test_transitions_stand_member_by_member_in_order_of_time_and_none_crosses_a_reset() -> None:
    seeds = [4, 70_000, 6, 1, 123_456_789]
    for seed, transitions in zip(seeds, kept(oracle(6, terminate_at=2, spread=7), seeds), strict=True):
        number = number_of(seed)
        for step, (observation, following, _, reward, action) in enumerate(transitions):
            assert (observation, following) == ([number, step], [number, step + 1])
            assert reward == pytest.approx(step + 1 + sum(action), rel=1e-5)


def test_a_time_limit_bootstraps_and_a_terminal_state_does_not() -> None:
    limited, terminal = kept(oracle(6, terminate_at=2, spread=7), [6, 3])
    assert [terminated for _, _, terminated, _, _ in limited] == [0] * 6
    assert [terminated for _, _, terminated, _, _ in terminal] == [0, 0, 0, 0, 1]


def test_a_terminal_state_on_the_very_step_of_the_time_limit_is_terminal() -> None:
    (both,) = kept(oracle(5, terminate_at=5), [0])
    assert [terminated for _, _, terminated, _, _ in both] == [0, 0, 0, 0, 1]


def test_nothing_is_kept_unless_it_is_asked_for() -> None:
    task = oracle(4)
    assert episodes_of(task, 1).play(members_of(small_policy(task), 1), [0], "test").transitions is None


def test_the_same_seeds_give_the_same_episodes_again_on_the_same_environments() -> None:
    task = describe("Pendulum-v1", {"max_episode_steps": 20})
    episodes, members = episodes_of(task, 2), members_of(small_policy(task), 2)
    first, second = (episodes.play(members, [3, 4], "test") for _ in range(2))
    assert first.returns.tolist() == second.returns.tolist()


def test_members_and_their_fitness_are_left_alone() -> None:
    task = oracle(4)
    members = members_of(small_policy(task), 2)
    params = members.params.clone()
    episodes_of(task, 2).play(members, [0, 1], "fitness", keep=True)
    assert torch.equal(members.params, params)
    assert members.fitness.isnan().all()


def test_rewards_are_summed_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, a hundred million swallows every step of one."""
    step = Oracle.step

    def heavy(
        self: Oracle, action: np.ndarray[tuple[int], np.dtype[np.float32]]
    ) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], float, bool, bool, dict[str, object]]:
        observation, _, terminated, truncated, info = step(self, action)
        return observation, 1e8 if self.steps == 1 else 1.0, terminated, truncated, info

    monkeypatch.setattr(Oracle, "step", heavy)
    task = oracle(11)
    played = episodes_of(task, 1).play(members_of(small_policy(task), 1), [0], "test")
    assert played.returns.tolist() == [1e8 + 10]


def test_a_fault_names_the_member_even_after_others_have_ended() -> None:
    task = oracle(terminate_at=2, spread=7, raise_at=5)
    with pytest.raises(EnvironmentFault, match="member 3, step 5 of its episode"):
        episodes_of(task, 4).play(members_of(small_policy(task), 4), [0, 1, 2, 6], "fitness")
