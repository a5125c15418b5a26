"""Rows coming out: whatever form a function returns, as one stream of Arrow batches.

A generator is pulled for its first batch at once, which gives the columns, and for the rest while the stream is read:
its memory stays bounded. A list is taken whole, so that all its rows have a say in the columns' types.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from itertools import chain, islice
from numbers import Number
from typing import TYPE_CHECKING, Any
from uuid import UUID

from wvflow.activities.annotations import spelled, without_none
from wvflow.activities.records import Columns, columns_of, is_record, row_of
from wvflow.errors import TaskError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 10_000
VALUE = "value"
SCALARS = (str, bytes, Number, date, time, timedelta, UUID)
ACCEPTED = (
    "return a pa.Table, pa.RecordBatchReader, pl.DataFrame, pl.LazyFrame, pd.DataFrame, DuckDB relation, a list or "
    "generator of dicts, dataclasses or such frames, one plain value, or None"
)
ONE_TYPE = "give the column values of one type in every row, None where it has no value"
ONE_SCHEMA = "give every part the same columns, of the same types"
_NONE = Columns((), {}, {})


def wrong_result(message: str, help: str = ACCEPTED) -> TaskError:
    return TaskError("WrongResult", message, retryable=False, help=help)


def read_result(result: object, declared: Any = None) -> pa.RecordBatchReader | None:
    """A function's result as a stream of batches, None for None.

    Args:
        declared: the annotation of the result; a record class in it declares the columns.

    Raises:
        TaskError: ``WrongResult``, the result is none of the accepted forms. Reading the stream raises the same, and
            what the function's generator raises.
    """
    if result is None:
        return None
    if isinstance(result, SCALARS):
        if _declares_rows(declared):
            raise wrong_result(
                f"the activity returned {_described(result)} and is declared to return {spelled(declared)}"
            )
        return _scalar(result)
    frame = _arrow_ready(result)
    if hasattr(frame, "__arrow_c_stream__"):
        return _checked(_stream(frame))
    if refusal := _refusal(result):
        raise refusal
    if isinstance(result, Iterable):
        first, items = _peeked(result)
        return (
            _from_frames(items) if hasattr(_arrow_ready(first), "__arrow_c_stream__") else _from_items(items, declared)
        )
    raise wrong_result(f"the activity returned {_described(result)}, which holds no rows")


def _declares_rows(declared: Any) -> bool:
    """Whether an annotation is of a frame or of a list."""
    kind = without_none(declared)[0]
    kind = typing.get_origin(kind) or kind
    return isinstance(kind, type) and (hasattr(kind, "__arrow_c_stream__") or issubclass(kind, list))


def item_class(declared: Any) -> type | None:
    """The record class of the rows in a result's annotation: ``list[Flight]`` gives ``Flight``."""
    args = typing.get_args(without_none(declared)[0])
    return args[0] if args and is_record(args[0]) else None


def _described(value: object) -> str:
    name = type(value).__qualname__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} `{name}`"


def _refusal(result: object) -> TaskError | None:
    if isinstance(result, Mapping) or is_record(type(result)):
        return wrong_result(f"the activity returned {_described(result)} by itself", "for one row, return it in a list")
    if isinstance(result, (set, frozenset)):
        return wrong_result(f"the activity returned {_described(result)}, whose order is left to chance")
    return None


def _scalar(value: object) -> pa.RecordBatchReader:
    import pyarrow as pa

    try:
        column = pa.array([str(value) if isinstance(value, UUID) else value])
    except (pa.ArrowException, OverflowError) as error:
        raise wrong_result(f"the activity returned {value!r}, which fits no column: {error}") from None
    return pa.table({VALUE: column}).to_reader()


def _arrow_ready(result: object) -> object:
    """Frames whose way to Arrow isn't the common one: a lazy frame is collected, an index is no column."""
    match (type(result).__module__.partition(".")[0], type(result).__name__):
        case ("polars", "LazyFrame"):
            return result.collect()  # type: ignore[attr-defined]  # it is a polars frame, by name
        case ("pandas", "DataFrame"):
            return _from_pandas(result)
    return result


def _from_pandas(frame: Any) -> object:
    import pyarrow as pa

    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except pa.ArrowException as error:
        raise wrong_result(f"the returned frame has a column that fits no type: {_one_line(error)}") from None


def _stream(frame: Any) -> pa.RecordBatchReader:
    import pyarrow as pa

    if isinstance(frame, pa.RecordBatchReader):
        return frame
    if isinstance(frame, pa.Table):
        return frame.to_reader()
    try:
        return pa.RecordBatchReader.from_stream(frame)
    except pa.ArrowException as error:
        raise wrong_result(
            f"the activity returned {_described(frame)}, which is no table: {_one_line(error)}"
        ) from None


def _checked(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    if not rows.schema.names:
        raise wrong_result("the returned table has no columns", "declare its columns; a table may have no rows")
    return rows


def _peeked(items: Iterable[Any]) -> tuple[Any, Iterable[Any]]:
    """The first of some items, None when there is none, and all of them."""
    if isinstance(items, (list, tuple)):
        return next(iter(items), None), items
    rest = iter(items)
    head = list(islice(rest, 1))
    return next(iter(head), None), chain(head, rest)


def _from_frames(frames: Iterable[Any]) -> pa.RecordBatchReader:
    """One stream of several frames, one after the other, all with the columns of the first."""
    import pyarrow as pa

    readers = (_checked(_stream(_frame(item, at))) for at, item in enumerate(frames, 1))
    head = next(readers)

    def batches() -> Iterator[pa.RecordBatch]:
        for at, reader in enumerate(chain([head], readers), 1):
            if reader.schema != head.schema:
                raise wrong_result(f"part {at} of the result has other columns than part 1", ONE_SCHEMA)
            yield from reader

    return pa.RecordBatchReader.from_batches(head.schema, batches())


def _frame(item: object, at: int) -> object:
    frame = _arrow_ready(item)
    if not hasattr(frame, "__arrow_c_stream__"):
        raise wrong_result(f"part {at} of the result is {_described(item)}, and part 1 is a frame", ONE_SCHEMA)
    return frame


def _from_items(items: Iterable[Any], declared: Any) -> pa.RecordBatchReader:
    import pyarrow as pa

    kind = item_class(declared)
    chunks = _chunks(items)
    first = next(chunks, [])
    kind = kind or (type(first[0]) if first and is_record(type(first[0])) else None)
    columns = columns_of(kind) if kind else _NONE
    names = _names(first, columns)
    head = _batch(first, 0, names, lambda name, values: _first_array(name, values, columns))
    schema = head.schema

    def rest() -> Iterator[pa.RecordBatch]:
        at = len(first)
        for chunk in chunks:
            yield _batch(chunk, at, names, lambda name, values: _array(name, values, schema.field(name).type))
            at += len(chunk)

    return pa.RecordBatchReader.from_batches(schema, chain([head], rest()))


def _chunks(items: Iterable[Any]) -> Iterator[Sequence[Any]]:
    if isinstance(items, (list, tuple)):
        return iter([items] if items else [])
    source = iter(items)
    return iter(lambda: list(islice(source, BATCH_ROWS)), [])


def _names(first: Sequence[Any], columns: Columns) -> tuple[str, ...]:
    if columns.names:
        return columns.names
    if not first:
        raise wrong_result(
            "the activity returned no rows, so their columns are unknown",
            "declare them by annotating the result, as in `-> list[Flight]` with a dataclass; or return a table",
        )
    names = tuple(_row(first[0], 0))
    if not names or not all(isinstance(name, str) for name in names):
        raise wrong_result("row 1 of the result has no names of columns", "the keys of a row are texts")
    return names


def _row(item: Any, at: int) -> Mapping[str, object]:
    if isinstance(item, Mapping):
        return item
    if is_record(type(item)):
        return row_of(item)
    raise wrong_result(
        f"row {at + 1} of the result is {_described(item)}",
        "each row is a dict or a dataclass; for one column of plain values, return [{'value': it}, …]",
    )


def _batch(
    items: Sequence[Any], start: int, names: tuple[str, ...], build: Callable[[str, list[object]], pa.Array]
) -> pa.RecordBatch:
    import pyarrow as pa

    columns: dict[str, list[object]] = {name: [] for name in names}
    for at, item in enumerate(items, start):
        row = _row(item, at)
        if row.keys() != columns.keys():
            raise _ragged(at, row, names)
        for name, values in columns.items():
            values.append(row[name])
    return pa.record_batch([build(name, values) for name, values in columns.items()], names=list(names))


def _ragged(at: int, row: Mapping[str, object], names: tuple[str, ...]) -> TaskError:
    lacking = [name for name in names if name not in row]
    other = [name for name in row if name not in names]
    said = f"lacks the column `{lacking[0]}`" if lacking else f"has a column `{other[0]}` that row 1 lacks"
    return wrong_result(
        f"row {at + 1} of the result {said}", "give every row the same columns, None where it has no value"
    )


def _first_array(name: str, values: list[object], columns: Columns) -> pa.Array:
    import pyarrow as pa

    array = _array(name, values, columns.exact.get(name))
    if pa.types.is_null(array.type) and name in columns.usual:
        return array.cast(columns.usual[name])
    if pa.types.is_decimal(array.type) and len(values) == BATCH_ROWS:
        # More may come, and have more digits than these.
        return array.cast(pa.decimal128(38, array.type.scale))
    return array


def _array(name: str, values: list[object], wanted: pa.DataType | None) -> pa.Array:
    import pyarrow as pa

    try:
        array = pa.array(values)
        return _cast(array, wanted) if wanted is not None and array.type != wanted else array
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise _misfit(name, wanted, error) from None


def _cast(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Cast where no value changes. Not by ``pa.array(values, type=…)``, which cuts 1.5 down to an int's 1."""
    import pyarrow as pa

    kinds = (pa.types.is_list, pa.types.is_struct, _is_number, _is_instant)
    if pa.types.is_null(array.type) or any(kind(array.type) and kind(wanted) for kind in kinds):
        return array.cast(wanted)
    raise TypeError(f"{array.type} is not {wanted}")


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_instant(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_timestamp(kind) and kind.tz is not None


def _misfit(name: str, wanted: pa.DataType | None, error: Exception) -> TaskError:
    import pyarrow as pa

    if wanted is None:
        return wrong_result(f"column `{name}` of the result has values of no common type: {_one_line(error)}", ONE_TYPE)
    if pa.types.is_null(wanted):
        return wrong_result(
            f"column `{name}` was empty in the first {BATCH_ROWS:,} rows of the result and has values later",
            "declare its type by annotating the result, as in `-> Iterator[Flight]` with a dataclass",
        )
    return wrong_result(
        f"column `{name}` of the result is {wanted}, but has another value: {_one_line(error)}", ONE_TYPE
    )


def _one_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
