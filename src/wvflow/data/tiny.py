"""Few rows of plain types in and out of DuckDB as SQL text and Python values.

Arrow's own way in and out is exact for everything, and costs a view and two more statements, which is most of what a
task costs that computes next to nothing. What isn't plain, or is beyond Python's types, goes that way: here, None.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from wvflow.data.rows import from_ipc, quoted

if TYPE_CHECKING:
    import pyarrow as pa

# Values that are worth a text; more of them are read faster as Arrow.
MOST_VALUES = 100
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- a timestamp without zone
_EPOCH_DAY = _EPOCH.toordinal()
_NUMBERS = {
    "TINYINT": ("int8", "b"),
    "SMALLINT": ("int16", "h"),
    "INTEGER": ("int32", "i"),
    "BIGINT": ("int64", "q"),
    "HUGEINT": ("int64", "q"),
    "UTINYINT": ("uint8", "B"),
    "USMALLINT": ("uint16", "H"),
    "UINTEGER": ("uint32", "I"),
    "UBIGINT": ("uint64", "Q"),
    "FLOAT": ("float32", "f"),
    "DOUBLE": ("float64", "d"),
}
_ARROW = {"int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT", "uint8": "UTINYINT"}
_ARROW |= {"uint16": "USMALLINT", "uint32": "UINTEGER", "uint64": "UBIGINT", "float": "FLOAT", "double": "DOUBLE"}
_ARROW |= {
    "extension<arrow.bool8>": "BOOLEAN",
    "string": "VARCHAR",
    "date32[day]": "DATE",
    "timestamp[us]": "TIMESTAMP",
}


# --- in ---


class Decoded(NamedTuple):
    """An inline output; ``text`` gives its rows too, where that is the shorter way."""

    table: pa.Table
    text: str | None


def decoded(data: bytes) -> Decoded:
    """Raises OutputMissing when it isn't one."""
    table = from_ipc(data)
    return Decoded(table, as_text(table))


def as_text(rows: pa.Table) -> str | None:
    """What a common table expression of these rows is written like behind its name, None when they are too many or not
    plain.

    >>> import pyarrow
    >>> as_text(pyarrow.table({"n": [1, None]}))
    '("n") AS (VALUES (CAST(1 AS BIGINT)), (CAST(NULL AS BIGINT)))'
    """
    types = [_ARROW.get(str(field.type)) or _decimal(str(field.type)) for field in rows.schema]
    if rows.num_rows * rows.num_columns > MOST_VALUES or not types or None in types:
        return None
    try:
        columns = [
            [f"CAST({_text(value)} AS {kind})" for value in column.to_pylist()]
            for kind, column in zip(types, rows.columns, strict=True)
        ]
    except (ValueError, OverflowError):
        return None
    values = ", ".join(f"({', '.join(row)})" for row in zip(*columns, strict=True))
    none = ", ".join(f"CAST(NULL AS {kind})" for kind in types)
    names = ", ".join(map(quoted, rows.schema.names))
    return f"({names}) AS (VALUES {values})" if values else f"({names}) AS (SELECT {none} WHERE false)"


def _decimal(arrow: str) -> str | None:
    """
    >>> _decimal("decimal128(3, 2)"), _decimal("list<item: int64>")
    ('DECIMAL(3, 2)', None)
    """
    return f"DECIMAL({arrow[11:-1]})" if arrow.startswith("decimal128(") else None


def _text(value: object) -> str:
    """
    >>> _text(None), _text(-1), _text("it's"), _text(float("nan")), _text(Decimal("1E+2")), _text(date(2024, 2, 29))
    ('NULL', '-1', "'it''s'", "'nan'", "'100'", "'2024-02-29'")
    """
    match value:
        case None:
            return "NULL"
        case int():
            return str(value)
        case str() if "\0" in value:
            raise ValueError("no text of SQL holds it")
        case Decimal():
            written = format(value, "f")
        case _:
            written = str(value)
    return "'" + written.replace("'", "''") + "'"


# --- out ---


def as_arrow(names: Sequence[str], kinds: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch | None:
    """Rows of DuckDB's as the batch that its own way out would give, None when a column isn't plain.

    Not ``pyarrow.array``: that imports pandas where it is installed.
    """
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    try:
        arrays = [_array(kind, values) for kind, values in zip(kinds, columns, strict=True)]
    except (OverflowError, TypeError, AttributeError, ValueError):
        return None
    if not arrays or None in arrays:
        return None
    return pa.RecordBatch.from_arrays(arrays, names=list(names))


def _array(kind: str, values: Sequence[Any]) -> pa.Array | None:
    import pyarrow as pa

    if kind in _NUMBERS:
        name, code = _NUMBERS[kind]
        return _of_buffers(
            getattr(pa, name)(), values, array(code, [0 if value is None else value for value in values]).tobytes()
        )
    if kind == "BOOLEAN":
        stored = _of_buffers(pa.int8(), values, bytes(map(bool, values)))
        return pa.ExtensionArray.from_storage(pa.bool8(), stored)
    if kind == "VARCHAR":
        texts = [(value or "").encode() for value in values]
        ends = array("i", accumulate(map(len, texts), initial=0)).tobytes()
        return _of_buffers(pa.string(), values, ends, b"".join(texts))
    if kind == "DATE":
        return _of_buffers(pa.date32(), values, array("i", [_days(value) for value in values]).tobytes())
    if kind == "TIMESTAMP":
        return _of_buffers(pa.timestamp("us"), values, array("q", [_micros(value) for value in values]).tobytes())
    if kind.startswith("DECIMAL("):
        precision, scale = map(int, kind[8:-1].split(","))
        whole = b"".join(_unscaled(value or Decimal(), scale).to_bytes(16, "little", signed=True) for value in values)
        return _of_buffers(pa.decimal128(precision, scale), values, whole)
    return None


def _of_buffers(kind: pa.DataType, values: Sequence[Any], *data: bytes) -> pa.Array:
    import pyarrow as pa

    present = sum(1 << n for n, value in enumerate(values) if value is not None)
    validity = pa.py_buffer(present.to_bytes(len(values) // 8 + 1, "little")) if None in values else None
    return pa.Array.from_buffers(kind, len(values), [validity, *map(pa.py_buffer, data)])


def _days(value: date | None) -> int:
    return 0 if value is None else _finite(value).toordinal() - _EPOCH_DAY


def _micros(value: datetime | None) -> int:
    return 0 if value is None else (_finite(value) - _EPOCH) // timedelta(microseconds=1)


def _unscaled(value: Decimal, scale: int) -> int:
    """
    >>> _unscaled(Decimal("-1.50"), 2), _unscaled(Decimal("7"), 3)
    (-150, 7000)
    """
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or exponent < -scale:
        raise ValueError("not of that scale")
    whole: int = int("".join(map(str, digits))) * 10 ** (scale + exponent)
    return -whole if sign else whole


def _finite(value: Any) -> Any:
    """Python has no infinite date: DuckDB gives its first and last year. Raises ValueError."""
    if value.year in (1, 9999):
        raise ValueError("perhaps infinite")
    return value
