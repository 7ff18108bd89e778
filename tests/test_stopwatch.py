"""A stopwatch on a clock of our own."""

import time

import pytest

from evorl.stopwatch import PARTS, Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in a list of one, to be changed."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def passing(clock: list[float], seconds: float) -> str:
    clock[0] += seconds
    return f"took {seconds}"


def test_seconds_go_to_their_part_and_what_is_left_to_the_rest(clock: list[float]) -> None:
    stopwatch = Stopwatch()
    assert stopwatch.timed("learn", passing, clock, seconds=2.0) == "took 2.0"
    clock[0] += 0.5
    stopwatch.timed("select", passing, clock, 0.25)
    stopwatch.timed("learn", passing, clock, 4.0)
    expected = {**dict.fromkeys(PARTS, 0.0), "learn": 6.0, "select": 0.25, "rest": 0.5}
    assert stopwatch.read() == {f"time/{part}": seconds for part, seconds in expected.items()}


def test_a_reading_begins_anew(clock: list[float]) -> None:
    stopwatch = Stopwatch()
    stopwatch.timed("test", passing, clock, 3.0)
    stopwatch.read()
    clock[0] += 1.0
    assert stopwatch.read() == {**{f"time/{part}": 0.0 for part in PARTS}, "time/rest": 1.0}


def test_what_fails_took_its_time_too(clock: list[float]) -> None:
    def failing() -> None:
        clock[0] += 2.0
        raise ZeroDivisionError

    stopwatch = Stopwatch()
    with pytest.raises(ZeroDivisionError):
        stopwatch.timed("evaluate", failing)
    assert stopwatch.read()["time/evaluate"] == 2.0
