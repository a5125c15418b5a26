"""Writing outputs. A file is complete, synced and never changed once it has its name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wvflow.data.files import beside, checksum, checksum_of, exactly, literal, publish, published
from wvflow.data.rows import INLINE_ROWS, LookAhead, ahead_of
from wvflow.data.session import Session
from wvflow.errors import OutputMissing
from wvflow.kernel.events import Output
from wvflow.ports.engine import FileRows, InlineRows, Located, OutputName, Stored

if TYPE_CHECKING:
    import pyarrow as pa

# The encodings of the second version take half the time of the first's, and less space.
_PARQUET = "(FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)"
_STREAM = "_wvflow_stream"


def keep(session: Session, rows: LookAhead, name: OutputName, state: Path) -> Stored:
    """Keep a stream's rows, inline if they may be: for few rows, and for those that aren't DuckDB's."""
    if (data := rows.inline()) is not None:
        return _inline(data, rows.rows, name)
    path = state / name.path
    with beside(path) as temporary:
        return _published(temporary, path, write_stream(session, rows, f"TO {literal(temporary)} {_PARQUET}"), name)


def keep_all(session: Session, select: str, values: Mapping[str, object], name: OutputName, state: Path) -> Stored:
    """Compute and write in one statement, on all threads: for many rows. If they turn out to be few, they are taken
    from the file, which never was published."""
    path = state / name.path
    with beside(path) as temporary:
        count = int(session.execute(f"COPY ({select}) TO {literal(temporary)} {_PARQUET}", values)[0][0])
        if count <= INLINE_ROWS:
            written = session.relation(f"SELECT * FROM read_parquet({exactly(temporary)})", {})
            if (data := ahead_of(written).inline()) is not None:
                return _inline(data, count, name)
        return _published(temporary, path, count, name)


def _inline(data: bytes, rows: int, name: OutputName) -> Stored:
    output = Output(ref=name.inline, rows=rows, bytes=len(data), checksum=checksum_of(data))
    return Stored(output, data)


def _published(temporary: Path, path: Path, rows: int, name: OutputName) -> Stored:
    publish(temporary, path)
    return Stored(Output(ref=f"file:{name.path}", rows=rows, bytes=path.stat().st_size, checksum=checksum(path)))


def share(output: Output, name: OutputName, state: Path) -> Output:
    """An earlier output under a second name: the file is the same one, and lasts as long as any of its names.

    Raises OutputMissing: it is gone, or isn't whole.
    """
    source, target = state / output.ref.removeprefix("file:"), state / name.path
    try:
        if source.stat().st_size != output.bytes:
            raise OutputMissing(f"the kept rows are damaged: {output.ref}")
        with published(target) as temporary:
            _link(source, temporary)
    except FileNotFoundError:
        raise OutputMissing(f"the kept rows are gone: {output.ref}") from None
    return msgspec.structs.replace(output, ref=f"file:{name.path}")


def _link(source: Path, target: Path) -> None:
    """Where the file system knows no second names, a copy."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


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
