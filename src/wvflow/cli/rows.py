"""Rows for people and programs: a table, CSV, JSON lines, Parquet. All but the table stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.types as kinds

from wvflow.cli.format import plural, printable
from wvflow.lang.cells import interval
from wvflow.lang.values import told

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 40
WIDEST = 60
_NUMERIC = (kinds.is_integer, kinds.is_floating, kinds.is_decimal)


def as_table(rows: pa.RecordBatchReader, limit: int = SHOWN) -> tuple[Table, str]:
    """The first ``limit`` rows, and a line that says how many there are."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for field in rows.schema:
        numeric = any(test(field.type) for test in _NUMERIC)
        table.add_column(printable(field.name), justify="right" if numeric else "left", no_wrap=True)
    total = 0
    for batch in rows:
        for row in batch.slice(0, max(limit - total, 0)).to_pylist():
            table.add_row(*(_cell(value) for value in row.values()))
        total += batch.num_rows
    return table, plural(total, "row") + (f", the first {limit:,} shown" if total > limit else "")


def _cell(value: Any) -> str:
    match value:
        case None:
            return "null"
        case float():
            return f"{value:.6g}" if abs(value) < 1e15 else repr(value)
        case str():
            text = value
        case _:
            text = _as_text(value)
    text = printable(text.replace("\n", "␊").replace("\t", "␉"))
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def write_csv(rows: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    """Comma-separated values with a header; nested values as JSON."""
    from pyarrow import csv

    schema = pa.schema([pa.field(field.name, _flat(field.type)) for field in rows.schema])
    with csv.CSVWriter(sink, schema) as writer:
        for batch in rows:
            columns = [_flattened(column) for column in batch.columns]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _flat(kind: pa.DataType) -> pa.DataType:
    return pa.string() if kinds.is_nested(kind) or kinds.is_interval(kind) or kinds.is_duration(kind) else kind


def _flattened(column: pa.Array) -> pa.Array:
    if _flat(column.type) == column.type:
        return column
    texts = [None if value is None else _as_text(value) for value in column.to_pylist()]
    return pa.array(texts, pa.string())


def _as_text(value: Any) -> str:
    """Texts as they are, everything else as JSON."""
    json = _plain(value)
    return json if isinstance(json, str) else msgspec.json.encode(json).decode()


def write_json(rows: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    """One JSON object a line."""
    for batch in rows:
        for row in batch.to_pylist():
            sink.write(_json(row) + b"\n")


def _json(value: Any) -> bytes:
    return msgspec.json.encode(_plain(value))


def _plain(value: Any) -> object:
    """A value as JSON. Intervals, which may have months, are as the engine writes them."""
    match value:
        case pa.MonthDayNano():
            return interval(value.months, value.days, value.nanoseconds // 1_000)
        case list():
            return [_plain(one) for one in value]
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case _:
            return told(value)


def write_parquet(rows: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    from pyarrow import parquet

    with parquet.ParquetWriter(sink, rows.schema, compression="zstd") as writer:
        for batch in _not_empty(rows):
            writer.write_batch(batch)


def _not_empty(rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    return (batch for batch in rows if batch.num_rows)


WRITERS: dict[str, Callable[[pa.RecordBatchReader, IO[bytes]], None]] = {
    "csv": write_csv,
    "json": write_json,
    "parquet": write_parquet,
}
