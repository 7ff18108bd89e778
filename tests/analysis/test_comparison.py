"""Reading run folders, and comparing them at equal steps."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from evorl import cli
from evorl.algorithms.cem import CEM
from evorl.algorithms.cem_rl import CEMRL
from evorl.algorithms.ddpg import DDPG
from evorl.algorithms.pbt import PBT
from evorl.analysis import Comparison, compare
from evorl.analysis.figures import draw_curves
from evorl.analysis.statistics import Reference, holm
from evorl.errors import ConfigError, RunFolderError
from evorl.running.settings import to_plain
from evorl.template import EvoRL

Tests = list[tuple[int, float]]


def make_run(
    runs: Path, name: str, seed: int, tests: Tests, final: float, budget: int, task: str = "T-v0", **changed: Any
) -> Path:
    """Write the folder of a finished run by hand."""
    tag, finished = changed.pop("tag", ""), changed.pop("finished", True)
    folder = runs / task / name / (f"s{seed}-{tag}" if tag else f"s{seed}")
    folder.mkdir(parents=True)
    config = to_plain(CEM.preset("quick", env_id="Pendulum-v1", seed=seed, total_timesteps=budget))
    config.update(changed)
    stored = {"algorithm": "evorl.algorithms.cem:CEM", "name": name, "imports": [], "config": config}
    running = {"tag": tag, "test_episodes": 10, "final_episodes": 100}
    (folder / "config.json").write_text(json.dumps({"format": 1, **stored, "running": running}))
    with (folder / "progress.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["steps", "test/return", "final/return", "budget/critic_updates", "budget/actor_updates"])
        for steps, value in tests:
            ended = steps == tests[-1][0]
            writer.writerow([steps, value, final if ended else "nan", 2 * steps, steps])
    if finished:
        (folder / "answer.pt").touch()
    return folder


def test_scores_are_the_final_tests_when_all_runs_have_one_budget(tmp_path: Path) -> None:
    for seed, final in enumerate([10.0, 20.0, 60.0]):
        make_run(tmp_path, "cem", seed, [(0, 0), (100, 5)], final, 100)
    (row,) = compare([tmp_path]).rows
    assert row.steps == 100
    assert row.scores.tolist() == [10, 20, 60]
    assert row.mean == 30
    assert row.std == pytest.approx(np.std([10, 20, 60], ddof=1))
    assert "on T-v0: the mean return of the final test." in compare([tmp_path]).table()


def test_runs_of_other_lengths_are_all_scored_by_their_last_test_before_the_common_steps(tmp_path: Path) -> None:
    make_run(tmp_path, "short", 0, [(0, 0), (50, 4), (100, 6)], 99, 100)
    make_run(tmp_path, "long", 0, [(0, 0), (80, 3), (120, 50), (200, 70)], 77, 200)
    comparison = compare([tmp_path])
    assert {row.group.label: (row.steps, row.mean) for row in comparison.rows} == {"short": (100, 6), "long": (100, 3)}
    assert [row.group.label for row in comparison.of("T-v0")] == ["short", "long"], "best first"
    assert "last test at or before the common steps" in comparison.table()


def test_the_area_under_the_curve_is_a_score_too_and_ends_at_the_common_steps(tmp_path: Path) -> None:
    make_run(tmp_path, "early", 0, [(0, 0), (50, 10), (100, 10)], 10, 100)
    make_run(tmp_path, "late", 0, [(0, 0), (50, 0), (100, 20), (150, 90)], 90, 150)
    comparison = compare([tmp_path], outcome="area")
    assert {row.group.label: row.mean for row in comparison.rows} == {"early": 7.5, "late": 5.0}
    assert [row.group.label for row in comparison.of("T-v0")] == ["early", "late"]
    said = "on T-v0: the area under the curve of the tests' mean return up to these steps, over the steps."
    assert said in comparison.table()


def test_a_finished_run_without_its_rows_is_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "cem", 0, [(0, 0), (100, 5)], 10.0, 100)
    (folder / "progress.csv").unlink()
    with pytest.raises(RunFolderError, match=rf"^{folder} must hold progress\.csv, which is missing$"):
        compare([tmp_path])


def test_a_preset_of_ones_own_is_named_and_its_changes_are_unknown(tmp_path: Path) -> None:
    make_run(tmp_path, "cem", 0, [(0, 0), (100, 5)], 10.0, 100, preset="mine")
    assert "| mine   | ?  " in compare([tmp_path]).table()


def test_another_column_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        progress = make_run(tmp_path, "svpg", seed, [(0, 0), (100, 5)], 50, 100) / "progress.csv"
        heads, *lines = progress.read_text().splitlines()
        ends = ["svpg/test_mean", *(str(value + seed) for value in (1, 3))]
        rows = zip([heads, *lines], ends, strict=True)
        progress.write_text("".join(f"{line},{end}\n" for line, end in rows))
    cli.main(["compare", str(tmp_path), "--column", "svpg/test_mean"])
    printed = capsys.readouterr().out
    assert "on T-v0: the svpg/test_mean of the final test." in printed
    (row,) = compare([tmp_path], column="svpg/test_mean").rows
    assert row.scores.tolist() == [3, 4]
    cli.main(["compare", str(tmp_path), "--column", "svpg/test_mean", "--outcome", "area"])
    assert compare([tmp_path], outcome="area", column="svpg/test_mean").rows[0].scores.tolist() == [2, 3]
    with pytest.raises(RunFolderError, match=r"must have the column asked for, got none called 'svpg/men'"):
        compare([tmp_path], column="svpg/men")


def test_seeds_that_differ_in_more_than_their_seed_are_not_pooled(tmp_path: Path) -> None:
    make_run(tmp_path, "cem", 0, [(0, 0), (100, 5)], 5, 100)
    make_run(tmp_path, "cem", 1, [(0, 0), (100, 5)], 5, 100, variance_init=0.5)
    with pytest.raises(RunFolderError, match=r"must differ in their seed only, got variance_init: 0\.01 -> 0\.5"):
        compare([tmp_path])


def test_a_tag_keeps_settings_apart_and_changes_of_the_preset_are_told(tmp_path: Path) -> None:
    make_run(tmp_path, "cem", 0, [(0, 0), (100, 5)], 5, 100)
    make_run(tmp_path, "cem", 0, [(0, 0), (100, 5)], 9, 100, tag="wide", variance_init=0.5)
    table = compare([tmp_path]).table()
    assert "| cem-wide  | 1 " in table
    assert "| quick  | variance_init: 0.01 -> 0.5 |" in table
    assert "| quick  | -                          |" in table
    assert "| 2.00                  | 1.00          |" in table


@pytest.mark.parametrize(("algorithm", "learner"), [(CEM, "none"), (CEMRL, "TD3"), (DDPG, "DDPG"), (PBT, "TD3")])
def test_the_learner_is_told_whether_it_was_chosen_or_the_only_one(
    algorithm: type[EvoRL[Any]], learner: str, tmp_path: Path
) -> None:
    folder = make_run(tmp_path, "it", 0, [(0, 0), (100, 5)], 10, 100)
    stored = json.loads((folder / "config.json").read_text())
    stored["algorithm"] = f"{algorithm.__module__}:{algorithm.__name__}"
    stored["config"] = to_plain(algorithm.preset("published", env_id="Pendulum-v1"))
    (folder / "config.json").write_text(json.dumps(stored))
    told = [line for line in compare([tmp_path]).table().splitlines() if "| it " in line][-1]
    assert told.split("|")[5].strip() == learner


def test_a_run_counts_once_whatever_the_path_and_a_seed_once_in_a_group(tmp_path: Path) -> None:
    make_run(tmp_path / "a", "cem", 0, [(0, 0), (100, 5)], 5, 100)
    assert len(compare([tmp_path, tmp_path / "a", tmp_path / "a" / ".." / "a"]).rows[0].scores) == 1
    make_run(tmp_path / "b", "cem", 0, [(0, 0), (100, 5)], 5, 100)
    with pytest.raises(RunFolderError, match="must hold each seed once, got seed 0 twice"):
        compare([tmp_path])


def test_unfinished_and_untested_runs_are_left_out_and_named(tmp_path: Path) -> None:
    make_run(tmp_path, "cem", 0, [(0, 0), (100, 5)], 5, 100)
    cut = make_run(tmp_path, "cem", 1, [(0, 0)], 5, 100, finished=False)
    untested = make_run(tmp_path, "cem", 2, [(0, float("nan"))], 5, 100)
    comparison = compare([tmp_path])
    assert set(comparison.left_out) == {cut, untested}
    assert str(cut) in comparison.table()


def test_no_finished_run_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="runs must hold a finished run with tests, got none in"):
        compare([tmp_path])


def test_a_reference_adds_its_p_value_to_the_table(tmp_path: Path) -> None:
    for seed in range(8):
        make_run(tmp_path, "cem", seed, [(0, 0), (100, 5)], 10.0 + seed, 100)
    row = compare([tmp_path], Reference(13.5, 2.0, 30, 5.0)).rows[0]
    assert row.p_equivalent < 0.001
    assert "p (equivalent)" in compare([tmp_path], Reference(13.5, 2.0, 30, 5.0)).table()


def make_group(runs: Path, name: str, scores: list[float], task: str = "T-v0") -> None:
    for seed, score in enumerate(scores):
        make_run(runs, name, seed, [(0, 0), (100, 5)], score, 100, task)


FIRST = [10.0, 12, 9, 11, 13, 10, 12, 11, 9, 10]
SECOND = [13.0, 15, 9, 14, 16, 12, 15, 13, 10, 14]


def under_the_table(comparison: Comparison) -> list[list[str]]:
    """Return the cells of the lines on pairs."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in comparison.table().splitlines()]
    (head,) = [number for number, line in enumerate(lines) if "p (Holm)" in line]
    return lines[head + 2 : lines.index([""], head)]


def test_the_better_of_two_is_told_by_welchs_test(tmp_path: Path) -> None:
    make_group(tmp_path, "ga", FIRST)
    make_group(tmp_path, "erl", SECOND)
    comparison = compare([tmp_path])
    (pair,) = comparison.pairs("T-v0")
    assert (pair.above.group.label, pair.below.group.label) == ("erl", "ga")
    assert pair.difference.value == pytest.approx(2.4)
    assert pair.difference.p == pair.p_corrected == pytest.approx(0.010829577175, rel=1e-9)
    assert under_the_table(comparison) == [
        ["T-v0", "erl", "ga", "2.4", "0.6 to 4.2", "0.011", "0.011", "above", "10, 10"]
    ]


def test_every_pair_of_a_task_has_a_line_with_its_p_corrected_for_all_of_them(tmp_path: Path) -> None:
    make_group(tmp_path, "ga", FIRST)
    make_group(tmp_path, "erl", SECOND)
    make_group(tmp_path, "cem", [13.3, 13.2, 12.1])
    make_group(tmp_path, "td3", [30.0])
    make_group(tmp_path, "ga", FIRST, task="U-v0")
    make_group(tmp_path, "erl", SECOND, task="U-v0")
    comparison = compare([tmp_path])
    lines = under_the_table(comparison)
    assert [line[:3] for line in lines] == [
        ["T-v0", "erl", "cem"],
        ["T-v0", "erl", "ga"],
        ["T-v0", "cem", "ga"],
        ["U-v0", "erl", "ga"],
    ], "one seed is in no pair, and tasks are apart"
    own = [pair.difference.p for pair in comparison.pairs("T-v0")]
    assert own[2] < own[1] < own[0]
    assert [pair.p_corrected for pair in comparison.pairs("T-v0")] == pytest.approx([own[0], 2 * own[1], 3 * own[2]])
    assert [line[-2] for line in lines] == ["undecided", "above", "above", "above"]
    assert lines[0][-1] == "10, 3"
    assert "p (Holm) is corrected for all pairs of the task" in comparison.table()


def test_the_pair_that_was_named_before_is_not_among_those_corrected_for(tmp_path: Path) -> None:
    make_group(tmp_path, "ga", FIRST)
    make_group(tmp_path, "erl", SECOND)
    make_group(tmp_path, "cem", [13.3, 13.2, 12.1])
    comparison = compare([tmp_path], primary=("cem", "erl"))
    own = [pair.difference.p for pair in comparison.pairs("T-v0")]
    corrected = [own[0], max(own[1], 2 * own[2]), 2 * own[2]]
    assert [pair.p_corrected for pair in comparison.pairs("T-v0")] == pytest.approx(corrected)
    assert "for all pairs of the task, but for cem and erl, named before the runs" in comparison.table()
    with pytest.raises(ConfigError, match=r"^primary must be two of cem, erl, ga, got 'gaa'; did you mean 'ga'\?$"):
        compare([tmp_path], primary=("erl", "gaa"))


def test_paired_takes_differences_seed_by_seed(tmp_path: Path) -> None:
    make_group(tmp_path, "ga", [10.0, 20.0, 30.0])
    make_group(tmp_path, "erl", [12.0, 21.0, 33.0])
    make_group(tmp_path, "cem", [13.0, 22.0, 33.0])
    comparison = compare([tmp_path], paired=True)
    pairs = comparison.pairs("T-v0")
    assert [(pair.above.group.label, pair.below.group.label) for pair in pairs] == [
        ("cem", "erl"),
        ("cem", "ga"),
        ("erl", "ga"),
    ]
    expected = [stats.ttest_rel(pair.above.scores, pair.below.scores).pvalue for pair in pairs]
    assert [pair.difference.p for pair in pairs] == pytest.approx(expected)
    assert [pair.p_corrected for pair in pairs] == pytest.approx(holm(expected).tolist())
    assert "the paired t-test, seed by seed" in comparison.table()
    assert "Welch" not in comparison.table()
    make_group(tmp_path, "td3", [1.0, 2.0])
    needed = r"^paired needs the same seeds in all groups of T-v0, got cem with 0, 1, 2 and td3 with 0, 1$"
    with pytest.raises(ConfigError, match=needed):
        compare([tmp_path], paired=True)


def test_a_pair_is_undecided_if_the_correction_makes_it_so(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        make_group(tmp_path, name, [score + ord(name) / 1e6 for score in SECOND])
    make_group(tmp_path, "ga", FIRST)
    pairs = [pair for pair in compare([tmp_path]).pairs("T-v0") if pair.below.group.label == "ga"]
    assert all(pair.difference.p < 0.05 < pair.p_corrected for pair in pairs)
    assert {pair.verdict for pair in pairs} == {"undecided"}


def test_groups_that_do_not_vary_are_said_to_have_no_spread(tmp_path: Path) -> None:
    make_group(tmp_path, "a", [5.0, 5.0])
    make_group(tmp_path, "b", [4.0, 4.0])
    (line,) = under_the_table(compare([tmp_path]))
    assert line == ["T-v0", "a", "b", "1.0", "nan to nan", "nan", "nan", "no spread", "2, 2"]


def test_without_a_pair_nothing_is_said_of_pairs(tmp_path: Path) -> None:
    make_group(tmp_path, "a", [5.0, 6.0])
    make_group(tmp_path, "b", [4.0])
    assert compare([tmp_path]).pairs("T-v0") == []
    assert "Welch" not in compare([tmp_path]).table()


def test_the_figure_is_a_picture_with_a_panel_for_each_task(tmp_path: Path) -> None:
    for task in ("A-v0", "B-v0"):
        make_run(tmp_path, "cem", 0, [(0, 0), (100, 5)], 5, 100, task=task)
    draw_curves(compare([tmp_path]), tmp_path / "two.png")
    header = (tmp_path / "two.png").read_bytes()[:24]
    width, height = (int.from_bytes(header[start : start + 4]) for start in (16, 20))
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert width > 2 * height


def test_the_command_writes_table_figure_csv_and_a_summary_run_with_a_band(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        make_run(tmp_path, "cem", seed, [(0, 0), (100, 5.0 + seed)], 5.0 + seed, 100)
    cli.main(["compare", str(tmp_path)])
    assert capsys.readouterr().out.strip() == (tmp_path / "_summary" / "comparison.md").read_text().strip()
    with (tmp_path / "_summary" / "scores.csv").open(newline="") as file:
        assert [float(line["score"]) for line in csv.DictReader(file)] == [5, 6, 7]
    events = EventAccumulator(str(tmp_path / "_summary" / "T-v0" / "cem"))
    events.Reload()
    ends = {tag: events.Scalars(f"summary/{tag}")[-1].value for tag in ("low", "iqm", "high")}
    assert ends["iqm"] == pytest.approx(6)
    assert ends["low"] < ends["iqm"] < ends["high"]
    cli.main(["compare", str(tmp_path)])  # summaries are replaced, and not read as runs
    assert len(list((tmp_path / "_summary" / "T-v0" / "cem").iterdir())) == 1


def test_a_margin_without_a_reference_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", str(tmp_path), "--margin", "3"])
    assert ended.value.code == 2
    assert "--reference and --margin must be given together" in capsys.readouterr().err


def test_runs_without_a_test_in_common_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path, "short", 0, [(0, 0), (100, 5)], 5, 100)
    make_run(tmp_path, "late", 0, [(200, 1), (400, 2)], 2, 400)
    line = r"short/s0, which ends at 100, and .*late/s0 was first tested at 200 steps"
    with pytest.raises(RunFolderError, match=line):
        compare([tmp_path])


def test_a_run_of_a_class_that_cannot_be_imported_is_compared_all_the_same(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "cem", 0, [(0, 0), (100, 5)], 5, 100)
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, "algorithm": "__main__:HillClimber"}))
    with pytest.warns(UserWarning, match="are not compared with a preset's"):
        assert "?" in compare([tmp_path]).table()
