"""PostgreSQL's types as Arrow's: what is read is kept as what it was.

Results come in PostgreSQL's binary form. Dates and times are read as the numbers that they are there, so that every one
of them comes through, ``infinity`` too. Types that Arrow has no like of are read as text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

MOST_DIGITS = 38
_DAYS = 10_957
"""From 1970 to 2000, where PostgreSQL's time begins."""
_MICROS = _DAYS * 86_400_000_000
_ENDLESS = {32: (1 << 31) - 1, 64: (1 << 63) - 1}
"""The last number stands for ``infinity`` in DuckDB too, the first one's neighbour for ``-infinity``."""

# By PostgreSQL's name: DuckDB's name, and the name of Arrow's type.
_KINDS = {
    "bool": ("BOOLEAN", "bool"),
    "int2": ("SMALLINT", "int16"),
    "int4": ("INTEGER", "int32"),
    "int8": ("BIGINT", "int64"),
    "oid": ("BIGINT", "int64"),
    "float4": ("FLOAT", "float"),
    "float8": ("DOUBLE", "double"),
    "text": ("VARCHAR", "string"),
    "varchar": ("VARCHAR", "string"),
    "bpchar": ("VARCHAR", "string"),
    "name": ("VARCHAR", "string"),
    "bytea": ("BLOB", "binary"),
    "date": ("DATE", "date32"),
    "time": ("TIME", "time64[us]"),
    "timestamp": ("TIMESTAMP", "timestamp[us]"),
    "timestamptz": ("TIMESTAMP WITH TIME ZONE", "timestamp with zone"),
    "interval": ("INTERVAL", "month_day_nano_interval"),
    "json": ("JSON", "json"),
    "jsonb": ("JSON", "json"),
    "uuid": ("UUID", "uuid"),
}
_NUMERIC = "numeric"


class Column(NamedTuple):
    """A column of a result. ``type``: PostgreSQL's name for it, or for what the array holds. ``digits``: precision and
    scale of a ``numeric``, None where it has none."""

    name: str
    type: str
    is_array: bool = False
    digits: tuple[int, int] | None = None

    @property
    def as_text(self) -> bool:
        """Whether it must be read as text."""
        return self.type not in _KINDS and self.type != _NUMERIC

    @property
    def is_open(self) -> bool:
        """Whether only its rows tell how many digits it needs."""
        return self.type == _NUMERIC and self.digits is None

    @property
    def duckdb(self) -> str:
        """The type as DuckDB names it."""
        kind = "DECIMAL" if self.type == _NUMERIC else _KINDS.get(self.type, ("VARCHAR",))[0]
        return f"{kind}[]" if self.is_array and not self.as_text else kind

    def arrow(self) -> pa.DataType:
        import pyarrow as pa

        if self.type == _NUMERIC:
            kind = pa.decimal128(*(self.digits or (MOST_DIGITS, 0)))
        else:
            kind = _arrow(_KINDS.get(self.type, ("", "string"))[1])
        return pa.list_(kind) if self.is_array and not self.as_text else kind


def _arrow(name: str) -> pa.DataType:
    import pyarrow as pa

    match name:
        case "timestamp with zone":
            return pa.timestamp("us", tz="UTC")
        case "json":
            return pa.json_(pa.utf8())
        case "uuid":
            return pa.uuid()
        case "month_day_nano_interval":
            return pa.month_day_nano_interval()
        case _:
            return pa.type_for_alias(name)


def columns_of(described: Sequence[psycopg.Column]) -> list[Column]:
    """The columns of a result."""
    from psycopg import postgres

    result = []
    for one in described:
        info = postgres.types.get(one.type_code)
        is_array = info is not None and info.oid != one.type_code
        result.append(Column(one.name, info.name if info else "", is_array, _digits(one.precision, one.scale)))
    return result


def _digits(precision: int | None, scale: int | None) -> tuple[int, int] | None:
    if precision is None or scale is None or not 0 <= scale <= precision <= MOST_DIGITS:
        return None
    return precision, scale


def batch(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """Rows as the loaders give them. Raises Arrow's errors where a value doesn't fit."""
    import pyarrow as pa

    values = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [_array(list(column), field.type) for column, field in zip(values, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Arrow can't make lists of an extension's values, but of what these are stored as."""
    import pyarrow as pa

    if not pa.types.is_list(kind) or not isinstance(kind.value_type, pa.BaseExtensionType):
        return pa.array(values, kind)
    stored = pa.array(values, pa.list_(kind.value_type.storage_type))
    inside = pa.ExtensionArray.from_storage(kind.value_type, stored.values)
    return pa.ListArray.from_arrays(stored.offsets, inside, mask=stored.is_null() if stored.null_count else None)


# --- from PostgreSQL's binary form ---


def register(connection: psycopg.Connection[Any]) -> None:
    """Have results of a connection read as ``batch`` wants them."""
    for name, loader in _loaders().items():
        connection.adapters.register_loader(name, loader)


@cache
def _loaders() -> dict[str, Any]:
    from psycopg.adapt import Loader
    from psycopg.pq import Format

    def loading(load_one: Callable[[bytes], Any]) -> type[Loader]:
        class Loading(Loader):
            format = Format.BINARY

            def load(self, data: Any) -> Any:
                return load_one(bytes(data))

        return Loading

    return {
        "date": loading(lambda data: _since_1970(data, 32, _DAYS)),
        "time": loading(lambda data: int.from_bytes(data, "big")),
        "timestamp": loading(lambda data: _since_1970(data, 64, _MICROS)),
        "timestamptz": loading(lambda data: _since_1970(data, 64, _MICROS)),
        "interval": loading(_interval),
        "json": loading(bytes.decode),
        "jsonb": loading(lambda data: data[1:].decode()),
        "uuid": loading(bytes),
    }


def _since_1970(data: bytes, bits: int, shift: int) -> int:
    """
    >>> _since_1970((0).to_bytes(4, "big"), 32, _DAYS)
    10957
    """
    number, last = int.from_bytes(data, "big", signed=True), _ENDLESS[bits]
    if number in (last, -last - 1):
        return last if number > 0 else -last
    return number + shift


def _interval(data: bytes) -> pa.MonthDayNano:
    import pyarrow as pa

    micros, days, months = (int.from_bytes(part, "big", signed=True) for part in (data[:8], data[8:12], data[12:]))
    return pa.MonthDayNano([months, days, micros * 1_000])
