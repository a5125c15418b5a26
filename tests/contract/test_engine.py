from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from wvflow.data.duckdb import DuckDBEngine
from wvflow.data.reading import read_output
from wvflow.errors import TaskError
from wvflow.lang import algebra as a
from wvflow.lang.types import JSON, LONG, STRING, Type
from wvflow.plan.nodes import Place
from wvflow.plan.tasks import Save, TableTarget
from wvflow.ports.engine import FileRows, Located
from wvflow.testing.engine_contract import EngineContract, Stopping, located, numbers, output_name, query_job

Make = Callable[[], DuckDBEngine]
TEXTS = a.Select(numbers(1), (a.Item("s", a.Cast(a.Column("i"), STRING)),))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project's folder whose name means something to a glob and to SQL."""
    folder = tmp_path / "it's [a] *project* ü"
    folder.mkdir()
    return folder


@pytest.fixture
def make(root: Path) -> Iterator[Make]:
    """Opens engines over one project, as one process after the other would."""
    opened: list[DuckDBEngine] = []
    state = root / ".wvflow"

    def open_engine() -> DuckDBEngine:
        engine = DuckDBEngine(
            state=state, root=root, database=state / "warehouse.duckdb", cache=state / "cache", threads=2
        )
        opened.append(engine)
        return engine

    yield open_engine
    for engine in opened:
        engine.close()


@pytest.fixture
def engine(make: Make) -> DuckDBEngine:
    return make()


@pytest.fixture
def stop() -> Stopping:
    return Stopping()


class TestDuckDB(EngineContract):
    @pytest.fixture
    def engine(self, make: Make) -> DuckDBEngine:
        return make()


def many(count: int) -> a.TableFunction:
    """More rows than a plan should hold."""
    return a.TableFunction("range", (a.Literal(count, LONG),), (), "m", ("i",))


def total(relation: a.Rel, column: str = "i") -> a.Aggregate:
    return a.Aggregate(relation, (), (a.Item("total", a.Call("sum", (a.Column(column),))),))


@pytest.mark.parametrize("sort", [False, True], ids=["as they come", "sorted"])
def test_many_rows_are_kept_once_and_in_order(engine: DuckDBEngine, stop: Stopping, sort: bool) -> None:
    source = engine.query(query_job(many(70_000), stage="source"), stop)
    rows: a.Rel = a.Filter(a.StageRows("source", "s"), a.Binary(">=", a.Column("i"), a.Literal(5, LONG)))
    if sort:
        rows = a.Sort(rows, (a.SortKey(a.Column("i"), descending=True),))
    stored = engine.query(query_job(rows, inputs={"source": located(source)}), stop)
    expected = list(range(5, 70_000))
    assert engine.read(located(stored)).read_all()["i"].to_pylist() == (expected[::-1] if sort else expected)


def test_few_rows_out_of_many_leave_no_file(root: Path, engine: DuckDBEngine, stop: Stopping) -> None:
    stored = engine.query(query_job(total(many(70_000))), stop)
    assert stored.inline is not None
    assert engine.read(located(stored)).read_all().to_pylist() == [{"total": sum(range(70_000))}]
    assert not [path for path in (root / ".wvflow" / "runs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("count", [3, 300])
def test_another_process_reads_an_output_without_its_engine(root: Path, make: Make, stop: Stopping, count: int) -> None:
    engine = make()
    stored = engine.query(query_job(numbers(count)), stop)
    engine.close()
    assert read_output(located(stored), root / ".wvflow").read_all().num_rows == count


@pytest.mark.parametrize("count", [3, 300])
def test_columns_have_the_same_types_inline_and_in_a_file(engine: DuckDBEngine, stop: Stopping, count: int) -> None:
    items = (
        a.Item("total", a.Call("sum", (a.Column("i"),))),
        a.Item("uuid", a.Call("any_value", (a.Call("uuid"),))),
        a.Item("json", a.Call("any_value", (a.Cast(a.Literal('{"a":1}', STRING), JSON),))),
        a.Item("exact", a.Call("any_value", (a.Literal("2.50", Type("decimal", (3, 2))),))),
    )
    grouped = a.Aggregate(numbers(count), (a.Item("i", a.Column("i")),), items)
    rows = engine.read(located(engine.query(query_job(grouped), stop)))
    types = [pa.int32(), pa.int64(), pa.string(), pa.string(), pa.decimal128(3, 2)]
    assert rows.schema.types == types


def test_a_sum_beyond_a_long_fails_rather_than_losing_digits(engine: DuckDBEngine, stop: Stopping) -> None:
    largest = a.Literal(2**63 - 1, LONG)
    rows = a.Rows(("i",), (LONG,), ((largest,), (largest,)), "t")
    with pytest.raises(TaskError, match="out of range"):
        engine.query(query_job(total(rows)), stop)


def test_data_files_are_found_from_the_root_however_it_is_named(
    root: Path, engine: DuckDBEngine, stop: Stopping
) -> None:
    (root / "data").mkdir()
    for name in ("one 'x'.csv", "two.csv"):
        (root / "data" / name).write_text("a,b\n1,x\n")
    exact = engine.query(query_job(a.File("data/one 'x'.csv", "f")), stop)
    assert engine.read(located(exact)).read_all().to_pylist() == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize(
    ("relation", "kind", "message", "retryable"),
    [
        (a.File("data/none.csv"), "FileNotFound", "no file at `data/none.csv`", True),
        (a.File("data/none.doc"), "QueryError", "can't tell the format of `data/none.doc`", False),
        (a.Select(numbers(1), (a.Item("x", a.Call("nope")),)), "QueryError", "no function named `nope`", False),
        (a.Select(numbers(1), (a.Item("x", a.Column("i", "q")),)), "ColumnNotFound", "nothing is called `q`", False),
        (a.Exclude(numbers(1), ("zz",)), "ColumnNotFound", "no column named `zz`", False),
        (
            a.Aggregate(numbers(1), (), (a.Item("n", a.Call("count", (a.Star(),))), a.Item("s", a.Column("s")))),
            "ColumnNotFound",
            "`s` is neither a key of the group nor aggregated",
            False,
        ),
        (
            a.Select(a.Join(numbers(1, "l"), numbers(1, "r"), "cross"), (a.Item("i", a.Column("i")),)),
            "ColumnNotFound",
            "more than one column is named `i`",
            False,
        ),
        (
            a.Select(numbers(1), (a.Item("x", a.Cast(a.Literal("x", STRING), LONG)),)),
            "QueryError",
            "'x' can't be read as long",
            True,
        ),
        (
            a.Filter(TEXTS, a.Binary(">", a.Column("s"), a.Literal(3, LONG))),
            "QueryError",
            "type string can't be compared with one of type int",
            False,
        ),
        (
            a.Select(TEXTS, (a.Item("s", a.Call("sum", (a.Column("s"),))),)),
            "QueryError",
            "`sum` takes no (string)",
            False,
        ),
        (
            a.Select(numbers(1), (a.Item("t", a.Call("sum", (a.Column("t"),))),)),
            "ColumnNotFound",
            "no column named `t`",
            False,
        ),
        (a.Table(("stop",), "stop"), "TableNotFound", "no table named `stop`", True),
        (a.Table(("shop", "sales"), "sales"), "SchemaNotFound", "no schema named `shop`", True),
        (a.Table(("eu", "shop", "sales"), "sales"), "CatalogNotFound", "no catalog named `eu`", True),
    ],
)
def test_the_engines_refusals_are_in_the_languages_words(
    engine: DuckDBEngine, stop: Stopping, relation: a.Rel, kind: str, message: str, retryable: bool
) -> None:
    places = (Place("data/none.csv", "f.wv", 2, 6), Place("data/none.doc", "f.wv", 2, 6))
    with pytest.raises(TaskError) as caught:
        engine.query(query_job(relation, places=places), stop)
    assert message in caught.value.message
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert "Error:" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "help"),
    [
        pytest.param("order_table", "a file is written in quotes: `from 'a.csv'`", id="DuckDB's own names are no help"),
        pytest.param("salse", "did you mean `sales`?", id="a table that there is"),
    ],
)
def test_of_a_missing_table_the_way_out_is_told(engine: DuckDBEngine, stop: Stopping, name: str, help: str) -> None:
    engine.query(query_job(numbers(1), save=Save(TableTarget(("sales",)))), stop)
    with pytest.raises(TaskError) as caught:
        engine.query(query_job(a.Table((name,), name)), stop)
    assert caught.value.help == help


def test_a_value_of_a_file_that_cannot_be_read_is_named_with_its_line(
    root: Path, engine: DuckDBEngine, stop: Stopping
) -> None:
    (root / "orders.csv").write_text("region,amount\nnorth,1\n")
    rows = a.Select(a.File("orders.csv", "o"), (a.Item("x", a.Cast(a.Column("region"), LONG)),))
    with pytest.raises(TaskError, match=r"\"north\" can't be read as long: line 2 of .*orders\.csv$"):
        engine.query(query_job(rows), stop)


def test_a_query_that_fails_late_leaves_no_file(root: Path, engine: DuckDBEngine, stop: Stopping) -> None:
    late = a.Case(
        (a.Branch(a.Binary("<", a.Column("i"), a.Literal(60_000, LONG)), a.Column("i")),),
        a.Cast(a.Literal("x", STRING), LONG),
    )
    source = engine.keep(pa.table({"i": range(70_000)}).to_reader(), output_name("source"), stop)
    rows = a.Select(a.StageRows("source", "s"), (a.Item("i", late),))
    with pytest.raises(TaskError):
        engine.query(query_job(rows, inputs={"source": located(source)}), stop)
    kept = located(source)
    assert isinstance(kept, FileRows)
    assert [file.name for file in (root / ".wvflow/runs/run").iterdir()] == [Path(kept.path).name]


def test_a_stream_that_breaks_late_is_the_querys_failure(engine: DuckDBEngine, stop: Stopping) -> None:
    late = a.Case(
        (a.Branch(a.Binary("<", a.Column("i"), a.Literal(800_000, LONG)), a.Column("i")),),
        a.Cast(a.Literal("x", STRING), LONG),
    )
    with pytest.raises(TaskError, match=r"^'x' can't be read as long$") as caught:
        engine.query(query_job(a.Select(many(900_000), (a.Item("i", late),))), stop)
    assert caught.value.kind == "QueryError"


def test_merged_stages_are_united_by_their_columns_at_run_time(engine: DuckDBEngine, stop: Stopping) -> None:
    def kept(stage: str, **columns: list[int]) -> Located:
        return located(engine.keep(pa.table(columns).to_reader(), output_name(stage), stop))

    merged = a.FanIn((a.StageRows("one", "one"), a.StageRows("two", "two")))
    one, swapped, wider = kept("one", a=[1], b=[2]), kept("two", b=[3], a=[4]), kept("two", a=[1], b=[2], c=[3])
    stored = engine.query(query_job(merged, inputs={"one": one, "two": swapped}), stop)
    assert engine.read(located(stored)).read_all().to_pylist() == [{"a": 1, "b": 2}, {"a": 4, "b": 3}]
    with pytest.raises(TaskError, match="`one` has 2, `two` has 3"):
        engine.query(query_job(merged, inputs={"one": one, "two": wider}), stop)


def test_a_stop_interrupts_a_running_query(engine: DuckDBEngine) -> None:
    stop, begun = Stopping(), threading.Event()
    endless = total(a.Join(many(10**7), a.Alias(many(10**7), "o", ("j",)), "cross"))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(engine.query, query_job(endless, begun=begun.set), stop)
        begun.wait()
        stop.request()
        with pytest.raises(TaskError) as caught:
            running.result()
    assert caught.value.kind == "Interrupted"
    assert engine.query(query_job(numbers(1)), Stopping()).output.rows == 1


def test_many_threads_query_at_once(engine: DuckDBEngine, stop: Stopping) -> None:
    source = located(engine.query(query_job(numbers(300), stage="source"), stop))

    def counted(number: int) -> int | None:
        rows = a.Limit(a.StageRows("source", "s"), number)
        return engine.query(query_job(rows, stage=f"s{number}", inputs={"source": source}), stop).output.rows

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(counted, range(90, 130))) == list(range(90, 130))


WARM = """
import sys
from pathlib import Path
from wvflow.data.duckdb import DuckDBEngine
from wvflow.testing.engine_contract import Stopping, numbers, query_job
state = Path(sys.argv[1])
engine = DuckDBEngine(state=state, root=state, database=state / "w.duckdb", cache=state / "cache")
print(engine.query(query_job(numbers(3)), Stopping()).output.rows, "sqlglot" in sys.modules)
engine.close()
"""


def test_a_plan_that_ran_before_needs_no_sqlglot(tmp_path: Path) -> None:
    said = [
        subprocess.run([sys.executable, "-c", WARM, tmp_path], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert said == ["3 True\n", "3 False\n"]


def test_cached_sql_that_is_damaged_is_made_anew(root: Path, engine: DuckDBEngine, stop: Stopping) -> None:
    engine.query(query_job(numbers(3)), stop)
    (entry,) = (root / ".wvflow/cache/sql").iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:10])
    assert engine.query(query_job(numbers(3)), stop).output.rows == 3
    assert entry.read_bytes() == whole
