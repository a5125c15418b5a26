"""Writing outputs. A file is complete, synced and never changed once it has its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wvflow.data.files import checksum, checksum_of, literal, published
from wvflow.data.rows import LookAhead
from wvflow.data.session import Session
from wvflow.kernel.events import Output
from wvflow.ports.engine import FileRows, InlineRows, Located, OutputName, Stored

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET = "(FORMAT parquet, COMPRESSION zstd)"
_STREAM = "_wvflow_stream"


def keep(session: Session, rows: LookAhead, name: OutputName, state: Path) -> Stored:
    """Keep a stream's rows, inline if they may be."""
    data = rows.inline()
    if data is None:
        return _written(state, name, lambda path: write_stream(session, rows, f"TO {literal(path)} {_PARQUET}"))
    output = Output(ref=f"inline:{name.run_id}/{name.key}", rows=rows.rows, bytes=len(data), checksum=checksum_of(data))
    return Stored(output, data)


def keep_all(session: Session, select: str, values: Mapping[str, object], name: OutputName, state: Path) -> Stored:
    """Compute and write in one statement, on all threads: for many rows."""
    return _written(
        state, name, lambda path: session.execute(f"COPY ({select}) TO {literal(path)} {_PARQUET}", values)[0][0]
    )


def _written(state: Path, name: OutputName, write: Any) -> Stored:
    path = state / name.path
    with published(path) as temporary:
        rows = write(temporary)
    output = Output(ref=f"file:{name.path}", rows=rows, bytes=path.stat().st_size, checksum=checksum(path))
    return Stored(output)


def write_stream(session: Session, rows: LookAhead, target: str) -> int:
    """Write a stream's rows while it goes on. Raises what the stream raises."""
    import pyarrow as pa

    source = _Watched(session, rows.batches())
    cursor = session.cursor()
    cursor.register(_STREAM, pa.RecordBatchReader.from_batches(rows.schema, source))
    try:
        return int(session.execute(f"COPY (SELECT * FROM {_STREAM}) {target}", on=cursor)[0][0])
    except Exception:
        if source.failure is not None:
            raise source.failure from None
        raise


class _Watched:
    """A stream whose own exception is kept: DuckDB would hand it on as text."""

    def __init__(self, session: Session, batches: Iterator[pa.RecordBatch]) -> None:
        self._session = session
        self._batches = batches
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        try:
            self._session.check()
            return next(self._batches)
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error
            raise


def located(stored: Stored) -> Located:
    """Where the rows are that were just kept."""
    if stored.inline is not None:
        return InlineRows(stored.inline)
    return FileRows(stored.output.ref.removeprefix("file:"))
