"""The contract of ``ports.engine.Engine``: what every engine must do, as tests that an adapter's suite inherits.

    class TestMyEngine(EngineContract):
        @pytest.fixture
        def engine(self, tmp_path): ...

Data: the suite needs nothing but rows in the plan, so an engine needs no tables beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest

from wvflow.errors import OutputMissing, TaskError
from wvflow.lang import algebra as a
from wvflow.lang.types import LONG, STRING
from wvflow.plan.nodes import Place
from wvflow.plan.tasks import QueryTask, Save
from wvflow.ports.engine import Engine, FileRows, InlineRows, Located, OutputName, QueryJob, Stored
from wvflow.ports.stop import Stop, StopToken


class Stopping(StopToken):
    """A stop that a test requests."""

    def __init__(self, *, requested: bool = False) -> None:
        super().__init__()
        if requested:
            self.request()


def output_name(stage: str = "stage", *, attempt: int = 1, run_id: str = "run", iteration: int = 0) -> OutputName:
    return OutputName(run_id=run_id, stage=stage, task=0, attempt=attempt, token=1, iteration=iteration)


def query_job(
    relation: a.Rel,
    *,
    stage: str = "stage",
    attempt: int = 1,
    run_id: str = "run",
    iteration: int = 0,
    save: Save | None = None,
    keep: bool = True,
    inputs: Mapping[str, Located] | None = None,
    piped: Located | None = None,
    values: Mapping[str, object] | None = None,
    places: tuple[Place, ...] = (),
    **hooks: Any,
) -> QueryJob:
    """A job with defaults for what a test doesn't care about."""
    return QueryJob(
        task=QueryTask(relation, save=save, keep=keep),
        name=output_name(stage, attempt=attempt, run_id=run_id, iteration=iteration),
        inputs=inputs or {},
        piped=piped,
        values=values or {},
        places=places,
        **hooks,
    )


def located(stored: Stored) -> Located:
    """Where a test finds what was kept, as a driver does: by the reference and the inline rows alone."""
    if stored.inline is not None:
        return InlineRows(stored.inline)
    return FileRows(stored.output.ref.removeprefix("file:"))


def numbers(count: int, alias: str = "n") -> a.Rows:
    """Rows of the plan: ``i`` from 0, ``s`` its text."""
    rows = tuple((a.Literal(i, LONG), a.Literal(str(i), STRING)) for i in range(count))
    return a.Rows(("i", "s"), (LONG, STRING), rows, alias)


class EngineContract:
    """Inherit it, and define the fixture ``engine``."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        raise LookupError("the suite of an engine defines the fixture `engine`")

    @pytest.fixture
    def stop(self) -> Stop:
        return Stopping()

    @pytest.mark.parametrize(("count", "inline"), [(0, True), (1, True), (100, True), (101, False)])
    def test_up_to_a_hundred_rows_are_kept_inline(self, engine: Engine, stop: Stop, count: int, inline: bool) -> None:
        stored = engine.query(query_job(numbers(count)), stop)
        assert (stored.inline is not None) == inline
        assert stored.output.ref.startswith("inline:run/" if inline else "file:runs/run/")
        assert stored.output.rows == count
        assert engine.read(located(stored)).read_all().column_names == ["i", "s"]

    def test_few_rows_beyond_sixteen_kibibytes_are_not_kept_inline(self, engine: Engine, stop: Stop) -> None:
        long = a.Rows(("s",), (STRING,), ((a.Literal("x" * 17_000, STRING),),), "t")
        stored = engine.query(query_job(long), stop)
        assert stored.inline is None
        assert engine.read(located(stored)).read_all().to_pylist() == [{"s": "x" * 17_000}]

    def test_lists_are_not_kept_inline(self, engine: Engine, stop: Stop) -> None:
        listed = a.Select(a.Single(), (a.Item("l", a.Array((a.Literal(1, LONG),))),))
        stored = engine.query(query_job(listed), stop)
        assert stored.inline is None
        assert engine.read(located(stored)).read_all().to_pylist() == [{"l": [1]}]

    @pytest.mark.parametrize("count", [3, 300])
    def test_a_stage_reads_what_another_put_out(self, engine: Engine, stop: Stop, count: int) -> None:
        first = engine.query(query_job(numbers(count), stage="first"), stop)
        total = a.Aggregate(a.StageRows("first", "f"), (), (a.Item("total", a.Call("sum", (a.Column("i", "f"),))),))
        second = engine.query(query_job(total, stage="second", inputs={"first": located(first)}), stop)
        assert engine.read(located(second)).read_all().to_pylist() == [{"total": sum(range(count))}]

    @pytest.mark.parametrize("count", [3, 300])
    def test_a_task_reads_the_rows_handed_over(self, engine: Engine, stop: Stop, count: int) -> None:
        given = engine.keep(pa.table({"i": range(count)}).to_reader(), output_name("given"), stop)
        stored = engine.query(query_job(a.Count(a.Piped()), piped=located(given)), stop)
        assert engine.read(located(stored)).read_all().to_pylist() == [{"count_star()": count}]

    @pytest.mark.parametrize("count", [3, 300])
    def test_the_first_rows_are_looked_at_and_all_are_counted(self, engine: Engine, stop: Stop, count: int) -> None:
        given = engine.keep(pa.table({"i": range(count)}).to_reader(), output_name("given"), stop)
        seen = engine.look(query_job(a.Sort(a.Piped(), (a.SortKey(a.Column("i")),)), piped=located(given)), 2, stop)
        assert ([column.name for column in seen.columns], seen.rows, seen.size) == (["i"], [(0,), (1,)], count)

    @pytest.mark.parametrize("count", [3, 3_000])
    def test_rows_are_handed_out_one_by_one_in_their_order(self, engine: Engine, stop: Stop, count: int) -> None:
        last_first = a.Sort(numbers(count), (a.SortKey(a.Column("i"), descending=True),))
        kept = located(engine.query(query_job(last_first, in_rows=True), stop))
        for place in (0, 1, count - 1, count // 2):
            (row,) = engine.read(InlineRows(engine.row(kept, place, 1_000))).read_all().to_pylist()
            assert (row["i"], sorted(row)) == (count - 1 - place, ["i", "s"])
        with pytest.raises(TaskError, match=f"no row {count}"):
            engine.row(kept, count, 1_000)

    @pytest.mark.parametrize("count", [3, 300])
    def test_outputs_are_united_in_their_order_by_name(self, engine: Engine, stop: Stop, count: int) -> None:
        first = located(engine.keep(pa.table({"i": range(count)}).to_reader(), output_name("first"), stop))
        second = located(engine.keep(pa.table({"j": ["x"], "I": [0.5]}).to_reader(), output_name("second"), stop))
        stored = engine.unite(lambda: iter((first, second, first)), output_name("all"), stop)
        united = engine.read(located(stored)).read_all()
        assert united["i"].to_pylist() == [*range(count), 0.5, *range(count)]
        assert united["j"].to_pylist() == [None] * count + ["x"] + [None] * count
        assert stored.output.rows == 2 * count + 1

    def test_types_that_have_nothing_in_common_are_not_united(self, engine: Engine, stop: Stop) -> None:
        parts = [
            located(engine.keep(pa.table({"i": values}).to_reader(), output_name(str(n)), stop))
            for n, values in enumerate(([1], ["x"]))
        ]
        with pytest.raises(TaskError) as caught:
            engine.unite(lambda: iter(parts), output_name("all"), stop)
        assert (caught.value.kind, caught.value.retryable) == ("InstancesDiffer", False)

    def test_an_output_has_size_and_checksum_and_equal_rows_have_equal_ones(self, engine: Engine, stop: Stop) -> None:
        one, other = (engine.query(query_job(numbers(9), attempt=n), stop).output for n in (1, 2))
        assert one.bytes > 0
        assert one.checksum == other.checksum != ""
        assert one.ref != other.ref

    @pytest.mark.parametrize("stage", ["with 'quotes\"", "a/b", "../up", "*?[x]", "straße 川", "x" * 300, "."])
    @pytest.mark.parametrize("count", [3, 300])
    def test_any_name_of_a_stage_will_do(self, engine: Engine, stop: Stop, stage: str, count: int) -> None:
        first = engine.query(query_job(numbers(count), stage=stage), stop)
        again = a.Count(a.StageRows(stage, stage))
        second = engine.query(query_job(again, stage="reader", inputs={stage: located(first)}), stop)
        assert engine.read(located(second)).read_all().to_pylist() == [{"count_star()": count}]

    @pytest.mark.parametrize("count", [2, 200])
    def test_columns_of_one_name_are_told_apart_alike_in_both_forms(
        self, engine: Engine, stop: Stop, count: int
    ) -> None:
        twice = a.Select(numbers(count), (a.Item("i", a.Column("i")), a.Item("I", a.Column("s"))))
        stored = engine.query(query_job(twice), stop)
        assert engine.read(located(stored)).schema.names == ["i", "I_1"]

    def test_values_are_bound_and_one_that_is_missing_is_named(self, engine: Engine, stop: Stop) -> None:
        chosen = a.Select(a.Single(), (a.Item("v", a.Value("city", STRING)), a.Item("n", a.Value("n", LONG))))
        job = query_job(chosen, values={"city": "O'slo", "n": 3, "unused": 1})
        assert engine.read(located(engine.query(job, stop))).read_all().to_pylist() == [{"v": "O'slo", "n": 3}]
        with pytest.raises(TaskError, match="no value for `city`"):
            engine.query(query_job(chosen, values={"n": 3}), stop)

    def test_an_unknown_column_fails_at_its_place_for_good(self, engine: Engine, stop: Stop) -> None:
        picked = a.Select(numbers(1), (a.Item("x", a.Column("ii", "n")),))
        places = (Place("other", "f.wv", 1, 1), Place("ii", "f.wv", 3, 7))
        with pytest.raises(TaskError, match="no column named `ii`") as caught:
            engine.query(query_job(picked, places=places), stop)
        assert (caught.value.kind, caught.value.place) == ("ColumnNotFound", "f.wv:3:7")
        assert not caught.value.retryable

    def test_an_unknown_table_fails_so_that_it_may_be_retried(self, engine: Engine, stop: Stop) -> None:
        with pytest.raises(TaskError, match="no table named `nowhere`") as caught:
            engine.query(query_job(a.Table(("nowhere",), "nowhere")), stop)
        assert (caught.value.kind, caught.value.retryable) == ("TableNotFound", True)

    def test_rows_of_an_activity_are_streamed_and_kept(self, engine: Engine, stop: Stop) -> None:
        schema = pa.schema({"i": pa.int64()})
        batches = (pa.record_batch({"i": range(n * 100, n * 100 + 100)}, schema=schema) for n in range(50))
        stored = engine.keep(pa.RecordBatchReader.from_batches(schema, batches), output_name(), stop)
        assert stored.output.rows == 5_000
        assert engine.read(located(stored)).read_all()["i"].to_pylist() == list(range(5_000))

    def test_what_a_stream_of_rows_raises_comes_through_as_it_is(self, engine: Engine, stop: Stop) -> None:
        schema = pa.schema({"i": pa.int64()})

        def batches() -> Iterator[pa.RecordBatch]:
            yield pa.record_batch({"i": range(200)}, schema=schema)
            raise ZeroDivisionError("the activity's own")

        with pytest.raises(ZeroDivisionError, match="the activity's own"):
            engine.keep(pa.RecordBatchReader.from_batches(schema, batches()), output_name(), stop)

    def test_an_output_that_is_gone_is_said_to_be(self, engine: Engine) -> None:
        with pytest.raises(OutputMissing, match="gone"):
            engine.read(FileRows("runs/run/none.parquet"))
        with pytest.raises(OutputMissing, match="damaged"):
            engine.read(InlineRows(b"no rows"))

    def test_a_stop_requested_before_means_that_nothing_is_kept(self, engine: Engine) -> None:
        with pytest.raises(TaskError) as caught:
            engine.query(query_job(numbers(1)), Stopping(requested=True))
        assert (caught.value.kind, caught.value.retryable) == ("Interrupted", False)

    def test_a_stop_interrupts_a_stream_of_rows(self, engine: Engine) -> None:
        stop, schema = Stopping(), pa.schema({"i": pa.int64()})

        def endless() -> Iterator[pa.RecordBatch]:
            while True:
                yield pa.record_batch({"i": range(1_000)}, schema=schema)
                stop.request()

        with pytest.raises(TaskError) as caught:
            engine.keep(pa.RecordBatchReader.from_batches(schema, endless()), output_name(), stop)
        assert caught.value.kind == "Interrupted"
