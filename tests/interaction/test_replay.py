"""Replay against a list that forgets its oldest entries."""

import io
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from evorl.errors import ConfigError
from evorl.interaction import Replay
from evorl.interaction.replay import FIRST_ALLOCATION
from evorl.population import Transitions
from evorl.streams import Streams


def numbered(numbers: list[int], members: list[int] | None = None) -> Transitions:
    """Return transitions in which every number follows from that of the transition."""
    number = torch.tensor(numbers).float()
    return Transitions(
        torch.stack([number, 2 * number], dim=1),
        -number[:, None],
        number / 2,
        torch.stack([number + 1, 2 * number + 1], dim=1),
        number % 2,
        None if members is None else torch.tensor(members),
    )


def numbers_of(drawn: Transitions) -> Tensor:
    """Return the numbers of a minibatch, after checking that no transition is a mixture of two."""
    number = drawn.observations[..., 0]
    assert torch.equal(drawn.observations[..., 1], 2 * number)
    assert torch.equal(drawn.actions[..., 0], -number)
    assert torch.equal(drawn.rewards, number / 2)
    assert torch.equal(drawn.next_observations, torch.stack([number + 1, 2 * number + 1], dim=-1))
    assert torch.equal(drawn.terminated, number % 2)
    return number.long()


def contents(replay: Replay) -> list[list[int]]:
    """Return the numbers in each ring, sorted."""
    rings = len(replay.sizes)
    found = []
    for ring, size in enumerate(replay.sizes):
        places = torch.zeros(rings, size, dtype=torch.int64)
        places[ring] = torch.arange(size)
        found.append(sorted(numbers_of(replay.take(places))[ring].tolist()))
    return found


def small(rings: int, capacity: int) -> Replay:
    return Replay(rings, capacity, observation_size=2, action_size=1)


def test_a_ring_forgets_the_oldest_first() -> None:
    replay, expected = small(1, 7), deque[int](maxlen=7)
    for start, length in ((0, 3), (3, 4), (7, 1), (8, 5), (13, 7), (20, 2)):
        numbers = list(range(start, start + length))
        replay.add(numbered(numbers))
        expected.extend(numbers)
        assert contents(replay) == [sorted(expected)]
        assert replay.sizes == [len(expected)]


def test_of_a_batch_larger_than_the_ring_the_latest_stay() -> None:
    replay = small(1, 7)
    replay.add(numbered(list(range(20))))
    assert contents(replay) == [list(range(13, 20))]
    replay.add(numbered([20, 21]))
    assert contents(replay) == [list(range(15, 22))]
    replay.add(numbered(list(range(100, 109))))
    assert contents(replay) == [list(range(102, 109))]


@pytest.mark.parametrize("capacity", [5 * FIRST_ALLOCATION + 3, FIRST_ALLOCATION, 2 * FIRST_ALLOCATION])
def test_nothing_is_lost_when_the_storage_doubles(capacity: int) -> None:
    replay, total, block = small(1, capacity), capacity + 500, 300
    for start in range(0, total, block):
        end = min(start + block, total)
        replay.add(numbered(list(range(start, end))))
        assert contents(replay) == [list(range(max(0, end - capacity), end))]


def test_storage_grows_with_what_is_stored() -> None:
    replay = small(1, 10**12)  # would not fit into memory at once
    replay.add(numbered(list(range(3 * FIRST_ALLOCATION))))
    assert contents(replay) == [list(range(3 * FIRST_ALLOCATION))]


def test_every_member_has_a_ring_of_its_own() -> None:
    replay = small(3, 4)
    expected = [deque[int](maxlen=4) for _ in range(3)]
    members = [0, 2, 0, 2, 2, 2, 0, 2, 2, 2, 1, 2]
    for start in range(0, 12, 4):
        replay.add(numbered(list(range(start, start + 4)), members[start : start + 4]))
    for number, member in enumerate(members):
        expected[member].append(number)
    assert contents(replay) == [sorted(ring) for ring in expected]
    assert replay.sizes == [3, 1, 4]


def test_rings_of_different_fill_keep_apart_when_the_storage_doubles() -> None:
    replay = small(2, 4 * FIRST_ALLOCATION)
    replay.add(numbered([7, 8], [0, 0]))
    replay.add(numbered(list(range(100, 100 + 3 * FIRST_ALLOCATION)), [1] * 3 * FIRST_ALLOCATION))
    assert contents(replay) == [[7, 8], list(range(100, 100 + 3 * FIRST_ALLOCATION))]


def test_a_shared_ring_takes_from_all_members_and_does_not_ask_who() -> None:
    replay = small(1, 10)
    replay.add(numbered([1, 2, 3], [5, 0, 2]))
    replay.add(numbered([4, 5]))
    assert contents(replay) == [[1, 2, 3, 4, 5]]


def test_a_ring_for_each_member_needs_to_know_whose_a_transition_is() -> None:
    with pytest.raises(ValueError, match="must name their members for a replay with a ring each, got members=None"):
        small(2, 10).add(numbered([1, 2]))


def test_minibatches_are_uniform_over_the_ring_with_replacement() -> None:
    replay = small(1, 50)
    replay.add(numbered(list(range(80))))
    drawn = numbers_of(replay.sample(Streams(0).rows("minibatch", range(2)), 10_000))
    assert drawn.shape == (2, 10_000)
    for row in drawn:
        counts = torch.bincount(row - 30, minlength=50)
        assert len(counts) == 50
        assert stats.chisquare(counts.numpy()).pvalue > 0.001
    assert abs(torch.corrcoef(drawn.float())[0, 1]) < 0.05


def test_each_member_draws_uniformly_from_its_own_ring() -> None:
    replay = small(3, 50)
    replay.add(numbered(list(range(90)), [0] * 10 + [1] * 60 + [2] * 20))
    drawn = numbers_of(replay.sample(Streams(0).rows("minibatch", range(3)), 8_000))
    for row, (low, high) in enumerate([(0, 10), (20, 70), (70, 90)]):
        counts = torch.bincount(drawn[row] - low, minlength=high - low)
        assert len(counts) == high - low
        assert stats.chisquare(counts.numpy()).pvalue > 0.001


def test_a_member_draws_the_same_alone_and_in_a_stack() -> None:
    stacked, alone = small(3, 50), small(1, 50)
    for member in range(3):
        stacked.add(numbered(list(range(20)), [member] * 20))
    alone.add(numbered(list(range(20))))
    drawn = stacked.sample(Streams(0).rows("minibatch", range(3)), 30)
    by_itself = alone.sample(Streams(0).rows("minibatch", [2]), 30)
    assert torch.equal(drawn.rewards[2], by_itself.rewards[0])


def test_a_minibatch_may_be_larger_than_what_is_stored() -> None:
    replay = small(1, 50)
    replay.add(numbered([4]))
    assert numbers_of(replay.sample(Streams(0).rows("minibatch", [0]), 6)).tolist() == [[4] * 6]


def test_without_replacement_no_transition_is_drawn_twice_for_a_minibatch() -> None:
    replay = small(2, 50)
    replay.add(numbered(list(range(20)), [0] * 12 + [1] * 8))
    streams = Streams(0).rows("minibatch", range(2))
    for _ in range(50):
        first, second = numbers_of(replay.sample(streams, 8, replacement=False)).tolist()
        assert len(set(first)) == 8
        assert set(first) <= set(range(12))
        assert set(second) == set(range(12, 20))


def test_nothing_can_be_drawn_from_an_empty_ring() -> None:
    replay = small(2, 50)
    replay.add(numbered([4], [0]))
    with pytest.raises(ValueError, match="high"):
        replay.sample(Streams(0).rows("minibatch", range(2)), 6)


def test_a_minibatch_has_the_shapes_of_the_contract() -> None:
    replay = small(2, 50)
    replay.add(numbered([1, 2, 3], [0, 1, 1]))
    drawn = replay.sample(Streams(0).rows("minibatch", range(2)), 5)
    assert (drawn.observations.shape, drawn.actions.shape, drawn.rewards.shape) == ((2, 5, 2), (2, 5, 1), (2, 5))
    assert (drawn.next_observations.shape, drawn.terminated.shape, drawn.members) == ((2, 5, 2), (2, 5), None)


def test_a_minibatch_does_not_change_with_what_is_stored_later() -> None:
    replay = small(1, 2)
    replay.add(numbered([1, 2]))
    drawn = replay.sample(Streams(0).rows("minibatch", [0]), 20)
    kept = numbers_of(drawn).clone()
    replay.add(numbered([3, 4]))
    assert torch.equal(numbers_of(drawn), kept)


@pytest.mark.parametrize("stored", [5, 40, 75, FIRST_ALLOCATION + 200])
@pytest.mark.parametrize("rings", [1, 2])
def test_a_restored_replay_goes_on_as_if_it_had_not_been_cut(rings: int, stored: int) -> None:
    def filled(numbers: range) -> Transitions:
        return numbered(list(numbers), [number % 3 % rings for number in numbers])

    capacity = 60 if stored < 100 else 4 * FIRST_ALLOCATION
    uncut = small(rings, capacity)
    for start in range(0, stored, 25):
        uncut.add(filled(range(start, min(start + 25, stored))))
    buffer = io.BytesIO()
    torch.save(uncut.state_dict(), buffer)
    buffer.seek(0)
    resumed = small(rings, capacity)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    for replay in (uncut, resumed):
        replay.add(filled(range(stored, stored + 33)))
    assert contents(uncut) == contents(resumed)
    assert uncut.sizes == resumed.sizes
    draws = [replay.sample(Streams(1).rows("minibatch", range(rings)), 50) for replay in (uncut, resumed)]
    assert torch.equal(numbers_of(draws[0]), numbers_of(draws[1]))


def test_a_saved_state_does_not_change_with_what_is_stored_later() -> None:
    replay = small(1, 4)
    replay.add(numbered([1, 2, 3, 4]))
    state: dict[str, Any] = replay.state_dict()
    replay.add(numbered([5, 6]))
    restored = small(1, 4)
    restored.load_state_dict(state)
    restored.add(numbered([7]))
    assert contents(restored) == [[2, 3, 4, 7]]
    assert contents(replay) == [[3, 4, 5, 6]]


@pytest.mark.parametrize("name", ["rings", "capacity"])
def test_a_replay_of_nothing_is_refused(name: str) -> None:
    settings: dict[str, Any] = {"rings": 1, "capacity": 1, name: 0}
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        Replay(**settings, observation_size=1, action_size=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda replay: replay.add(numbered([4, 5, 6, 7], [0, 0, 0, 1])),
        lambda replay: replay.follow(torch.tensor([1, 1])),
        lambda replay: replay.clear([0]),
        lambda replay: replay.load_state_dict(small(2, 4).state_dict()),
    ],
    ids=["add", "follow", "clear", "load"],
)
def test_a_state_stays_as_it_was_whatever_happens_to_the_replay(change: Callable[[Replay], None]) -> None:
    def rings(state: dict[str, Any]) -> list[list[list[float]]]:
        return [journal.records().tolist() for journal in state["records"]]

    replay = small(2, 4)
    replay.add(numbered([1, 2, 3], [0, 0, 1]))
    state = replay.state_dict()
    before = rings(state)
    change(replay)
    assert rings(replay.state_dict()) != before
    assert rings(state) == before
    restored = small(2, 4)
    restored.load_state_dict(state)
    assert rings(restored.state_dict()) == before


def test_a_ring_is_a_journal_whose_edition_changes_when_it_is_cleared_or_copied() -> None:
    def stretches() -> list[tuple[int, int, int]]:
        return [(ring.edition, ring.begin, ring.end) for ring in replay.state_dict()["records"]]

    replay = small(3, 4)
    replay.add(numbered(list(range(4)), [0, 0, 0, 0]))
    replay.add(numbered(list(range(4, 8)), [0, 0, 1, 2]))
    assert stretches() == [(0, 2, 6), (0, 0, 1), (0, 0, 1)]
    replay.follow(torch.tensor([0, 0, 2]))
    assert stretches() == [(0, 2, 6), (1, 2, 6), (0, 0, 1)]
    replay.clear([2])
    assert stretches() == [(0, 2, 6), (1, 2, 6), (1, 0, 0)]
    assert replay.state_dict()["records"][1].records(3, 5)[:, 0].tolist() == [3, 4]


def test_a_ring_of_which_only_the_length_is_known_has_nothing_to_draw() -> None:
    full, restored = small(1, 3 * FIRST_ALLOCATION), small(1, 3 * FIRST_ALLOCATION)
    full.add(numbered(list(range(2 * FIRST_ALLOCATION))))
    restored.load_state_dict({**full.state_dict(), "records": [None]})
    assert restored.sizes == full.sizes
    with pytest.raises(RuntimeError, match=r"^a replay of a finished run was kept without its transitions"):
        restored.sample(Streams(0).rows("minibatch", [0]), 50)


@pytest.mark.parametrize(("rings", "capacity"), [(2, 4), (1, 5)])
def test_the_state_of_other_rings_is_refused(rings: int, capacity: int) -> None:
    with pytest.raises(ValueError, match=f"state must be of 1 rings of capacity 4, got {rings} of {capacity}"):
        small(1, 4).load_state_dict(small(rings, capacity).state_dict())
