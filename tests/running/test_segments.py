"""Segments: only what is new is written, and whichever moment a process dies, the checkpoint on the disk is whole."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import same

from evorl.errors import RunFolderError
from evorl.interaction import Replay
from evorl.population import Transitions
from evorl.running import checkpoint, segments
from evorl.running.segments import Segments

RECORD = 4 * (2 + 1 + 1 + 2 + 1)
#: Bytes of a segment in these tests: eleven records and some.
LARGEST = 11 * RECORD + 5


@pytest.fixture(autouse=True)
def _small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "LARGEST", LARGEST)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # what a process leaves does not depend on it


class Store:
    """A replay whose checkpoints are written as a run writes them."""

    def __init__(self, folder: Path, rings: int = 1, capacity: int = 40) -> None:
        self.path, self.capacity = folder / "state.pt", capacity
        self.replay = Replay(rings, capacity, observation_size=2, action_size=1)
        self.added = 0
        self.segments = Segments(folder / "journals")

    def add(self, n: int, member: int = 0) -> None:
        number = torch.arange(self.added, self.added + n).float()
        pair = torch.stack([number, -number], dim=1)
        members = torch.full((n,), member)
        self.replay.add(Transitions(pair, number[:, None], number / 2, pair + 1, number % 2, members))
        self.added += n

    def content(self) -> dict[str, Any]:
        return {"state": {"replay": self.replay.state_dict(), "added": self.added}}

    def save(self, needed: bool = True) -> None:
        checkpoint.save(self.path, self.segments.write(self.content(), needed))
        self.segments.commit()

    def resume(self) -> None:
        """Become what a new process makes of the folder."""
        read = checkpoint.read(self.path)
        self.replay = Replay(len(self.replay.sizes), self.capacity, observation_size=2, action_size=1)
        self.replay.load_state_dict(read["state"]["replay"])
        self.added = read["state"]["added"]
        self.segments = Segments(self.path.parent / "journals", read["journals"])

    def files(self) -> dict[str, int]:
        found = (self.path.parent / "journals").glob("*") if self.path.parent.exists() else ()
        return {path.name: path.stat().st_size for path in found}


def plain(replay: Replay) -> dict[str, Any]:
    state = replay.state_dict()
    return {**state, "records": [journal.records() for journal in state["records"]]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def assert_read(store: Store) -> None:
    assert same(checkpoint.read(store.path)["state"]["replay"], plain(store.replay))


def test_what_was_written_stays_and_only_what_is_new_is_appended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(5)
    store.save()
    first = (store.path.parent / "journals/0.f32").read_bytes()
    store.add(2)
    store.save()
    assert (store.path.parent / "journals/0.f32").read_bytes()[: len(first)] == first
    assert store.files() == {"0.f32": 7 * RECORD}
    assert_read(store)


@pytest.mark.parametrize("rings", [1, 3])
def test_bytes_written_are_those_of_what_is_new(rings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    append = Segments._append

    def counting(self: Segments, segment: segments.Segment, records: Any) -> segments.Segment:
        written.append(records.nbytes)
        return append(self, segment, records)

    monkeypatch.setattr(Segments, "_append", counting)
    store = Store(tmp_path, rings)
    for new in (30, 0, 1, 7, 25, 3, 0, 39, 40, 100):  # the ring of 40 wraps around
        written.clear()
        for ring in range(rings):
            store.add(new, ring)
        store.save()
        assert sum(written) == rings * min(new, 40) * RECORD
        assert_read(store)


def test_the_rest_of_a_checkpoint_does_not_grow_with_the_replay(tmp_path: Path) -> None:
    sizes = []
    for n in (10, 1_000):
        (tmp_path / str(n)).mkdir()
        store = Store(tmp_path / str(n), capacity=5_000)
        store.add(n)
        store.save()
        sizes.append(store.path.stat().st_size)
    assert sizes[1] - sizes[0] < 1_000 / 11 * 80  # a line for each segment, of eleven records here


def test_a_ring_that_has_wrapped_keeps_no_more_than_a_segment_of_what_it_forgot(store: Store) -> None:
    for _ in range(60):
        store.add(7)
        store.save()
        assert sum(store.files().values()) >= min(store.added, 40) * RECORD
        assert sum(store.files().values()) < 40 * RECORD + LARGEST
    assert_read(store)


@pytest.mark.parametrize("change", ["clear", "follow"])
def test_a_ring_that_was_cleared_or_copied_is_written_anew_and_the_others_are_not(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, rings=3)
    for ring in range(3):
        store.add(9, ring)
    store.save()
    before = store.files()
    if change == "clear":
        store.replay.clear([1])
        store.add(4, 1)
    else:
        store.replay.follow(torch.tensor([0, 2, 2]))
    store.save()
    assert store.files() == {
        **{name: before[name] for name in ("0.f32", "2.f32")},
        "3.f32": RECORD * (4 if change == "clear" else 9),
    }
    assert_read(store)


def test_a_resumed_store_goes_on_where_it_stood(tmp_path: Path) -> None:
    store = Store(tmp_path, rings=2)
    for new in (5, 20, 33, 2, 50):
        store.add(new, 0)
        store.add(new // 2, 1)
        store.save()
        before = plain(store.replay)
        store.resume()
        assert same(plain(store.replay), before)


def test_a_run_that_needs_its_replay_no_more_keeps_none(store: Store) -> None:
    store.add(30)
    store.save()
    store.save(needed=False)
    assert [path.name for path in store.path.parent.iterdir()] == ["state.pt"]
    assert checkpoint.read(store.path)["state"]["replay"]["records"] == [None]


class Killed(BaseException):
    """Ends the process."""


#: What a checkpoint does with files, in whatever order.
OPERATIONS = [
    (os, "fsync"),
    (Path, "mkdir"),
    (Path, "unlink"),
    (Path, "rmdir"),
    (Path, "replace"),
]


def dying(monkeypatch: pytest.MonkeyPatch, at: int, after: bool, save: Callable[[], None]) -> bool:
    """Save, and die before or after operation `at`; return whether it came to that."""
    done = 0

    def watched(operation: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done == at and not after:
                raise Killed
            found = operation(*given, **named)
            if done == at and after:
                raise Killed
            return found

        return step

    with monkeypatch.context() as patch:
        for owner, name in OPERATIONS:
            patch.setattr(owner, name, watched(getattr(owner, name)))
        try:
            save()
        except Killed:
            return True
    return False


def scenes() -> Iterator[tuple[str, int, list[Callable[[Store], None]]]]:
    """Yield what happened to a replay between two checkpoints, and then between the second and a third."""
    yield "grows", 2, [lambda store: store.add(5), lambda store: store.add(8, 1)]
    yield "fills segments", 1, [lambda store: store.add(25), lambda store: store.add(25)]
    yield "wraps around", 1, [lambda store: store.add(70), lambda store: store.add(39)]
    yield "forgets all", 1, [lambda store: store.add(39), lambda store: store.add(100)]
    yield "is cleared", 2, [lambda store: store.add(30, 1), lambda store: store.replay.clear([0, 1])]
    yield "is copied", 2, [lambda store: store.add(30, 1), lambda store: store.replay.follow(torch.tensor([1, 0]))]


@pytest.mark.parametrize(("name", "rings", "changes"), list(scenes()), ids=[scene[0] for scene in scenes()])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_that_dies_at_any_operation_leaves_the_earlier_checkpoint_or_the_new_one(
    name: str,
    rings: int,
    changes: list[Callable[[Store], None]],
    after: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    died = 0
    while True:
        folder = tmp_path / str(died)
        folder.mkdir()
        store = Store(folder, rings)
        store.add(12)
        changes[0](store)
        store.save()
        earlier = plain(store.replay)
        changes[1](store)
        new = plain(store.replay)
        if not dying(monkeypatch, died + 1, after, store.save):
            break
        died += 1
        found = checkpoint.read(store.path)["state"]["replay"]
        assert same(found, earlier) or same(found, new)
        store.resume()
        for change in (lambda store: store.add(3), changes[0], changes[1]):  # over what the dead one left behind
            change(store)
            store.save()
            assert_read(store)
            assert sum(store.files().values()) < rings * (40 * RECORD + LARGEST)
    assert died >= 4


def test_half_written_records_are_written_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(5)
    store.save()
    with (store.path.parent / "journals/0.f32").open("ab") as file:
        file.write(b"\xff" * 50)
    (store.path.parent / "journals/1.f32").write_bytes(b"\xff" * 5_000)
    assert_read(store)
    store.resume()
    store.add(20)
    store.save()
    assert store.files() == {"0.f32": 11 * RECORD, "1.f32": 11 * RECORD, "2.f32": 3 * RECORD}
    assert_read(store)


@pytest.fixture
def written(store: Store) -> Store:
    store.add(30)
    store.save()
    return store


def refused(store: Store) -> str:
    with pytest.raises(RunFolderError) as raised:
        checkpoint.read(store.path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_missing_segment_is_named(written: Store) -> None:
    (written.path.parent / "journals/1.f32").unlink()
    assert refused(written).startswith(f"{written.path.parent} must hold journals/1.f32: ")


@pytest.mark.parametrize("length", [0, 1, 11 * RECORD - 1])
def test_a_cut_segment_is_refused(written: Store, length: int) -> None:
    path = written.path.parent / "journals/1.f32"
    path.write_bytes(path.read_bytes()[:length])
    assert refused(written) == f"{path} is cut or altered: it must have {11 * RECORD} bytes, got {length}"


def test_a_flipped_bit_anywhere_is_refused(written: Store) -> None:
    path = written.path.parent / "journals/1.f32"
    whole = path.read_bytes()
    for place in range(0, len(whole), 13):
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        path.write_bytes(altered)
        assert refused(written) == f"{path} is cut or altered: its checksum does not match"


def test_an_empty_replay_is_written_and_read(store: Store) -> None:
    store.save()
    assert store.files() == {}
    assert_read(store)


def test_journals_are_found_in_lists_and_dicts_and_told_apart(tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    first.add(3)
    second.add(8)
    content = {"a": {"b": [first.content(), 1, second.content()]}, "c": (1, 2)}
    kept = Segments(tmp_path / "journals")
    checkpoint.save(tmp_path / "state.pt", kept.write(content))
    kept.commit()
    found = checkpoint.read(tmp_path / "state.pt")
    for index, store in ((0, first), (2, second)):
        assert same(found["a"]["b"][index]["state"]["replay"], plain(store.replay))
    assert found["c"] == (1, 2)
