"""The tutorial does what it says: its hybrid is short, keeps the contract, trains beside TD3, shows in TensorBoard."""

import importlib
import itertools
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from evorl import check_algorithm, cli
from evorl.conformance import ConformanceError

PAGE = (Path(__file__).parent.parent / "docs/tutorial/your_own_hybrid.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
HYBRID, CHECK, COMPARISON = (block for _, block in BLOCKS)
#: What makes the commands of the page end within seconds.
CHEAPER = {"--seeds": "1", "--total-timesteps": "2400"}


@pytest.fixture
def hybrid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Write the module of the page into an empty folder, work there, and return the module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "lamarck.py").write_text(HYBRID)
    yield importlib.import_module("lamarck")
    del sys.modules["lamarck"]


def test_the_blocks_are_the_hybrid_its_check_and_the_comparison() -> None:
    assert [language for language, _ in BLOCKS] == ["python", "python", "sh"]


def test_the_hybrid_is_at_most_forty_lines() -> None:
    assert len([line for line in HYBRID.splitlines() if line.strip()]) <= 40


def test_the_hybrid_keeps_the_contract(hybrid: Any) -> None:
    exec(CHECK, vars(hybrid))  # noqa: S102


def test_the_message_on_the_page_is_what_is_said(hybrid: Any) -> None:
    class Forgetful(hybrid.Lamarck):  # type: ignore[misc]
        state = tuple(name for name in hybrid.Lamarck.state if name != "learned")

    (shown,) = re.findall(r"^    (state must name .*)$", PAGE, flags=re.MULTILINE)
    with pytest.raises(ConformanceError, match=f"^{re.escape(shown)}$"):
        check_algorithm(Forgetful)


def test_the_comparison_runs_and_shows_both_under_the_same_tags(
    hybrid: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in COMPARISON.replace("\\\n", "").strip().splitlines():
        words = shlex.split(line)
        assert words[0] == "evorl"
        cheaper = [CHEAPER.get(before, word) for before, word in itertools.pairwise(words)]
        cli.main([*cheaper, *(["--", "--final-episodes", "4", "--test-episodes", "2"] if "sweep" in words else [])])
    printed = capsys.readouterr().out
    assert "2 of 2 runs are finished" in printed
    assert "| Pendulum-v1 | lamarck " in printed
    lamarck, td3 = (_tags(tmp_path / "runs/tutorial/Pendulum-v1" / name / "s0") for name in ("lamarck", "td3"))
    assert {"test/return", "budget/fitness_steps", "budget/critic_updates"} <= lamarck & td3
    assert "lamarck/taught" in lamarck - td3


@pytest.mark.slow
def test_the_hybrid_learns_as_the_page_says(hybrid: Any, tmp_path: Path) -> None:
    sweep, _ = COMPARISON.replace("\\\n", "").strip().splitlines()
    words = ["1" if before == "--seeds" else word for before, word in itertools.pairwise(shlex.split(sweep))]
    cli.main([word for word in words if word != "td3"])
    events = EventAccumulator(str(tmp_path / "runs/tutorial/Pendulum-v1/lamarck/s0")).Reload()
    assert events.Scalars("final/return")[-1].value > -250


def _tags(run: Path) -> set[str]:
    """Return the tags of the scalars in a run's event files."""
    events = EventAccumulator(str(run))
    events.Reload()
    return set(events.Tags()["scalars"])
