"""``append to``, ``delete``, and ``save to`` by key or partition, in stages (flow language, section 5)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from wvflow.service.api import RunResult

RunFlow = Callable[..., RunResult]


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], list[Any]]:
    """The rows of a table of the warehouse, in order."""

    def rows(name: str) -> list[Any]:
        with duckdb.connect(str(tmp_path / ".wvflow" / "warehouse.duckdb"), read_only=True) as warehouse:
            return warehouse.sql(f"from {name} order by all").fetchall()

    return rows


def succeeded(result: RunResult) -> RunResult:
    assert result.state == "success", result.summary
    return result


def test_append_adds_rows_to_a_table_which_it_makes(run_flow: RunFlow, table: Any) -> None:
    for number in (1, 2):
        result = succeeded(run_flow(f"flow F = {{ stage x = from [[{number}]] as t(n) | append to shop.kept }}"))
        assert result.stages["x"].target == "shop.kept"
        assert result.rows("x").to_pylist() == [{"n": number}]
    assert table("shop.kept") == [(1,), (2,)]


def test_append_may_name_the_columns(run_flow: RunFlow, table: Any) -> None:
    run_flow("flow F = { stage x = from [[1, 'a', true]] as t(n, s, b) | save to kept }")
    succeeded(run_flow("flow F = { stage x = from [['b', 2]] as t(word, number) | append to kept (s, n) }"))
    assert table("kept") == [(1, "a", True), (2, "b", None)]


@pytest.mark.parametrize("name", ["kept.csv", "deep/kept.parquet", "kept.json"])
def test_append_adds_rows_to_a_file_old_ones_first(run_flow: RunFlow, tmp_path: Path, name: str) -> None:
    for number in (1, 2, 3):
        succeeded(
            run_flow(
                f"flow F = {{ stage x = from [[{number}]] as t(n) | append to '{name}' stage y = from x | count }}"
            )
        )
    assert duckdb.sql(f"from '{tmp_path / name}'").fetchall() == [(1,), (2,), (3,)]


@pytest.mark.parametrize(
    ("delete", "left"),
    [
        ("from kept where n > 1 | delete", [(1, "a")]),
        ("from kept as k where k.n > least where k.s != 'c' | delete", [(1, "a"), (3, "c")]),
        ("from kept where n in {from picked select n} | delete", [(1, "a"), (3, "c")]),
        ("from kept delete", []),
    ],
)
@pytest.mark.parametrize("read", [False, True])
def test_delete_removes_rows_of_a_table(run_flow: RunFlow, table: Any, delete: str, left: Any, read: bool) -> None:
    run_flow("flow F = { stage x = from [[1, 'a'], [2, 'b'], [3, 'c']] as t(n, s) | save to kept }")
    reader = "stage y = from x | order by n" if read else "stage y = select 1 as one"
    result = succeeded(
        run_flow(f"flow F(least: int = 1) = {{ stage picked = from [[2]] as t(n) stage x = {delete} {reader} }}")
    )
    assert table("kept") == left
    gone = 3 - len(left)
    assert (result.stages["x"].rows, result.stages["x"].target) == (gone, "kept")
    if read:
        assert len(result.rows("y").to_pylist()) == gone, "the rows pass on"


MERGE = "save to kept with mode: 'merge', key: "


def test_merge_replaces_rows_by_their_key_and_adds_new_ones(run_flow: RunFlow, table: Any) -> None:
    old = "from [[1, 'a', true], [2, 'b', true]] as t(id, word, b)"
    for _ in range(2):
        succeeded(run_flow(f"flow F = {{ stage x = {old} | {MERGE} id }}"))
    assert table("kept") == [(1, "a", True), (2, "b", True)]
    new = "from [['B', 2], ['C', 3]] as t(word, id)"
    for _ in range(2):
        result = succeeded(run_flow(f"flow F = {{ stage x = {new} | {MERGE} ['id'] stage y = from x }}"))
    assert table("kept") == [(1, "a", True), (2, "B", True), (3, "C", None)]
    assert result.rows("y").to_pylist() == [{"word": "B", "id": 2}, {"word": "C", "id": 3}]


def test_merge_by_all_columns_adds_what_is_not_there(run_flow: RunFlow, table: Any) -> None:
    for rows in ("[1, 2], [1, 3]", "[1, 3], [2, 3]"):
        succeeded(run_flow(f"flow F = {{ stage x = from [{rows}] as t(a, b) | {MERGE} [a, b] }}"))
    assert table("kept") == [(1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("[1, 'a'], [1, 'b']", "several rows have the key `id` = 1"),
        ("[1, 'a'], [null, 'b']", "1 row has no value in the key `id`"),
    ],
)
def test_rows_without_a_key_of_their_own_are_not_merged(run_flow: RunFlow, table: Any, rows: str, message: str) -> None:
    run_flow("flow F = { stage x = from [[1, 'old']] as t(id, s) | save to kept }")
    result = run_flow(f"flow F = {{ stage x with {{ retries: 3 }} = from [{rows}] as t(id, s) | {MERGE} id }}")
    stage = result.stages["x"]
    assert stage.error is not None
    assert (stage.attempts, stage.error["kind"]) == (1, "MergeConflict")
    assert message in str(stage.error["message"])
    assert table("kept") == [(1, "old")]


def test_a_partition_is_replaced_by_the_rows_of_the_day(run_flow: RunFlow, table: Any) -> None:
    flow = "flow F(day: string) = { stage x = from [%s] as t(n) | save to kept with partition: day stage y = from x }"
    for rows, day in (("[1], [2]", "mo"), ("[3]", "tu"), ("[4]", "mo")):
        result = succeeded(run_flow(flow % rows, params={"day": day}))
        assert list(result.rows("y").to_pylist()[0]) == ["n"], "the rows that pass on are as they were"
    assert table("kept") == [(3, "tu"), (4, "mo")]
    empty = "flow F(day: string) = { stage x = from [[1]] as t(n) where n > 1 | save to kept with partition: day }"
    succeeded(run_flow(empty, params={"day": "tu"}))
    assert table("kept") == [(4, "mo")]


def test_a_partition_may_be_of_values_of_the_run_and_columns(run_flow: RunFlow, table: Any) -> None:
    for rows in ("['a', 1], ['b', 2], [null, 3]", "['a', 10], [null, 30]"):
        succeeded(
            run_flow(
                f"flow F = {{ stage x = from [{rows}] as t(k, n) | save to kept with partition: [run_date, 'k'] }}"
            )
        )
    assert [(row[0], row[1]) for row in table("kept")] == [("a", 10), ("b", 2), (None, 30)]


def test_changes_are_made_once_for_all_attempts(run_flow: RunFlow, table: Any, tmp_path: Path) -> None:
    result = succeeded(
        run_flow(
            """flow F = { stage x with { retries: 2, retry_delay: 1ms } =
            from [[1]] as t(n) | append to kept | append to 'kept.csv' | fails() | append to kept }""",
            """
            from wvflow import ActivityContext, activity
            @activity
            def fails(rows: list[dict], ctx: ActivityContext) -> list[dict]:
                if ctx.attempt < 3:
                    raise ConnectionError("not yet")
                return [{"n": 2}]
            """,
        )
    )
    assert result.stages["x"].attempts == 3
    assert table("kept") == [(1,), (2,)]
    assert (tmp_path / "kept.csv").read_text().split() == ["n", "1"]


def test_a_stage_that_appends_is_never_reused(run_flow: RunFlow, table: Any) -> None:
    for _ in range(2):
        run_flow("flow F = { stage x with { cache: inputs } = from [[1]] as t(n) | append to kept }")
    assert table("kept") == [(1,), (1,)]
