"""Rows in pieces: one row of an output for each instance of a mapped stage, and what the instances put out as one
output again.

Rows that are to be handed out are kept with their places in front of them, so that a part of a file is found without
reading the rest. Whoever takes one row after the other reads the file once: a piece of it stays at hand.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from wvflow.data.connection import Connection
from wvflow.data.reading import existing
from wvflow.data.rows import BATCH_ROWS, from_ipc, quoted, to_ipc
from wvflow.data.session import Session
from wvflow.errors import OutputMissing, TaskError
from wvflow.ports.engine import FileRows, InlineRows, Located

if TYPE_CHECKING:
    import pyarrow as pa

Parts: TypeAlias = Callable[[], Iterator[Located]]
_PLACE = "_wvflow_place"
_AT_HAND = 8


def with_places(select: str) -> str:
    """The SELECT with each row's place, from 0, in the order in which they come."""
    return f"SELECT *, row_number() OVER () - 1 AS {quoted(_PLACE)} FROM ({select}\n) AS _wvflow_rows"


class Places:
    """Single rows of outputs that were kept with their places. Used by many threads at once."""

    def __init__(self, state: Path, connection: Connection) -> None:
        self._state = state
        self._connection = connection
        self._at_hand: OrderedDict[tuple[str, int], pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def row(self, rows: Located, place: int, ahead: int) -> bytes:
        """As ``Engine.row``."""
        match rows:
            case InlineRows(data=data):
                piece, at = from_ipc(data).sort_by(_PLACE), place
            case FileRows(path=path):
                number, at = divmod(place, ahead)
                piece = self._piece(path, number, ahead)
        if at >= piece.num_rows:
            raise OutputMissing(f"the kept rows have no row {place}")
        one = piece.slice(at, 1).drop_columns([_PLACE])
        return to_ipc(one.schema, one.to_batches())

    def _piece(self, path: str, number: int, size: int) -> pa.Table:
        with self._lock:
            if (found := self._at_hand.get((path, number))) is None:
                found = self._at_hand[path, number] = self._read(path, number * size, size)
            self._at_hand.move_to_end((path, number))
            while len(self._at_hand) > _AT_HAND:
                self._at_hand.popitem(last=False)
        return found

    def _read(self, path: str, first: int, count: int) -> pa.Table:
        file, place = existing(self._state, path), quoted(_PLACE)
        wanted = f"{place} >= {first} AND {place} < {first + count}"
        select = f"SELECT * FROM read_parquet({file}) WHERE {wanted} ORDER BY {place}"
        return self._connection.cursor().sql(select).to_arrow_table()


# --- one output again -----------------------------------------------------------------------------------------------


def united(session: Session, state: Path, parts: Parts) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The rows of several outputs, one behind the other: columns by name, null where an output has no such column.

    Raises:
        TaskError: ``InstancesDiffer``, there is no type for all that stands in a column.
    """
    schema = _common(_schema(session, state, part) for part in parts())
    return schema, (_fitted(batch, schema) for part in parts() for batch in _batches(session, state, part))


def _schema(session: Session, state: Path, part: Located) -> pa.Schema:
    import pyarrow as pa

    if isinstance(part, InlineRows):
        return pa.ipc.open_stream(part.data).schema
    return session.cursor().sql(f"SELECT * FROM read_parquet({existing(state, part.path)}) LIMIT 0").arrow().schema


def _batches(session: Session, state: Path, part: Located) -> Iterator[pa.RecordBatch]:
    session.check()
    if isinstance(part, InlineRows):
        yield from from_ipc(part.data).to_batches()
    else:
        select = f"SELECT * FROM read_parquet({existing(state, part.path)})"
        yield from session.cursor().sql(select).to_arrow_reader(BATCH_ROWS)


def _common(schemas: Iterator[pa.Schema]) -> pa.Schema:
    import pyarrow as pa

    fields: dict[str, pa.Field] = {}
    seen: set[bytes] = set()
    for schema in schemas:
        if (key := schema.serialize().to_pybytes()) in seen:
            continue
        seen.add(key)
        for field in schema:
            known = fields.setdefault(field.name.lower(), field)
            fields[field.name.lower()] = known.with_type(_common_type(known, field))
    return pa.schema(list(fields.values()))


def _common_type(known: pa.Field, other: pa.Field) -> pa.DataType:
    import pyarrow as pa

    if known.type.equals(other.type):
        return known.type
    several = [pa.schema([pa.field("", one.type)]) for one in (known, other)]
    try:
        return pa.unify_schemas(several, promote_options="permissive").field(0).type
    except pa.ArrowException:
        raise TaskError(
            "InstancesDiffer",
            f"instances put out `{known.name}` as {known.type} and as {other.type}",
            help="give the column one type, for example with a cast at the end of the stage",
            retryable=False,
        ) from None


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    if batch.schema.equals(schema):
        return batch
    own = {name.lower(): column for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    columns = [
        own[field.name.lower()].cast(field.type) if field.name.lower() in own else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
