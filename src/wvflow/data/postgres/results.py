"""Rows of a SELECT as a stream of Arrow's batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from wvflow.data.postgres import kinds
from wvflow.data.postgres.kinds import MOST_DIGITS, Column
from wvflow.data.postgres.session import Session
from wvflow.data.rows import quoted, unique
from wvflow.errors import TaskError

if TYPE_CHECKING:
    import pyarrow as pa

_OPEN = "_wvflow_open"
_ALIAS = "_wvflow_rows"


class Selected(NamedTuple):
    """A SELECT whose columns have names that differ."""

    text: str
    values: tuple[object, ...]
    columns: tuple[Column, ...]


def described(session: Session, select: str, values: tuple[object, ...]) -> Selected:
    """What a SELECT gives; it isn't run."""
    found = session.execute(f"SELECT * FROM ({select}\n) AS {_ALIAS} LIMIT 0", values)
    columns = kinds.columns_of(found.description or ())
    names = [column.name for column in columns]
    own = unique(names)
    if own != names:
        select = f"SELECT * FROM ({select}\n) AS {_ALIAS}({', '.join(map(quoted, own))})"
    return Selected(
        select, values, tuple(column._replace(name=name) for column, name in zip(columns, own, strict=True))
    )


@contextmanager
def reading(session: Session, selected: Selected) -> Iterator[pa.RecordBatchReader]:
    """Run a SELECT. Its rows can be read within the block."""
    import pyarrow as pa

    with session.transaction():
        if any(column.is_open for column in selected.columns):
            selected = _settled(session, selected)
        schema = pa.schema([(column.name, column.arrow()) for column in selected.columns])
        with session.stream(_as_read(selected), selected.values) as pieces:
            yield pa.RecordBatchReader.from_batches(schema, _batches(schema, pieces))


def _batches(schema: pa.Schema, pieces: Iterator[Sequence[tuple[object, ...]]]) -> Iterator[pa.RecordBatch]:
    for rows in pieces:
        yield batch(schema, rows)


def batch(schema: pa.Schema, rows: Sequence[Sequence[object]]) -> pa.RecordBatch:
    """Raises TaskError: a value can't be kept."""
    import pyarrow as pa

    try:
        return kinds.batch(schema, rows)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise TaskError(
            "QueryError",
            f"a value of PostgreSQL's can't be kept: {str(error).splitlines()[0]}",
            retryable=False,
            help="convert the column: `.to_double`, `.to_string`",
        ) from None


def _as_read(selected: Selected) -> str:
    """The SELECT with those columns as text that can't be read otherwise."""
    if not any(column.as_text for column in selected.columns):
        return selected.text
    names = [quoted(column.name) for column in selected.columns]
    items = [
        f"CAST({name} AS text) AS {name}" if column.as_text else name
        for name, column in zip(names, selected.columns, strict=True)
    ]
    return f"SELECT {', '.join(items)} FROM ({selected.text}\n) AS {_ALIAS}"


def _settled(session: Session, selected: Selected) -> Selected:
    """The rows in a temporary table, as only they tell how many digits a ``numeric`` without a precision needs."""
    session.execute(f"CREATE TEMP TABLE {_OPEN} ON COMMIT DROP AS {selected.text}", selected.values)
    wanted = [column for column in selected.columns if column.is_open]
    scales = session.row(f"SELECT {', '.join(map(_scale, wanted))} FROM {_OPEN}")
    known = {column.name: (MOST_DIGITS, scale or 0) for column, scale in zip(wanted, scales, strict=True)}
    for name, (_, scale) in known.items():
        if scale > MOST_DIGITS:
            raise TaskError(
                "QueryError",
                f"`{name}` has {scale} digits behind the point, and {MOST_DIGITS} can be kept",
                retryable=False,
                help=f"round it, or convert it: `{name}.to_double`",
            )
    columns = tuple(column._replace(digits=known.get(column.name, column.digits)) for column in selected.columns)
    return Selected(f"SELECT * FROM {_OPEN}", (), columns)


def _scale(column: Column) -> str:
    name = quoted(column.name)
    if column.is_array:
        return f"max((SELECT max(scale(one)) FROM unnest({name}) AS one))"
    return f"max(scale({name}))"
