"""Sinks: a row a generation in csv, the same scalars against environment steps in TensorBoard, a bar or lines."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.summary.writer import event_file_writer

from evorl.errors import RunFolderError
from evorl.running.sinks import SHOWN_MEMBERS, Csv, Progress, Sink, TensorBoard
from evorl.template import EvoRL

NAN = math.nan
SETTINGS = {"algorithm": "cem", "seed": 3, "network": {"hidden_sizes": [3, 2], "activation": "tanh"}}


@pytest.fixture(autouse=True)
def event_files_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files written within a second are told apart, and sorted, by a counter: let it have as many digits always."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(100_000))


def record(generation: int, members: int = 2, more: dict[str, float] | None = None) -> dict[str, float]:
    own = {f"population/members/{row:02d}/fitness": 10.0 * generation + row for row in range(members)}
    found = {"steps": 100.0 * generation, "generation": float(generation), "fitness/best": 0.1 * generation}
    return {**found, **own, **(more or {})}


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "tensors": 0}).Reload()


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(folder).Scalars(tag)]


def write_all(sink: Sink, *records: dict[str, float]) -> None:
    for given in records:
        sink.write(given)


def test_csv_has_a_header_and_a_row_a_generation(tmp_path: Path) -> None:
    sink = Csv(tmp_path / "progress.csv")
    write_all(sink, record(1), record(2))
    sink.close()
    header, *lines = rows(tmp_path / "progress.csv")
    assert header == list(record(1))
    assert [[float(cell) for cell in line] for line in lines] == [list(record(1).values()), list(record(2).values())]


def test_csv_keeps_every_digit(tmp_path: Path) -> None:
    sink = Csv(tmp_path / "progress.csv")
    sink.write({"steps": 1, "generation": 1, "value": 0.1 + 0.2})
    sink.close()
    assert float(rows(tmp_path / "progress.csv")[1][2]) == 0.1 + 0.2


def test_the_record_from_before_the_first_generation_has_the_tags_of_the_next_and_stands_first(tmp_path: Path) -> None:
    sink = Csv(tmp_path / "progress.csv")
    write_all(sink, {"steps": 0, "generation": 0, "fitness/best": 7.0}, record(1))
    sink.close()
    header, zeroth, first = rows(tmp_path / "progress.csv")
    assert header == list(record(1))
    assert zeroth == ["0", "0", "7.0", "nan", "nan"]
    assert first[1] == "1.0"


def test_the_record_from_before_the_first_generation_is_not_lost_when_there_is_no_other(tmp_path: Path) -> None:
    sink = Csv(tmp_path / "progress.csv")
    sink.write({"steps": 0, "generation": 0})
    sink.close()
    assert rows(tmp_path / "progress.csv") == [["steps", "generation"], ["0", "0"]]


def test_a_new_tag_is_refused_by_name(tmp_path: Path) -> None:
    sink = Csv(tmp_path / "progress.csv")
    sink.write(record(1))
    with pytest.raises(ValueError, match=r"^reports must have the same tags at every generation, got a new more/late$"):
        sink.write(record(2, more={"more/late": 1.0}))
    sink.close()


def test_csv_is_on_the_disk_after_a_flush_and_goes_on_where_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    sink = Csv(path)
    write_all(sink, record(1), record(2))
    sink.flush()
    cut = path.stat().st_size
    assert len(rows(path)) == 3
    write_all(sink, record(3), record(4))
    sink.close()
    resumed = Csv(path, cut)
    assert len(rows(path)) == 3
    resumed.write(record(3, members=2))
    resumed.close()
    assert [line[1] for line in rows(path)] == ["generation", "1.0", "2.0", "3.0"]


def test_a_sink_does_nothing_unless_told() -> None:
    sink = Sink()
    sink.check(EvoRL)
    sink.rewind(3)
    write_all(sink, record(1))
    sink.flush()
    sink.close()


def test_a_half_written_line_is_cut_too(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    sink = Csv(path)
    sink.write(record(1))
    sink.close()
    cut = path.stat().st_size
    with path.open("a") as file:
        file.write("200.0,2.")
    resumed = Csv(path, cut)
    resumed.write(record(2))
    resumed.close()
    assert [line[1] for line in rows(path)] == ["generation", "1.0", "2.0"]


def test_a_csv_begun_anew_holds_nothing_of_the_old(tmp_path: Path) -> None:
    (tmp_path / "progress.csv").write_text("old\n1\n2\n")
    Csv(tmp_path / "progress.csv").close()
    assert (tmp_path / "progress.csv").read_text() == ""


def test_tensorboard_shows_every_tag_against_environment_steps(tmp_path: Path) -> None:
    sink = TensorBoard(tmp_path, SETTINGS)
    write_all(sink, record(1), record(2))
    sink.close()
    assert np.allclose(points(tmp_path, "fitness/best"), [(100, 0.1), (200, 0.2)])
    assert points(tmp_path, "generation") == [(100, 1), (200, 2)]
    assert points(tmp_path, "population/members/01/fitness") == [(100, 11), (200, 21)]
    assert set(record(1)) <= set(events(tmp_path).Tags()["scalars"])


def test_what_is_not_known_is_left_out_of_the_curve(tmp_path: Path) -> None:
    sink = TensorBoard(tmp_path, SETTINGS)
    write_all(
        sink,
        record(1, more={"test/return": NAN}),
        record(2, more={"test/return": 5.0}),
        record(3, more={"x": math.inf}),
    )
    sink.close()
    assert points(tmp_path, "test/return") == [(200, 5)]
    assert "x" not in events(tmp_path).Tags()["scalars"]


@pytest.mark.parametrize(("members", "curves"), [(1, 1), (SHOWN_MEMBERS, SHOWN_MEMBERS), (SHOWN_MEMBERS + 1, 0)])
def test_up_to_sixteen_members_have_curves_and_more_a_histogram(tmp_path: Path, members: int, curves: int) -> None:
    assert SHOWN_MEMBERS == 16
    sink = TensorBoard(tmp_path, SETTINGS)
    sink.write(record(1, members))
    sink.close()
    tags = events(tmp_path).Tags()
    shown = [tag for tag in tags["scalars"] if tag.startswith("population/members/")]
    assert sorted(shown) == [f"population/members/{row:02d}/fitness" for row in range(curves)]
    assert tags["histograms"] == ([] if curves else ["population/fitness"])
    if not curves:
        (histogram,) = events(tmp_path).Histograms("population/fitness")
        found = histogram.histogram_value
        assert (histogram.step, found.num, found.min, found.max) == (100, members, 10, 10 + members - 1)


def test_a_histogram_leaves_out_members_that_are_not_known(tmp_path: Path) -> None:
    sink = TensorBoard(tmp_path, SETTINGS)
    sink.write({**record(1, 20), "population/members/03/fitness": NAN})
    sink.close()
    assert events(tmp_path).Histograms("population/fitness")[0].histogram_value.num == 19


def test_what_was_logged_beyond_the_checkpoint_is_purged_on_resume(tmp_path: Path) -> None:
    first = TensorBoard(tmp_path, SETTINGS)
    write_all(first, *[record(generation, more={"x": 1.0}) for generation in (1, 2, 3, 4)])
    first.close()
    resumed = TensorBoard(tmp_path, SETTINGS, purge_step=200 + 1)
    resumed.write(record(3, more={"x": 2.0}))
    resumed.close()
    assert points(tmp_path, "x") == [(100, 1), (200, 1), (300, 2)]
    assert points(tmp_path, "population/members/00/fitness") == [(100, 10), (200, 20), (300, 30)]


def test_the_settings_are_shown_and_no_second_run_appears(tmp_path: Path) -> None:
    sink = TensorBoard(tmp_path, SETTINGS)
    sink.write(record(1))
    sink.close()
    assert [path for path in tmp_path.rglob("*") if path.is_dir()] == []
    runs = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload().Runs()
    assert list(runs) == ["."]
    assert {"_hparams_/experiment", "_hparams_/session_start_info"} <= set(events(tmp_path).summary_metadata)


def test_charts_of_comparison_and_population_are_laid_out(tmp_path: Path) -> None:
    TensorBoard(tmp_path, SETTINGS).close()
    (laid,) = events(tmp_path).Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(laid.tensor_proto.string_val[0])
    charts = {chart.title: chart for category in layout.category for chart in category.chart}
    assert {"test return", "training return"} <= set(charts)
    (margin,) = charts["fitness: mean, worst to best"].margin.series
    assert (margin.value, margin.lower, margin.upper) == ("fitness/mean", "fitness/worst", "fitness/best")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar() -> None:
    stream = Terminal()
    sink = Progress("Pendulum-v1/cem/s0", 400, stream=stream)
    write_all(sink, record(1), record(2, more={"test/return": -12.34}))
    sink.close()
    last = stream.getvalue().rpartition("\r")[2]
    assert last.startswith("Pendulum-v1/cem/s0:")
    for shown in ("50%", "200/400", "gen=2", "best=0.2", "test=-12.3"):
        assert shown in last


def test_elsewhere_lines_are_printed_with_the_last_state_at_the_end() -> None:
    stream = io.StringIO()
    sink = Progress("Pendulum-v1/cem/s0", 400, stream=stream)
    write_all(sink, record(1), record(2))
    assert stream.getvalue() == ""
    sink.close()
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("Pendulum-v1/cem/s0:")
    assert "200/400" in line
    assert "gen=2" in line
    assert "\r" not in line


def test_lines_come_at_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Progress, "interval", 0.0)
    stream = io.StringIO()
    sink = Progress("run", 400, stream=stream)
    write_all(sink, record(1), record(2))
    assert [f"gen={generation}" in line for generation, line in enumerate(stream.getvalue().splitlines(), 1)] == [
        True
    ] * 2
    sink.close()


def test_the_bar_of_a_resumed_run_begins_where_it_was_cut() -> None:
    stream = Terminal()
    sink = Progress("run", 400, start=100, stream=stream)
    sink.write(record(2))
    sink.close()
    assert "200/400" in stream.getvalue()


def test_a_resumed_run_that_ends_at_once_is_shown_where_it_was_cut() -> None:
    stream = io.StringIO()
    Progress("run", 400, start=100, stream=stream).close()
    assert "100/400" in stream.getvalue()
    assert "-" not in stream.getvalue().partition("[")[2].replace("<?", "")


def test_what_is_not_known_is_not_shown() -> None:
    stream = io.StringIO()
    sink = Progress("run", 400, stream=stream)
    write_all(sink, record(1, more={"test/return": 3.0}), record(2, more={"test/return": NAN}))
    sink.close()
    assert "test=3.0" in stream.getvalue()
    assert "nan" not in stream.getvalue()


def test_a_file_shorter_than_its_checkpoint_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    with pytest.raises(RunFolderError, match=r"must hold the 9 bytes that the checkpoint knows of, got 0"):
        Csv(path, cut=9)
    path.write_text("steps")
    with pytest.raises(RunFolderError, match=r"must hold the 9 bytes that the checkpoint knows of, got 5"):
        Csv(path, cut=9)
    assert path.read_text() == "steps"
