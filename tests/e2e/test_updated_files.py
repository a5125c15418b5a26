"""``save to`` a file by key or partition, in stages (flow language, section 5)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from wvflow.service.api import RunResult

RunFlow = Callable[..., RunResult]
Rows = Callable[[str], list[Any]]
FILES = ["kept.csv", "deep/kept.parquet", "kept.json", "kept.tsv", "kept.csv.gz", "kept.ndjson"]


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """What stands in a file, in order."""
    return lambda name: duckdb.sql(f"from '{tmp_path / name}' order by all").fetchall()


def succeeded(result: RunResult) -> RunResult:
    assert result.state == "success", result.summary
    return result


@pytest.mark.parametrize("name", FILES)
def test_merge_replaces_rows_by_their_key_and_adds_new_ones(run_flow: RunFlow, rows: Rows, name: str) -> None:
    save = f"save to '{name}' with mode: 'merge', key: id"
    old = "from [[1, 'a', true], [2, 'b', true]] as t(id, word, b)"
    for _ in range(2):
        succeeded(run_flow(f"flow F = {{ stage x = {old} | {save} }}"))
    assert rows(name) == [(1, "a", True), (2, "b", True)]
    for _ in range(2):
        result = succeeded(
            run_flow(f"flow F = {{ stage x = from [['B', 2], ['C', 3]] as t(word, id) | {save} stage y = from x }}")
        )
    assert rows(name) == [(1, "a", True), (2, "B", True), (3, "C", None)]
    assert (result.stages["x"].rows, result.stages["x"].target) == (2, name)
    assert result.rows("y").to_pylist() == [{"word": "B", "id": 2}, {"word": "C", "id": 3}]


@pytest.mark.parametrize("name", FILES)
def test_a_partition_is_replaced_by_the_rows_of_the_day(run_flow: RunFlow, rows: Rows, name: str) -> None:
    flow = "flow F(day: string) = { stage x = from [%s] as t(n) | save to '%s' with partition: day stage y = from x }"
    for days in ("[1], [2]", "mo"), ("[3]", "tu"), ("[4]", "mo"):
        result = succeeded(run_flow(flow % (days[0], name), params={"day": days[1]}))
        assert list(result.rows("y").to_pylist()[0]) == ["n"], "the rows that pass on are as they were"
    assert rows(name) == [(3, "tu"), (4, "mo")]
    empty = "flow F(day: string) = { stage x = from [[1]] as t(n) where n > 1 | save to '%s' with partition: day }"
    succeeded(run_flow(empty % name, params={"day": "tu"}))
    assert rows(name) == [(4, "mo")]


@pytest.mark.parametrize("name", FILES)
def test_partitions_may_be_those_of_the_rows(run_flow: RunFlow, rows: Rows, name: str) -> None:
    for values in ("['a', 1], ['b', 2], [null, 3]", "['a', 10], [null, 30]"):
        succeeded(run_flow(f"flow F = {{ stage x = from [{values}] as t(k, n) | save to '{name}' with partition: k }}"))
    assert rows(name) == [("a", 10), ("b", 2), (None, 30)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kept.csv", 'id,code,at,e\n1,007,2024-01-01T00:00:00Z,""\n2,1.50,,\n'),
        (
            "kept.json",
            '{"id":1,"code":"007","at":"2024-01-01T00:00:00Z","e":""}\n{"id":2,"code":1.5,"at":null,"e":null}\n',
        ),
    ],
)
@pytest.mark.parametrize("update", ["save to '{}' with mode: 'merge', key: id", "append to '{}'"])
def test_rows_that_stay_are_not_written_in_another_way(
    run_flow: RunFlow, tmp_path: Path, name: str, text: str, update: str
) -> None:
    (tmp_path / name).write_text(text)
    new = f"from [[3, '08', '', 'x']] as t(id, code, at, e) | {update.format(name)}"
    succeeded(run_flow(f"flow F = {{ stage x = {new} }}"))
    written = (tmp_path / name).read_text()
    assert written.startswith(text)
    assert len(written.splitlines()) == len(text.splitlines()) + 1


def test_a_file_gets_the_columns_that_it_lacks(run_flow: RunFlow, rows: Rows) -> None:
    for columns in ("[1, 2]] as t(id, a)", "[2, 3]] as t(id, b)"):
        save = "save to 'kept.parquet' with mode: 'merge', key: 'id'"
        succeeded(run_flow(f"flow F = {{ stage x = from [{columns} | {save} }}"))
    assert rows("kept.parquet") == [(1, 2, None), (2, None, 3)]


def test_rows_without_a_key_of_their_own_are_not_merged(run_flow: RunFlow, rows: Rows) -> None:
    save = "save to 'kept.csv' with mode: 'merge', key: id"
    run_flow(f"flow F = {{ stage x = from [[1, 'old']] as t(id, s) | {save} }}")
    result = run_flow(f"flow F = {{ stage x = from [[1, 'a'], [1, 'b']] as t(id, s) | {save} }}")
    assert "several rows have the key `id` = 1" in str(result.stages["x"].error)
    assert rows("kept.csv") == [(1, "old")]


@pytest.mark.parametrize(
    "update",
    ["append to 'kept.csv'", "save to 'kept.csv' with mode: 'merge', key: n", "save to 'kept.csv' with partition: n"],
)
def test_stages_side_by_side_change_one_file_one_after_the_other(run_flow: RunFlow, rows: Rows, update: str) -> None:
    stages = " ".join(f"stage x{n} = from [[{n}]] as t(n) | {update}" for n in range(8))
    succeeded(run_flow(f"flow F = {{ {stages} }}"))
    assert rows("kept.csv") == [(n,) for n in range(8)]


def test_a_file_is_read_as_it_is_written(run_flow: RunFlow, tmp_path: Path) -> None:
    for n in (1, 2):
        save = "save to 'kept.csv' with mode: 'merge', key: id, delimiter: ';', nullstr: '-'"
        succeeded(run_flow(f"flow F = {{ stage x = from [[{n}, null, 'a,b']] as t(id, z, s) | {save} }}"))
    assert (tmp_path / "kept.csv").read_text().split() == ["id;z;s", "1;-;a,b", "2;-;a,b"]


@pytest.mark.parametrize(("form", "ending"), [("", "parquet"), (", format: csv", "csv"), (", format: 'json'", "json")])
def test_a_folder_has_a_file_for_each_partition(
    run_flow: RunFlow, rows: Rows, tmp_path: Path, form: str, ending: str
) -> None:
    flow = "flow F(day: string) = { stage x = from [%s] as t(k, n) | save to 'out/kept/' with partition: [day, k]%s }"
    for values, day in (("['a', 1], ['b/c', 2], [null, 3]", "mo"), ("['a', 4]", "tu"), ("['a', 5], [null, 6]", "mo")):
        result = succeeded(run_flow(flow % (values, form), params={"day": day}))
        assert result.stages["x"].rows == values.count("[")
    assert [(d, k, n) for n, d, k in rows(f"out/kept/**/*.{ending}")] == [
        ("mo", "b/c", 2),
        ("tu", "a", 4),
        ("mo", "a", 5),
        ("mo", None, 6),
    ]
    assert (tmp_path / "out" / "kept" / "day=tu" / "k=a" / f"data_0.{ending}").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kept"], "nothing is left beside it"


def test_a_folder_may_be_of_all_columns(run_flow: RunFlow, rows: Rows) -> None:
    for n in (1, 2, 2):
        succeeded(run_flow(f"flow F = {{ stage x = select {n} as n | save to 'kept/' with partition: N }}"))
    assert rows("kept/**/*.parquet") == [(1,), (2,)]


def test_a_fixed_partition_of_a_folder_is_also_replaced_by_no_rows(run_flow: RunFlow, rows: Rows) -> None:
    flow = "flow F(day: string, least: int) = { stage x = from [[1]] as t(n) where n > least"
    flow += " | save to 'kept/' with partition: day }"
    for day, least in (("m/o", 0), ("tu", 0), ("m/o", 1), ("we", 1)):
        succeeded(run_flow(flow, params={"day": day, "least": least}))
    assert rows("kept/**/*.parquet") == [(1, "tu")]
