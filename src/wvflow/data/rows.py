"""How rows are kept: inline when they are few and plain, else as Parquet; and how they are read again.

Both forms give the same column types. ``STORED_AS`` lists those that Parquet or Arrow can't hold as they are: a sum of
integers (HUGEINT) is kept as BIGINT, and one beyond that range fails rather than turning into an inexact double.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from wvflow.data.failures import unbroken
from wvflow.errors import OutputMissing

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# Source: execution, section 4.
INLINE_ROWS = 100
INLINE_BYTES = 16 * 1024
# Rows of a batch; a multiple of DuckDB's vectors.
BATCH_ROWS = 16 * 2048

STORED_AS = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT", "BIT": "VARCHAR", "TIME WITH TIME ZONE": "VARCHAR"}


def recast(select: str, names: Sequence[str], types: Sequence[object], casts: dict[str, str]) -> str:
    """A SELECT with some types cast and its column names made to differ; as it is when there is nothing to do."""
    targets = [_target(str(kind), casts) for kind in types]
    own = [quoted(name) for name in unique(names)]
    if not any(targets) and own == [quoted(name) for name in names]:
        return select
    items = [
        f"CAST({name} AS {target}) AS {name}" if target else name for name, target in zip(own, targets, strict=True)
    ]
    return f"SELECT {', '.join(items)} FROM ({select}) AS _wvflow_rows({', '.join(own)})"


def _target(kind: str, casts: dict[str, str]) -> str | None:
    return "VARCHAR" if kind.startswith("ENUM(") else casts.get(kind)


def unique(names: Sequence[str]) -> list[str]:
    """Column names made to differ as DuckDB does when it makes a table: the second ``a`` is ``a_1``.

    >>> unique(["a", "A", "a_1", "b"])
    ['a', 'A_1', 'a_1_1', 'b']
    """
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 0
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate.lower())
        result.append(candidate)
    return result


def quoted(name: str) -> str:
    """A name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class LookAhead:
    """The beginning of a stream of batches, and the rest.

    ``inline``: the whole stream, when it ended soon enough and is plain enough to be kept inline. Otherwise ``batches``
    gives all of it, once.
    """

    def __init__(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        self.schema = schema
        self._rest = iter(batches)
        self._seen: list[pa.RecordBatch] = []
        self.ended = False
        self._look()

    def _look(self) -> None:
        while not self.ended and self.rows <= INLINE_ROWS:
            batch = next(self._rest, None)
            if batch is None:
                self.ended = True
            elif batch.num_rows:
                self._seen.append(batch)

    @property
    def rows(self) -> int:
        """Rows seen so far."""
        return sum(batch.num_rows for batch in self._seen)

    def inline(self) -> bytes | None:
        if not self.ended or self.rows > INLINE_ROWS or not _plain(self.schema):
            return None
        if sum(batch.nbytes for batch in self._seen) > INLINE_BYTES:
            return None
        data = to_ipc(self.schema, self._seen)
        return data if len(data) <= INLINE_BYTES else None

    def batches(self) -> Iterator[pa.RecordBatch]:
        return chain(self._seen, self._rest)


def ahead_of(relation: duckdb.DuckDBPyRelation) -> LookAhead:
    """Begin to run a SELECT. Its rows raise StreamBroken."""
    reader = relation.to_arrow_reader(BATCH_ROWS)
    return LookAhead(reader.schema, unbroken(reader))


def renamed(rows: pa.RecordBatchReader) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and batches with column names that differ."""
    import pyarrow as pa

    names = unique(rows.schema.names)
    if names == rows.schema.names:
        return rows.schema, iter(rows)
    fields = [field.with_name(name) for field, name in zip(rows.schema, names, strict=True)]
    schema = pa.schema(fields, metadata=rows.schema.metadata)
    return schema, (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in rows)


def has_extensions(schema: pa.Schema) -> bool:
    import pyarrow as pa

    return any(isinstance(field.type, pa.BaseExtensionType) for field in schema)


def _plain(schema: pa.Schema) -> bool:
    import pyarrow as pa

    return not any(pa.types.is_nested(field.type) for field in schema)


def to_ipc(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
    """Rows as an Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def from_ipc(data: bytes) -> Any:
    """An inline output as an Arrow table. Raises OutputMissing when it isn't one."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(data).read_all()
    except pa.ArrowInvalid:
        raise OutputMissing(
            "the kept rows are damaged", help="finished stages stay as they are: start a new run"
        ) from None
