"""Every form of rows that a function may take, with every form that it may return."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, Optional, TypedDict

import msgspec
import pyarrow as pa
import pytest

from wvflow.activities.rows import form_of
from wvflow.errors import TaskError

Rows = list[dict[str, Any]]
Run = Callable[..., Rows | None]
FLIGHTS: Rows = [{"carrier": "AA", "delay": 4}, {"carrier": "UA", "delay": None}]


@dataclass
class Flight:
    carrier: str
    delay: int | None


class Pair(NamedTuple):
    carrier: str
    delay: int | None


class Struct(msgspec.Struct):
    carrier: str
    delay: int | None


class Keys(TypedDict):
    carrier: str
    delay: int | None


class Form(NamedTuple):
    """How a test gets at a form: its annotation, rows out of it, rows into it; the package that it needs."""

    annotation: Callable[[ModuleType], Any]
    read: Callable[[Any], Rows]
    write: Callable[[ModuleType, Rows], Any]
    package: str = "pyarrow"


def _nulls(rows: Rows) -> Rows:
    return [{name: None if value != value else value for name, value in row.items()} for row in rows]


FORMS = {
    "pa.Table": Form(lambda it: it.Table, lambda it: it.to_pylist(), lambda pa, rows: pa.Table.from_pylist(rows)),
    "pa.RecordBatchReader": Form(
        lambda it: it.RecordBatchReader,
        lambda it: it.read_all().to_pylist(),
        lambda pa, rows: pa.Table.from_pylist(rows).to_reader(),
    ),
    "pl.DataFrame": Form(
        lambda it: it.DataFrame, lambda it: it.to_dicts(), lambda pl, rows: pl.DataFrame(rows), "polars"
    ),
    "pl.LazyFrame": Form(
        lambda it: it.LazyFrame, lambda it: it.collect().to_dicts(), lambda pl, rows: pl.LazyFrame(rows), "polars"
    ),
    "pd.DataFrame": Form(
        lambda it: it.DataFrame,
        lambda it: _nulls(it.to_dict("records")),
        lambda pd, rows: pd.DataFrame(rows, index=[7] * len(rows)).astype({"delay": "Int64"}),
        "pandas",
    ),
    "duckdb.DuckDBPyRelation": Form(
        lambda it: it.DuckDBPyRelation,
        lambda it: [dict(zip(it.columns, row, strict=True)) for row in it.fetchall()],
        lambda duckdb, rows: duckdb.connect().from_arrow(pa.Table.from_pylist(rows)),
        "duckdb",
    ),
    "list[dict]": Form(lambda it: list[dict], lambda it: it, lambda it, rows: rows),
    "Iterable[dict]": Form(lambda it: Iterable[dict[str, Any]], list, lambda it, rows: iter(rows)),
    "Iterator[Mapping]": Form(lambda it: Iterator[Mapping], list, lambda it, rows: (row for row in rows)),
    "list[TypedDict]": Form(lambda it: list[Keys], list, lambda it, rows: tuple(rows)),
    "list[dataclass]": Form(
        lambda it: list[Flight], lambda it: [asdict(row) for row in it], lambda it, rows: [Flight(**r) for r in rows]
    ),
    "Iterable[dataclass]": Form(
        lambda it: Iterable[Flight],
        lambda it: [asdict(row) for row in it],
        lambda it, rows: (Flight(**row) for row in rows),
    ),
    "Sequence[NamedTuple]": Form(
        lambda it: Sequence[Pair], lambda it: [row._asdict() for row in it], lambda it, rows: [Pair(**r) for r in rows]
    ),
    "list[Struct]": Form(
        lambda it: list[Struct],
        lambda it: [msgspec.structs.asdict(row) for row in it],
        lambda it, rows: [Struct(**row) for row in rows],
    ),
    "Any": Form(lambda it: Any, lambda it: it.to_pylist(), lambda it, rows: rows),
    "Optional": Form(lambda it: Optional[it.Table], lambda it: it.to_pylist(), lambda it, rows: rows),  # noqa: UP045
}


@pytest.mark.parametrize("out", FORMS)
@pytest.mark.parametrize("into", FORMS)
def test_rows_survive_the_way_into_a_function_and_out_again(into: str, out: str, run: Run) -> None:
    given, made = FORMS[into], FORMS[out]
    packages = [pytest.importorskip(form.package, reason=f"{form.package} isn't installed") for form in (given, made)]

    def work(rows: Any) -> Any:
        return made.write(packages[1], given.read(rows))

    work.__annotations__ = {"rows": given.annotation(packages[0])}
    assert run(work, FLIGHTS) == FLIGHTS


def test_rows_without_an_annotation_are_an_arrow_table(run: Run) -> None:
    def work(rows):  # type: ignore[no-untyped-def]
        return type(rows).__name__

    assert run(work, FLIGHTS) == [{"value": "Table"}]


def test_a_relation_may_be_evaluated_more_than_once(run: Run) -> None:
    def work(rows: Any) -> list[dict[str, int]]:
        return [{"first": len(rows.fetchall()), "again": len(rows.filter("delay > 1").fetchall())}]

    work.__annotations__["rows"] = import_module("duckdb").DuckDBPyRelation
    assert run(work, FLIGHTS) == [{"first": 2, "again": 1}]


@pytest.mark.parametrize(
    ("annotation", "form"),
    [
        ("pa.Table", "pa.Table"),
        ("pyarrow.RecordBatchReader", "pa.RecordBatchReader"),
        ("RecordBatchReader", "pa.RecordBatchReader"),
        ("pl.DataFrame", "pl.DataFrame"),
        ("pl.LazyFrame | None", "pl.LazyFrame"),
        ("Optional[pd.DataFrame]", "pd.DataFrame"),
        ("duckdb.DuckDBPyRelation", "duckdb.DuckDBPyRelation"),
        ("list[dict[str, Any]]", "list[dict[str, Any]]"),
        ("typing.Iterable[Mapping[str, int]]", "typing.Iterable[Mapping[str, int]]"),
        ("DataFrame", None),
        ("spark.DataFrame", None),
        ("list[Flight]", None),
        (str, None),
        (int, None),
        (list[int], None),
        (dict, None),
        (pa.Array, None),
    ],
)
def test_an_annotation_that_stayed_text_is_compared_by_name(annotation: Any, form: str | None) -> None:
    found = form_of(annotation)
    assert (found.name if found else None) == form


def test_a_missing_column_of_a_dataclass_is_named_before_the_first_row(run: Run) -> None:
    def work(rows: Iterable[Flight]) -> None: ...

    with pytest.raises(TaskError, match="`Flight` needs the column `delay`, which the rows don't have") as caught:
        run(work, [{"carrier": "AA", "miles": 3}])
    assert (caught.value.kind, caught.value.help) == ("WrongRows", "their columns are carrier, miles")


def test_an_input_without_rows_and_columns_is_no_rows_of_a_dataclass(run: Run) -> None:
    def work(rows: list[Flight]) -> int:
        return len(rows)

    assert run(work, []) == [{"value": 0}]


def test_other_columns_and_defaults_of_a_dataclass_do_no_harm(run: Run) -> None:
    @dataclass
    class Short:
        carrier: str
        note: str = "-"

    def work(rows: Iterable[Any]) -> list[dict[str, Any]]:
        return [asdict(row) for row in rows]

    work.__annotations__["rows"] = list[Short]
    assert run(work, FLIGHTS) == [{"carrier": "AA", "note": "-"}, {"carrier": "UA", "note": "-"}]


@pytest.mark.parametrize(("package", "frame"), [("polars", "pl.DataFrame"), ("pandas", "pd.DataFrame")])
def test_a_frame_of_a_package_that_is_not_installed_says_what_to_install(
    package: str, frame: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(rows: Any) -> None: ...

    work.__annotations__["rows"] = frame
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TaskError, match=f"wanted as a {package} frame, but {package} can't be imported") as caught:
        run(work, FLIGHTS)
    assert (caught.value.retryable, caught.value.help) == (False, f"pip install 'wvflow[{package}]'")


def test_a_first_parameter_that_can_not_be_rows_is_a_wrong_argument(run: Run) -> None:
    def fetch(url: str) -> None: ...

    with pytest.raises(
        TaskError, match="first parameter of `fetch` is the rows, but `url` is annotated `str`"
    ) as caught:
        run(fetch, FLIGHTS)
    assert caught.value.kind == "WrongArgument"
    assert "`def fetch(*, url: str)`" in (caught.value.help or "")


@pytest.mark.parametrize("annotation", [Optional[pa.Table], "pa.Table | None"])  # noqa: UP045
def test_rows_that_may_be_none_are_none_in_a_call_without_rows(annotation: Any, run: Run) -> None:
    def work(rows: Any) -> str:
        return repr(rows)

    work.__annotations__["rows"] = annotation
    assert run(work) == [{"value": "None"}]


def test_rows_with_a_default_keep_it_in_a_call_without_rows(run: Run) -> None:
    def work(rows: Sequence[dict[str, int]] = ()) -> int:
        return len(rows)

    assert run(work) == [{"value": 0}]


def test_rows_that_nobody_pipes_in_are_asked_for(run: Run) -> None:
    def work(rows: pa.Table) -> None: ...

    with pytest.raises(TaskError, match="`work` takes rows, but is called without any"):
        run(work)


def test_rows_that_the_function_does_not_take_are_not_opened(call: Any, stop: Any) -> None:
    from wvflow.activities.registry import Registry

    def work() -> int:
        return 1

    def opened() -> Any:
        raise AssertionError("opened")

    assert Registry.of(work).run(call("work", rows=opened), stop).read_all().to_pylist() == [{"value": 1}]


def test_an_asynchronous_generator_is_read_to_its_end(run: Run) -> None:
    async def work(rows: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        for row in rows:
            yield row

    assert run(work, FLIGHTS) == FLIGHTS
