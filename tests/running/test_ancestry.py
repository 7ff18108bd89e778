"""Descent read from the file: by hand on a small tree, and against traits that copies inherit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evorl.errors import RunFolderError
from evorl.population import Identities, Population
from evorl.running.ancestry import (
    Lineage,
    best_of_last,
    copies,
    path_to,
    read_lineage,
    roots_of,
    sources,
    surviving_roots,
)
from evorl.running.lineage import LineageLog
from evorl.running.sinks import TensorBoard

#: Generation, row, id, parent, fitness. 1 has founded nothing that lasts; 5 is made of 4, a copy of its own generation;
#: 0's slot gets another's parameters in generation 3, whose individual, 99, has no lines.
SMALL = [
    (1, 0, 0, -1, 1.0),
    (1, 1, 1, -1, 2.0),
    (1, 2, 2, -1, 3.0),
    (2, 0, 0, -1, 1.5),
    (2, 1, 5, 4, None),
    (2, 2, 4, 2, 3.0),
    (3, 0, 0, 99, 7.0),
    (3, 1, 5, 4, 9.0),
    (3, 2, 6, 5, 9.0),
]


def written(path: Path, lines: list[tuple[Any, ...]] = SMALL, h: Mapping[str, float] | None = None) -> Path:
    keys = ("generation", "row", "id", "parent", "fitness")
    plain = [{**dict(zip(keys, line, strict=True)), "steps": 100 * line[0], "origin": "x"} for line in lines]
    path.write_text("".join(json.dumps(line | ({"h": h} if h else {})) + "\n" for line in plain))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Lineage:
    return read_lineage(written(tmp_path / "lineage.jsonl"))


def test_the_columns_are_those_of_the_file(tmp_path: Path) -> None:
    lineage = read_lineage(written(tmp_path / "lineage.jsonl", h={"discount": 0.9}))
    assert [column.tolist() for column in (lineage.generation, lineage.row, lineage.id, lineage.parent)] == [
        [line[column] for line in SMALL] for column in range(4)
    ]
    assert lineage.steps.tolist() == [100] * 3 + [200] * 3 + [300] * 3
    assert lineage.origin == ("x",) * 9
    np.testing.assert_array_equal(lineage.fitness, [1, 2, 3, 1.5, np.nan, 3, 7, 9, 9])
    assert {name: values.tolist() for name, values in lineage.h.items()} == {"discount": [0.9] * 9}


def test_lines_go_on_from_themselves_or_from_their_parents(small: Lineage) -> None:
    assert sources(small).tolist() == [-1, -1, -1, 0, 5, 2, -1, 4, 4]


def test_the_path_leads_from_the_root_to_the_line(small: Lineage) -> None:
    assert path_to(small, 8) == [2, 5, 4, 8]
    assert path_to(small, 3) == [0, 3]
    assert path_to(small, 6) == [6]


def test_roots_are_the_earliest_individuals_known(small: Lineage) -> None:
    assert roots_of(small).tolist() == [0, 1, 2, 0, 2, 2, 99, 2, 2]
    assert surviving_roots(small).tolist() == [3, 2, 2]


def test_copies_are_new_and_have_a_parent(small: Lineage) -> None:
    assert copies(small).tolist() == [0, 2, 1]


def test_the_best_of_the_last_generation_is_in_the_lowest_row_of_equals(small: Lineage, tmp_path: Path) -> None:
    assert best_of_last(small) == 7
    unknown = [(*line[:4], None) for line in SMALL]
    assert best_of_last(read_lineage(written(tmp_path / "unknown.jsonl", unknown))) == 6


def test_an_individual_that_was_away_goes_on_from_its_last_line(tmp_path: Path) -> None:
    lines = [(1, 0, 0, -1, 1.0), (1, 1, 1, -1, 1.0), (2, 0, 0, -1, 1.0), (3, 0, 1, -1, 1.0)]
    assert sources(read_lineage(written(tmp_path / "lineage.jsonl", lines))).tolist() == [-1, -1, 0, 1]


def test_an_individual_in_two_slots_goes_on_from_itself_in_both(tmp_path: Path) -> None:
    lines = [(1, 0, 0, -1, 1.0), (1, 1, 1, -1, 1.0), (2, 0, 1, -1, 1.0), (2, 1, 1, -1, 1.0), (3, 0, 1, -1, 1.0)]
    assert sources(read_lineage(written(tmp_path / "lineage.jsonl", lines))).tolist() == [-1, -1, 1, 1, 3]


def test_the_descent_of_a_selected_population_is_that_of_inherited_traits(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(0), 8
    path = tmp_path / "lineage.jsonl"
    sink = LineageLog(path, TensorBoard(tmp_path / "events", {}))
    fresh = Population.fresh(torch.zeros(n, 1), Identities(following=100), "initial")
    members = fresh.with_traits(**{"h.x": torch.zeros(n)}).with_traits(root=fresh.id, line=torch.full((n,), -1))
    roots, lines = [], []
    for generation in range(1, 30):
        lines += members.traits["line"].tolist()
        roots += members.traits["root"].tolist()
        sink.write_population(members, generation, 10 * generation)
        members = members.with_traits(line=torch.arange(n) + n * (generation - 1))
        losers, donors = np.split(rng.permutation(n)[:4], 2)
        members = members.put(losers.tolist(), members.descend(donors.tolist(), "copy"))
    sink.close()
    lineage = read_lineage(path)
    assert sources(lineage).tolist() == lines
    assert roots_of(lineage).tolist() == roots
    assert surviving_roots(lineage).tolist() == [len(set(roots[at : at + n])) for at in range(0, len(roots), n)]
    assert copies(lineage).tolist() == [0] + [2] * 28


def test_a_last_line_that_is_not_whole_is_left_out(tmp_path: Path, small: Lineage) -> None:
    path = tmp_path / "lineage.jsonl"
    path.write_text(path.read_text()[:-5])
    assert len(read_lineage(path)) == len(small) - 1
    path.write_text('{"gen')
    empty = read_lineage(path)
    assert len(empty) == 0
    assert [len(found) for found in (sources(empty), roots_of(empty), surviving_roots(empty), copies(empty))] == [0] * 4
    with pytest.raises(ValueError, match="lineage must have lines, got none"):
        best_of_last(empty)


@pytest.mark.parametrize("damage", ["no json\n", '{"generation": 1}\n', "[1]\n", '{"h": 3}\n'])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "lineage.jsonl"
    path.write_text(damage)
    with pytest.raises(RunFolderError, match="is damaged"):
        read_lineage(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"lineage must be a lineage\.jsonl, .* got .*nowhere"):
        read_lineage(tmp_path / "nowhere")
