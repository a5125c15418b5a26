"""Saves: files replaced whole, tables once for all attempts, and a warehouse that several processes share."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from wvflow.data.duckdb import DuckDBEngine
from wvflow.errors import NoSpace, TaskError
from wvflow.lang import algebra as a
from wvflow.lang.types import LONG, STRING
from wvflow.plan.tasks import Delete, FileTarget, Save, TableTarget
from wvflow.testing.engine_contract import Stopping, located, numbers, query_job


def open_engine(root: Path) -> DuckDBEngine:
    state = root / ".wvflow"
    return DuckDBEngine(state=state, root=root, database=root / "warehouse.duckdb", cache=state / "cache", threads=1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDBEngine]:
    engine = open_engine(tmp_path)
    yield engine
    engine.close()


@pytest.fixture
def stop() -> Stopping:
    return Stopping()


def to_table(*parts: str) -> Save:
    return Save(TableTarget(parts))


def to_file(path: str, **options: str) -> Save:
    return Save(
        FileTarget(path),
        tuple(a.NamedArgument(name, a.Literal(value, STRING)) for name, value in options.items()),
    )


def rows_of(engine: DuckDBEngine, *parts: str, run_id: str = "reader") -> list[dict[str, object]]:
    """A table's rows, read as a flow does."""
    job = query_job(a.Table(parts, parts[-1]), run_id=run_id)
    return list(engine.read(located(engine.query(job, Stopping()))).read_all().to_pylist())


# --- files ---


READERS = {
    "out.csv": lambda path: path.read_text() == "i,s\n0,0\n1,1\n",
    "out.tsv": lambda path: path.read_text() == "i\ts\n0\t0\n1\t1\n",
    "out.csv.gz": lambda path: gzip.decompress(path.read_bytes()) == b"i,s\n0,0\n1,1\n",
    "deep/down/out.json": lambda path: json.loads(path.read_text().splitlines()[1]) == {"i": 1, "s": "1"},
    "out.NDJSON": lambda path: len(path.read_text().splitlines()) == 2,
    "it's [a] *name* ü.parquet": lambda path: pq.read_table(path).to_pydict() == {"i": [0, 1], "s": ["0", "1"]},
}


@pytest.mark.parametrize("path", READERS)
@pytest.mark.parametrize("keep", [False, True])
def test_a_files_format_follows_its_extension(
    tmp_path: Path, engine: DuckDBEngine, stop: Stopping, path: str, keep: bool
) -> None:
    stored = engine.query(query_job(numbers(2), save=to_file(path), keep=keep), stop)
    assert READERS[path](tmp_path / path)
    assert (stored.output.rows, stored.output.target, bool(stored.output.ref)) == (2, path, keep)


def test_options_of_a_save_are_those_of_the_writer(tmp_path: Path, engine: DuckDBEngine, stop: Stopping) -> None:
    engine.query(query_job(numbers(1), save=to_file("out.csv", delimiter=";"), keep=False), stop)
    assert (tmp_path / "out.csv").read_text() == "i;s\n0;0\n"


@pytest.mark.parametrize("path", ["out.xlsx", "out", "out.parquet.gz"])
def test_an_unknown_extension_is_refused_with_those_that_are_known(
    tmp_path: Path, engine: DuckDBEngine, stop: Stopping, path: str
) -> None:
    with pytest.raises(TaskError, match="can't tell the format") as caught:
        engine.query(query_job(numbers(1), save=to_file(path), keep=False), stop)
    assert (caught.value.kind, caught.value.retryable) == ("SaveFailed", False)
    assert "csv, tsv, json, jsonl, ndjson, parquet" in (caught.value.help or "")


def test_a_save_that_fails_leaves_the_file_as_it_was(tmp_path: Path, engine: DuckDBEngine, stop: Stopping) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    failing = a.Select(
        numbers(2), (a.Item("x", a.Cast(a.Call("concat", (a.Column("s"), a.Literal("x", STRING))), LONG)),)
    )
    with pytest.raises(TaskError):
        engine.query(query_job(failing, save=to_file("out.csv"), keep=False), stop)
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".wvflow", "out.csv"]


def test_a_folder_that_can_not_be_made_is_a_failed_save(tmp_path: Path, engine: DuckDBEngine, stop: Stopping) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TaskError) as caught:
        engine.query(query_job(numbers(1), save=to_file("file/out.csv"), keep=False), stop)
    assert caught.value.kind == "SaveFailed"


def test_a_full_disk_is_not_the_tasks_fault(
    engine: DuckDBEngine, stop: Stopping, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr("wvflow.data.files.sync", full)
    with pytest.raises(NoSpace, match="no space left"):
        engine.query(query_job(numbers(200)), stop)


# --- tables ---


@pytest.mark.parametrize("parts", [("t",), ("shop", "t"), ("warehouse", "shop", "select"), ('it\'s "t"',)])
@pytest.mark.parametrize("keep", [False, True])
def test_a_saved_table_is_read_by_its_name(
    engine: DuckDBEngine, stop: Stopping, parts: tuple[str, ...], keep: bool
) -> None:
    stored = engine.query(query_job(numbers(3), save=to_table(*parts), keep=keep), stop)
    assert (stored.output.rows, stored.output.target) == (3, ".".join(parts))
    assert rows_of(engine, *parts) == [{"i": i, "s": str(i)} for i in range(3)]


@pytest.mark.parametrize("count", [3, 300])
def test_rows_kept_beside_a_save_are_those_of_the_table(engine: DuckDBEngine, stop: Stopping, count: int) -> None:
    drawn = a.Select(numbers(count), (a.Item("i", a.Column("i")), a.Item("drawn", a.Call("random", ()))))
    kept = engine.query(query_job(drawn, save=to_table("t")), stop)
    assert (kept.inline is not None) == (count == 3)
    assert engine.read(located(kept)).read_all().to_pylist() == rows_of(engine, "t")


def test_a_save_replaces_the_table_whole(engine: DuckDBEngine, stop: Stopping) -> None:
    for run_id, count in (("one", 5), ("two", 2)):
        engine.query(query_job(numbers(count), save=to_table("t"), keep=False, run_id=run_id), stop)
    assert len(rows_of(engine, "t")) == 2


def test_a_table_can_be_saved_over_itself(engine: DuckDBEngine, stop: Stopping) -> None:
    engine.query(query_job(numbers(5), save=to_table("t"), keep=False, run_id="one"), stop)
    fewer = a.Limit(a.Table(("t",), "t"), 2)
    engine.query(query_job(fewer, save=to_table("t"), keep=False, run_id="two"), stop)
    assert len(rows_of(engine, "t")) == 2


@pytest.mark.parametrize("keep", [False, True])
def test_a_save_is_applied_once_for_all_attempts_of_a_run(engine: DuckDBEngine, stop: Stopping, keep: bool) -> None:
    counts = [
        engine.query(query_job(numbers(rows), save=to_table("t"), keep=keep, attempt=attempt), stop).output.rows
        for attempt, rows in enumerate((5, 2), 1)
    ]
    assert counts[0] == 5
    assert len(rows_of(engine, "t")) == 5


def test_a_save_that_was_applied_before_tells_the_rows_of_then(engine: DuckDBEngine, stop: Stopping) -> None:
    save = to_table("t")
    engine.query(query_job(numbers(5), save=save, keep=False), stop)
    assert engine.query(query_job(numbers(2), save=save, keep=False, attempt=2), stop).output.rows == 5


def test_a_failed_save_is_not_marked_as_applied(engine: DuckDBEngine, stop: Stopping) -> None:
    failing = a.Select(numbers(1), (a.Item("x", a.Cast(a.Literal("x", STRING), LONG)),))
    with pytest.raises(TaskError):
        engine.query(query_job(failing, save=to_table("t"), keep=False), stop)
    engine.query(query_job(numbers(4), save=to_table("t"), keep=False, attempt=2), stop)
    assert len(rows_of(engine, "t")) == 4


def test_another_catalog_is_refused(engine: DuckDBEngine, stop: Stopping) -> None:
    with pytest.raises(TaskError, match="no catalog named `prod`"):
        engine.query(query_job(numbers(1), save=to_table("prod", "s", "t"), keep=False), stop)


def test_reading_makes_no_warehouse(tmp_path: Path, engine: DuckDBEngine) -> None:
    with pytest.raises(TaskError, match="no table named `t`"):
        rows_of(engine, "t")
    assert not (tmp_path / "warehouse.duckdb").exists()


# --- what leaves other rows as they are ---


def changed(
    engine: DuckDBEngine, save: Save | Delete, rows: a.Rel, *, attempt: int = 1, run_id: str = "run", iteration: int = 0
) -> int:
    job = query_job(rows, save=save, keep=False, attempt=attempt, run_id=run_id, iteration=iteration)
    return int(engine.query(job, Stopping()).output.rows or 0)


CHANGES = {
    "append": (Save(TableTarget(("t",)), mode="append"), [(0, "0"), (0, "old"), (1, "1"), (7, "old")]),
    "merge": (Save(TableTarget(("t",)), mode="merge", by=("i",)), [(0, "0"), (1, "1"), (7, "old")]),
    "partition": (Save(TableTarget(("t",)), mode="partition", by=("i",)), [(0, "0"), (1, "1"), (7, "old")]),
    "fixed partition": (
        Save(TableTarget(("t",)), mode="partition", by=("i",), fixed=(a.NamedArgument("i", a.Literal(0, LONG)),)),
        [(0, "0"), (0, "1"), (7, "old")],
    ),
    "delete": (Delete(a.Table(("t",), "t")), [(7, "old")]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("attempts", [1, 2])
def test_a_change_of_a_table_is_made_once_for_all_attempts(engine: DuckDBEngine, change: str, attempts: int) -> None:
    update, expected = CHANGES[change]
    old = a.Rows(("i", "s"), (LONG, STRING), ((a.Literal(0, LONG), a.Literal("old", STRING)),
                 (a.Literal(7, LONG), a.Literal("old", STRING))))  # fmt: skip
    changed(engine, to_table("t"), old, run_id="before")
    rows: a.Rel = numbers(2)
    if change == "fixed partition":
        rows = a.Select(rows, (a.Item("s", a.Column("s")),))
    if isinstance(update, Delete):
        rows = a.Filter(update.table, a.Binary("<", a.Column("i", "t"), a.Literal(7, LONG)))
    counts = [changed(engine, update, rows, attempt=number) for number in range(1, attempts + 1)]
    assert set(counts) == {1 if isinstance(update, Delete) else 2}
    assert sorted((row["i"], row["s"]) for row in rows_of(engine, "t")) == expected


APPEND = Save(FileTarget("out.csv"), mode="append")


def test_an_append_to_a_file_is_made_once_for_all_attempts(tmp_path: Path, engine: DuckDBEngine) -> None:
    (tmp_path / "out.csv").write_text("i,s\n9,old\n")
    assert [changed(engine, APPEND, numbers(2), attempt=number) for number in (1, 2, 3)] == [2, 2, 2]
    assert (tmp_path / "out.csv").read_text() == "i,s\n9,old\n0,0\n1,1\n"
    assert changed(engine, APPEND, numbers(1), run_id="other") == 1
    assert (tmp_path / "out.csv").read_text() == "i,s\n9,old\n0,0\n1,1\n0,0\n"


@pytest.mark.parametrize("there", [False, True])
def test_an_append_that_was_noted_and_not_made_is_made_by_the_next_attempt(
    tmp_path: Path, engine: DuckDBEngine, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    if there:
        (tmp_path / "out.csv").write_text("i,s\n9,old\n")
    with monkeypatch.context() as dying:
        dying.setattr("wvflow.data.appends.publish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            changed(engine, APPEND, numbers(2))
    assert changed(engine, APPEND, numbers(2), attempt=2) == 2
    assert (tmp_path / "out.csv").read_text() == f"i,s\n{'9,old' + chr(10) if there else ''}0,0\n1,1\n"


def test_an_append_to_a_file_that_somebody_else_has_changed_is_a_conflict(tmp_path: Path, engine: DuckDBEngine) -> None:
    changed(engine, APPEND, numbers(2))
    with (tmp_path / "out.csv").open("a") as file:
        file.write("5,5\n")
    with pytest.raises(TaskError, match="neither as it was before") as caught:
        changed(engine, APPEND, numbers(2), attempt=2)
    assert (caught.value.kind, caught.value.retryable) == ("AppendConflict", False)
    assert len((tmp_path / "out.csv").read_text().split()) == 4


ROUNDS = [(1, 1), (2, 1), (2, 2), (3, 1), (1, 2), (2, 3)]  # the last two: given up on, and heard of all the same


def test_a_loop_leaves_one_mark_that_tells_of_all_its_iterations(engine: DuckDBEngine) -> None:
    append = Save(TableTarget(("t",)), mode="append")
    for iteration, attempt in ROUNDS:
        changed(engine, append, numbers(1), iteration=iteration, attempt=attempt)
    assert len(rows_of(engine, "t")) == 3
    assert [row["iteration"] for row in rows_of(engine, "_wvflow", "applied")] == [3]


def test_a_loop_leaves_one_note_that_tells_of_all_its_iterations(tmp_path: Path, engine: DuckDBEngine) -> None:
    for iteration, attempt in ROUNDS:
        changed(engine, APPEND, numbers(1), iteration=iteration, attempt=attempt)
    assert (tmp_path / "out.csv").read_text().split() == ["i,s", *["0,0"] * 3]
    assert len(list((tmp_path / ".wvflow" / "runs" / "run").glob("*.note"))) == 1


# --- other processes ---

PRELUDE = """
import os, sys
from pathlib import Path
import duckdb
from wvflow.data.duckdb import DuckDBEngine
from wvflow.plan.tasks import Save, TableTarget
from wvflow.testing.engine_contract import Stopping, numbers, query_job
root, name = Path(sys.argv[1]), sys.argv[2]
state = root / ".wvflow"
engine = DuckDBEngine(state=state, root=root, database=root / "warehouse.duckdb", cache=state / "cache", threads=1)
def save(table, count, run_id=name):
    job = query_job(numbers(count), save=Save(TableTarget((table,))), keep=False, run_id=run_id)
    return engine.query(job, Stopping()).output.rows
"""


def start(script: str, root: Path, name: str = "run") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + script, str(root), name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_process_that_dies_after_its_save_has_saved_and_is_not_repeated(
    tmp_path: Path, engine: DuckDBEngine, stop: Stopping
) -> None:
    with start("save('t', 5)\nos.kill(os.getpid(), 9)", tmp_path) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    again = query_job(numbers(2), save=to_table("t"), keep=False, run_id="run", attempt=2)
    assert engine.query(again, stop).output.rows == 5
    assert len(rows_of(engine, "t")) == 5


def test_two_processes_save_to_one_warehouse_and_both_finish(tmp_path: Path, engine: DuckDBEngine) -> None:
    script = "for n in range(6): save(f'{name}_{n}', 2, run_id=f'{name}{n}')\nengine.close()"
    with start(script, tmp_path, "left") as left, start(script, tmp_path, "right") as right:
        left.communicate()
        right.communicate()
    assert (left.returncode, right.returncode) == (0, 0)
    for side in ("left", "right"):
        assert [len(rows_of(engine, f"{side}_{n}")) for n in range(6)] == [2] * 6


HOLD = {
    "our own": "save('t', 1)\nengine._warehouse.entered('write', Stopping(), print).__enter__()",
    "a foreign one": "held = duckdb.connect(str(root / 'warehouse.duckdb'))",
}


@pytest.mark.parametrize("holder", HOLD)
def test_a_task_waits_for_whoever_holds_the_warehouse_and_names_it(
    tmp_path: Path, engine: DuckDBEngine, stop: Stopping, holder: str
) -> None:
    told: list[str] = []
    begun: list[str] = []
    with start(HOLD[holder] + "\nprint('held', flush=True)\nsys.stdin.read()\nos._exit(0)", tmp_path) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        stdin = process.stdin

        def waiting(name: str) -> None:
            told.append(name)
            assert not begun
            stdin.close()

        job = query_job(
            numbers(1), save=to_table("u"), keep=False, waiting=waiting, begun=lambda: begun.append("begun")
        )
        assert engine.query(job, stop).output.rows == 1
    assert f"process {process.pid}" in told[0]
    assert begun == ["begun"]


def test_a_stop_ends_the_wait_for_the_warehouse(tmp_path: Path, engine: DuckDBEngine, stop: Stopping) -> None:
    with start(HOLD["a foreign one"] + "\nprint('held', flush=True)\nsys.stdin.read()", tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        job = query_job(numbers(1), save=to_table("u"), keep=False, waiting=lambda _: stop.request())
        with pytest.raises(TaskError) as caught:
            engine.query(job, stop)
        process.communicate()
    assert caught.value.kind == "Interrupted"


def test_an_idle_engine_gives_the_warehouse_up(tmp_path: Path, engine: DuckDBEngine, stop: Stopping) -> None:
    engine.query(query_job(numbers(1), save=to_table("t"), keep=False), stop)
    other = open_engine(tmp_path)
    told: list[str] = []
    job = query_job(numbers(2), save=to_table("u"), keep=False, run_id="other", waiting=told.append)
    assert other.query(job, stop).output.rows == 2
    other.close()
    assert [f"process {os.getpid()}" in name for name in told] == [True]
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as plain:
        assert plain.execute("SELECT count(*) FROM t").fetchall() == [(1,)]


def test_tasks_of_one_process_save_and_read_at_once(engine: DuckDBEngine, stop: Stopping) -> None:
    engine.query(query_job(numbers(7), save=to_table("shared"), keep=False), stop)
    together = threading.Barrier(6)

    def work(number: int) -> int:
        together.wait()
        if number % 2:
            return len(rows_of(engine, "shared", run_id=f"r{number}"))
        job = query_job(numbers(7), save=to_table(f"t{number}"), keep=False, run_id=f"w{number}")
        return engine.query(job, stop).output.rows or 0

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [7] * 6
