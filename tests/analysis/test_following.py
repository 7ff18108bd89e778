"""The report on a schedule: numbers of the runs, of the winner on the same starts, and what they do not say."""

import re
from pathlib import Path

import numpy as np
import pytest
from recorded import config
from scipy import stats

import evorl
from evorl.analysis.following import FollowReport, report
from evorl.cli import main
from evorl.errors import RunFolderError
from evorl.running.following import followers
from evorl.running.testing import test_answer as play


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    running = evorl.Running(
        runs=str(tmp_path_factory.mktemp("runs")), progress=False, test_episodes=1, final_episodes=3
    )
    return evorl.train(config(total_timesteps=4 * 10 * 4), running).folder


@pytest.fixture(scope="module")
def found(tuned: Path) -> FollowReport:
    with pytest.raises(RunFolderError):
        report(tuned, seeds=2)
    main(["follow", str(tuned), "--seeds", "2"])
    main(["follow", str(tuned), "--seeds", "2", "--fixed", "final"])
    return report(tuned, seeds=2)


def scores(tuned: Path, fixed: str | None) -> list[float]:
    agents = followers(tuned, 2, fixed)  # type: ignore[arg-type]
    return [play(evorl.load(agent.folder.path), 3).mean() for agent in agents]


def test_the_rows_are_the_final_tests_of_the_runs(tuned: Path, found: FollowReport) -> None:
    rows = {found.name(row): row.scores.tolist() for row in found.comparison.rows}
    assert rows == {"followed": scores(tuned, None), "fixed, final": scores(tuned, "final")}


def test_the_winner_plays_on_the_starts_of_the_fresh_seeds(tuned: Path, found: FollowReport) -> None:
    answer = evorl.load(tuned)
    expected = [
        play(type(answer)(answer.policy, answer.member, answer.task, seed), 3).mean() for seed in range(1000, 1002)
    ]
    np.testing.assert_array_equal(found.winner, expected)


def test_the_table_says_what_is_excluded_and_tests_the_difference(tuned: Path, found: FollowReport) -> None:
    table = found.table()
    lines = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ")}
    assert f"{found.winner.mean():.1f}" in lines["winner"]
    assert "Tuning cost is excluded. The schedule was found with 160 environment steps of all members" in table
    assert "each of the others has 40 of its own" in table
    ours, theirs = scores(tuned, None), scores(tuned, "final")
    p = stats.ttest_ind(ours, theirs, equal_var=False).pvalue
    assert re.search(rf"\| {p:.2g} +\| {p:.2g} +\| undecided", table), "one pair: Holm changes nothing"
    reached = sum(score >= found.winner.mean() for score in ours)
    assert f"followed: {reached} of 2" in table


def test_page_and_figure_are_written_beside_the_schedule(tuned: Path, found: FollowReport) -> None:
    page = found.write()
    assert page == tuned.resolve() / "followed.md"
    assert page.read_text().startswith("# The schedule of ")
    assert "![test curves](followed.png)" in page.read_text()
    assert (tuned / "followed.png").stat().st_size > 10_000
    labels = [text.get_text() for text in found.draw().legends[0].get_texts()]
    assert labels == ["followed  (2 seeds)", "fixed, final  (2 seeds)", "winner, at its end"]


def test_the_command_trains_what_is_missing_and_prints_the_report(
    tuned: Path, found: FollowReport, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["follow", str(tuned), "--seeds", "2", "--report"])
    printed = capsys.readouterr()
    assert printed.out.count("skipped  ") == 4
    assert found.table() in printed.out
    with pytest.raises(SystemExit):
        main(["follow", str(tuned), "--report", "--fixed", "final"])
    assert "--report must be given without --fixed, of which it takes what there is" in capsys.readouterr().err
