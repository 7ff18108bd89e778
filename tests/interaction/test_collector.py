"""The collector: members that stay in mid-episode, and come back to where they stood."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from support import counted, members_of, number_of, oracle, same, small_policy, total_steps

from evorl.budget import Ledger
from evorl.envs import GymnasiumEnvs, describe
from evorl.errors import EnvironmentFault
from evorl.interaction import Collected, Collector
from evorl.policies import NetworkConfig, stochastic_policy
from evorl.population import Identities, Population
from evorl.streams import Streams
from evorl.task import Task

NOISE = 0.1


@dataclass
class Side:
    """A collector with all that belongs to it."""

    task: Task
    n: int

    def __post_init__(self) -> None:
        policy = small_policy(self.task, NOISE)
        self.streams, self.ledger = Streams(7), Ledger()
        envs = GymnasiumEnvs(self.task, self.n)
        self.collector = Collector(envs, self.n, self.task, policy, self.streams, self.ledger)
        self.members: Population = members_of(policy, self.n)

    def steps(self, steps: int, generation: int = 0, uniform: bool = False) -> list[Collected]:
        """Take steps and return what each brought, which in use goes to the replay at once."""
        return [snapshot(self.collector.step(self.members, generation, uniform)) for _ in range(steps)]

    def saved(self) -> Any:
        """Return the state of collector, streams and ledger after a way through a file."""
        parts: dict[str, Any] = {"collector": self.collector, "streams": self.streams, "ledger": self.ledger}
        buffer = io.BytesIO()
        torch.save({name: part.state_dict() for name, part in parts.items()}, buffer)
        buffer.seek(0)
        return torch.load(buffer, weights_only=True)

    def resumed(self) -> "Side":
        """Return another one, on new environments, that was brought to the same place."""
        state, other = self.saved(), Side(self.task, self.n)
        other.streams.load_state_dict(state["streams"])
        other.ledger.load_state_dict(state["ledger"])
        other.collector.load_state_dict(state["collector"])
        return other


def snapshot(collected: Collected) -> Collected:
    copies = {name: value.clone() for name, value in vars(collected.transitions).items()}
    return Collected(type(collected.transitions)(**copies), collected.finished, collected.returns)


def contents(collected: list[Collected]) -> list[Any]:
    return [[vars(c.transitions), c.finished, c.returns] for c in collected]


def seeds_of(row: int, episodes: int, generation: int = 0) -> list[int]:
    return [Streams(7).episode_seed("episode", generation, row, episode) for episode in range(episodes)]


def test_every_call_goes_on_where_the_last_one_stopped() -> None:
    side = Side(oracle(100), 2)
    collected = side.steps(3) + side.steps(4)
    for step, one in enumerate(collected):
        for row in range(2):
            number = number_of(seeds_of(row, 1)[0])
            assert one.transitions.observations[row].tolist() == [number, step]
            assert one.transitions.next_observations[row].tolist() == [number, step + 1]
    assert side.collector.taken.tolist() == [7, 7]


def test_an_ended_episode_is_followed_by_one_from_a_fresh_seed_and_no_transition_crosses_the_reset() -> None:
    for row in range(2):
        numbers = [number_of(seed) for seed in seeds_of(row, 3)]
        assert len(set(numbers)) == 3
        side = Side(oracle(5), 2)
        for step, one in enumerate(side.steps(15)):
            episode, within = divmod(step, 5)
            assert one.transitions.observations[row].tolist() == [numbers[episode], within]
            assert one.transitions.next_observations[row].tolist() == [numbers[episode], within + 1]


def test_the_seed_of_a_start_depends_on_the_generation_in_which_it_starts() -> None:
    side = Side(oracle(2), 1)
    side.steps(1, generation=3)
    (goes_on,) = side.steps(1, generation=4)
    (begins,) = side.steps(1, generation=4)
    first = Streams(7).episode_seed("episode", 3, 0, 0)
    second = Streams(7).episode_seed("episode", 4, 0, 1)
    assert goes_on.transitions.observations[0, 0] == number_of(first)
    assert begins.transitions.observations[0, 0] == number_of(second)


def test_a_time_limit_bootstraps_and_a_terminal_state_does_not() -> None:
    for task, terminated in ((oracle(4), 0), (oracle(9, terminate_at=4), 1), (oracle(4, terminate_at=4), 1)):
        collected = Side(task, 1).steps(8)
        assert [one.transitions.terminated.tolist() for one in collected] == 2 * [[0], [0], [0], [terminated]]
        assert [one.finished for one in collected] == 2 * [[], [], [], [0]]


def test_finished_returns_are_the_sums_of_an_episodes_rewards_and_say_whose_they_are() -> None:
    side = Side(oracle(50, terminate_at=3, spread=4), 3)
    sums, expected, got = np.zeros(3), [], []
    for one in side.steps(40):
        sums += one.transitions.rewards.double().numpy()
        ended = one.transitions.terminated.bool().numpy()
        expected += [(int(row), sums[row]) for row in np.flatnonzero(ended)]
        got += list(zip(one.finished, one.returns.tolist(), strict=True))
        assert one.returns.dtype == np.float64
        sums[ended] = 0
    assert [row for row, _ in got] == [row for row, _ in expected]
    np.testing.assert_allclose([total for _, total in got], [total for _, total in expected], rtol=1e-5)
    assert len({row for row, _ in got}) == 3
    assert side.ledger.episodes == len(got)


def test_members_act_with_the_noise_of_their_own_streams() -> None:
    side = Side(oracle(100), 3)
    noise = Streams(7).rows("explore", range(3)).normal(4, 2)
    for step, one in enumerate(side.steps(4)):
        quiet = small_policy(side.task).act(side.members, one.transitions.observations)
        torch.testing.assert_close(one.transitions.actions, (quiet + NOISE * noise[:, step]).clamp(-1, 1))
        torch.testing.assert_close(one.transitions.rewards, step + 1 + one.transitions.actions.sum(1))


def test_transitions_name_the_rows_that_acted() -> None:
    (one,) = Side(oracle(100), 3).steps(1)
    assert one.transitions.members is not None
    assert one.transitions.members.tolist() == [0, 1, 2]


def test_the_warm_up_is_uniform_over_the_range_and_each_members_own() -> None:
    side = Side(oracle(100), 2)
    actions = torch.stack([one.transitions.actions for one in side.steps(50, uniform=True)], dim=1)
    assert torch.equal(actions, Streams(7).rows("explore", range(2)).uniform(-1, 1, 50, 2))
    assert actions.min() < -0.9
    assert actions.max() > 0.9


def test_the_warm_up_of_a_discrete_task_takes_every_choice_as_often() -> None:
    task = describe("CartPole-v1")
    policy = stochastic_policy(task, NetworkConfig(hidden_sizes=(4,)))
    members = Population.fresh(policy.network.init(Streams(0).rows("initialise", range(2))), Identities(), "initial")
    collector = Collector(GymnasiumEnvs(task, 2), 2, task, policy, Streams(7), Ledger())
    collected = [snapshot(collector.step(members, 0, uniform=True)) for _ in range(200)]
    actions = torch.stack([one.transitions.actions for one in collected], dim=1)
    assert torch.equal(actions, Streams(7).rows("explore", range(2)).integers([2, 2], 200, 1).float())
    assert 160 < actions.sum() < 240
    assert actions.dtype == torch.float32


def test_every_step_is_counted_once_and_by_purpose() -> None:
    with counted() as made:
        side = Side(oracle(5, terminate_at=3, spread=4), 3)
        side.steps(7, uniform=True)
        side.steps(11)
        assert side.ledger.steps == {**Ledger().steps, "warmup": 21, "train": 33}
        assert total_steps(made) == side.ledger.spent == 54


def test_a_member_collects_the_same_alone_and_beside_others() -> None:
    task = oracle(9, terminate_at=3, spread=4)
    together, alone = Side(task, 3), Side(task, 1)
    alone.members = together.members[[0]]
    for ours, theirs in zip(together.steps(20), alone.steps(20), strict=True):
        torch.testing.assert_close(ours.transitions.actions[0], theirs.transitions.actions[0])
        assert torch.equal(ours.transitions.next_observations[0], theirs.transitions.next_observations[0])


TASKS: dict[str, Task] = {
    "oracle": oracle(9, terminate_at=3, spread=4),
    "pendulum": describe("Pendulum-v1", {"max_episode_steps": 12}),
}


@pytest.mark.parametrize("taken", [0, 1, 12, 17, 24])
@pytest.mark.parametrize("task", TASKS)
def test_a_resumed_collector_equals_the_uninterrupted_one(task: str, taken: int) -> None:
    """The steps saved after are the start, mid-episode, and, for Pendulum, the ends of its episodes."""
    uncut = Side(TASKS[task], 3)
    uncut.steps(taken // 2, uniform=True)
    uncut.steps(taken - taken // 2)
    resumed = uncut.resumed()
    assert resumed.collector.exact
    assert same(contents(uncut.steps(30, generation=1)), contents(resumed.steps(30, generation=1)))
    ours, theirs = uncut.saved(), resumed.saved()
    theirs["ledger"]["steps"]["restored"] = 0
    assert same(ours, theirs)


def test_repeated_steps_are_counted_as_restored_and_only_those_of_running_episodes() -> None:
    side = Side(oracle(100, terminate_at=5), 2)
    side.steps(8)
    with counted() as made:
        resumed = side.resumed()
        assert resumed.ledger.steps == {**side.ledger.steps, "restored": 6}
        assert total_steps(made) == 6
    assert resumed.ledger.spent == side.ledger.spent == 16
    side.steps(2)
    assert side.resumed().ledger.steps["restored"] == 0


def test_a_state_may_be_loaded_into_the_collector_that_wrote_it() -> None:
    side = Side(oracle(100), 2)
    side.steps(3)
    state = side.saved()
    expected = contents(side.steps(5))
    side.streams.load_state_dict(state["streams"])
    side.collector.load_state_dict(state["collector"])
    assert same(contents(side.steps(5)), expected)


def test_a_saved_state_does_not_change_with_later_steps() -> None:
    side = Side(oracle(4), 2)
    side.steps(3)
    state = side.collector.state_dict()
    kept = side.saved()["collector"]
    side.steps(6)
    assert same(state, kept)


def test_an_environment_that_does_not_repeat_itself_is_told_and_starts_a_new_episode() -> None:
    side = Side(oracle(100, repeats=False), 2)
    side.steps(3)
    resumed = Side(side.task, 2)
    state = side.saved()
    resumed.collector.envs.reset([0], [0])  # row 0 has begun once more than it had
    resumed.collector.load_state_dict(state["collector"])
    assert not resumed.collector.exact
    (one,) = resumed.steps(1, generation=5)
    fresh = number_of(Streams(7).episode_seed("episode", 5, 0, 1)) + 3
    assert one.transitions.observations[0].tolist() == [fresh, 0]
    assert one.transitions.observations[1].tolist() == [number_of(seeds_of(1, 1)[0]) + 1, 3]


def test_an_environment_that_ends_sooner_when_repeated_is_told_too() -> None:
    side = Side(oracle(100), 1)
    side.steps(6)
    resumed = Side(oracle(4), 1)
    resumed.collector.load_state_dict(side.saved()["collector"])
    assert not resumed.collector.exact
    (one,) = resumed.steps(1)
    assert one.transitions.observations[0].tolist() == [number_of(seeds_of(0, 2)[1]), 0]


def test_what_was_once_inexact_stays_so() -> None:
    side = Side(oracle(100), 1)
    side.collector.exact = False
    assert not side.resumed().collector.exact


@pytest.mark.parametrize("uniform", [False, True])
def test_a_fault_names_the_member_and_the_step_of_its_episode(uniform: bool) -> None:
    side = Side(oracle(nan_at=4, terminate_at=3, spread=2), 4)
    longer = [row for row in range(4) if seeds_of(row, 1)[0] % 2]
    assert longer
    assert longer[0] > 0
    with pytest.raises(EnvironmentFault, match=f"member {longer[0]}, step 4 of its episode"):
        side.steps(4, uniform=uniform)


def test_some_rows_can_step_alone_at_random_and_the_others_stand_still() -> None:
    side = Side(oracle(4), 3)
    before = side.steps(2)
    some = [snapshot(side.collector.step_at_random([0, 2], 0)) for _ in range(3)]
    assert side.ledger.steps["train"] == 6
    assert side.ledger.steps["warmup"] == 6
    assert side.collector.taken.tolist() == [5, 2, 5]
    assert [one.transitions.members.tolist() for one in some if one.transitions.members is not None] == [[0, 2]] * 3
    assert [one.finished for one in some] == [[], [0, 2], []], "two steps of four had been taken"
    assert torch.equal(some[0].transitions.observations, before[1].transitions.next_observations[[0, 2]])
    after = side.steps(1)[0]
    assert torch.equal(after.transitions.observations[1], before[1].transitions.next_observations[1])
    assert torch.equal(after.transitions.observations[[0, 2]], some[2].transitions.next_observations)


def test_random_steps_of_some_rows_are_those_of_a_warm_up_of_all() -> None:
    one, all_rows = Side(oracle(4), 3), Side(oracle(4), 3)
    some = [snapshot(one.collector.step_at_random([1], 0)) for _ in range(6)]
    for alone, together in zip(some, all_rows.steps(6, uniform=True), strict=True):
        assert torch.equal(alone.transitions.actions[0], together.transitions.actions[1])
        assert torch.equal(alone.transitions.next_observations[0], together.transitions.next_observations[1])


@pytest.mark.parametrize("taken", [63, 64, 65, 130])
def test_a_long_episode_is_repeated_whole(taken: int) -> None:
    """Room for the actions of an episode grows by steps; none of them may be lost, or kept beyond its episode."""
    first = Side(oracle(terminate_at=100, spread=30), 2)
    first.steps(taken)
    state = first.collector.state_dict()
    assert [0 if actions is None else len(actions) for actions in state["actions"]] == [
        int(observation[1]) for observation in state["observations"]
    ]
    second = first.resumed()
    assert second.collector.exact
    assert same(second.collector.state_dict(), state)
