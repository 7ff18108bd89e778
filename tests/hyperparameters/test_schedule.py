"""Schedules: what holds when, the file, and one line for whatever is no schedule."""

import json
from pathlib import Path
from typing import Any

import pytest

from evorl.errors import ConfigError
from evorl.hyperparameters import Schedule

SCHEDULE = Schedule(30, (0, 10), {"tau": (0.1, 1 / 3), "discount": (0.9, 0.99)})


def test_a_piece_holds_from_its_first_step_until_the_next_and_the_last_for_ever() -> None:
    taus = [SCHEDULE.at(step)["tau"] for step in (0, 9, 10, 29, 30, 999)]
    assert taus == [0.1, 0.1, 1 / 3, 1 / 3, 1 / 3, 1 / 3]
    assert SCHEDULE.at(10) == {"tau": 1 / 3, "discount": 0.99}
    assert Schedule().at(5) == {}


def test_intervals_with_equal_values_are_one_piece() -> None:
    made = Schedule.of_intervals(5, {"tau": [1.0, 1.0, 2.0, 2.0, 1.0], "discount": [0.0, 0.0, 0.0, 0.5, 0.5]})
    assert made == Schedule(25, (0, 10, 15, 20), {"tau": (1, 2, 2, 1), "discount": (0, 0, 0.5, 0.5)})


def test_the_first_or_last_can_hold_throughout() -> None:
    assert SCHEDULE.fixed("initial") == Schedule(30, (0,), {"tau": (0.1,), "discount": (0.9,)})
    assert SCHEDULE.fixed("final") == Schedule(30, (0,), {"tau": (1 / 3,), "discount": (0.99,)})


def test_the_file_gives_back_every_bit(tmp_path: Path) -> None:
    SCHEDULE.write(tmp_path / "schedule.json")
    assert Schedule.read(tmp_path / "schedule.json") == SCHEDULE
    assert json.loads((tmp_path / "schedule.json").read_text()) == {
        "format": 1,
        "steps": 30,
        "pieces": [
            {"from": 0, "h": {"tau": 0.1, "discount": 0.9}},
            {"from": 10, "h": {"tau": 1 / 3, "discount": 0.99}},
        ],
    }


def piece(start: Any = 0, **h: Any) -> dict[str, Any]:
    return {"from": start, "h": h or {"tau": 0.1}}


def content(*pieces: Any, **changed: Any) -> dict[str, Any]:
    return {"format": 1, "steps": 30, "pieces": list(pieces), **changed}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "schedule must have format 1, got list"),
        (content(piece(), format=2), "schedule must have format 1, got 2"),
        ({"format": 1, "steps": 3}, "schedule must hold format, steps, pieces, got format, steps"),
        (content(), "pieces must be a list of at least one, got []"),
        (content({"from": 0}), "piece must hold from, h, got from"),
        (content("x"), "piece must hold from, h, got 'x'"),
        (content(piece(), piece(10, discount=0.9)), "h from 10 must hold tau, got discount"),
        (content({"from": 0, "h": 3}), "h from 0 must hold named numbers, got 3"),
        (content(piece(0.5)), "from must be a whole number, got 0.5"),
        (content(piece(tau="high")), "tau must be a number, got 'high'"),
        (content(piece(tau=True)), "tau must be a number, got True"),
        (content(piece(), steps="30"), "steps must be a whole number, got '30'"),
        (content(piece(5)), "schedule must begin at step 0 and its pieces rise below its steps, got 5 of 30"),
        (content(piece(), piece(20), piece(10)), "schedule must begin at step 0 .* got 0, 20, 10 of 30"),
        (content(piece(), piece(30)), "schedule must begin at step 0 .* got 0, 30 of 30"),
        (content(piece(tau=float("inf"))), r"schedule of tau must be of finite numbers, got \(inf,\)"),
    ],
)
def test_what_is_no_schedule_is_refused_in_a_line_that_names_the_file(found: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps(found))
    escaped = message.replace("[]", r"\[\]")
    with pytest.raises(ConfigError, match=f"^{path}: {escaped}$"):
        Schedule.read(path)


def test_a_file_that_is_not_there_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^schedule must be a file that can be read, got .*none: No such file"):
        Schedule.read(tmp_path / "none")
    (tmp_path / "x").write_text("{")
    with pytest.raises(ConfigError, match=r"^schedule must be a JSON file, got .*x: Expecting"):
        Schedule.read(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"^schedule must be a JSON file, got .*x: invalid start byte$"):
        Schedule.read(tmp_path / "x")


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^schedule must have 2 values of tau, got 1$"):
        Schedule(30, (0, 10), {"tau": (0.1,)})


@pytest.mark.parametrize(
    ("tunable", "message"),
    [
        ({"tau": (0, 1), "discont": (0, 1)}, "schedule must name some of tau, discont, got 'discount'; did you mean"),
        ({"tau": (0, 0.2), "discount": (0, 1)}, "schedule of tau must lie between 0 and 0.2, got 0.333"),
    ],
)
def test_a_learner_must_read_it_and_make_sense_of_it(tunable: dict[str, tuple[float, float]], message: str) -> None:
    SCHEDULE.require_tunable({"tau": (0, 1), "discount": (0, 1)})
    with pytest.raises(ConfigError, match=f"^{message}"):
        SCHEDULE.require_tunable(tunable)


def test_pieces_must_begin_with_intervals() -> None:
    SCHEDULE.require_fits(5)
    with pytest.raises(
        ConfigError, match=r"^interval must divide the steps at which schedule changes, got 4, and a change at 10$"
    ):
        SCHEDULE.require_fits(4)
