"""What a process of activities and its owner say to each other: frames over two pipes, and rows in pieces. Along a
third one goes the number of a call that is to stop, as it must be heard while the call's own line is busy.

A frame is its kind, its length and that many bytes. Small things are pickled (both ends are this very program), rows
are pieces: each a whole Arrow IPC stream of about ``PIECE`` bytes, so that a stream of any length passes in bounded
memory and each batch brings its own dictionaries.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Iterator
from enum import IntEnum, auto
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = 1 << 20
_HEADER = struct.Struct("<BQ")
NUMBER = struct.Struct("<Q")
_WORTH_A_COPY = _BUFFER = 1 << 16


class Kind(IntEnum):
    """From the owner: SETUP, CALL. From the process: READY, MORE (input rows are wanted), LOG, BEAT, OUT and ERR
    (what was printed), and how a call ended: NOTHING, FAILED, AWAY. Both ways: ROWS, and LAST for the last of them.
    AWAY, to the process: where the rows come from is; from it: that this is why the call ended."""

    SETUP = auto()
    READY = auto()
    CALL = auto()
    MORE = auto()
    ROWS = auto()
    LAST = auto()
    LOG = auto()
    BEAT = auto()
    OUT = auto()
    ERR = auto()
    NOTHING = auto()
    FAILED = auto()
    AWAY = auto()


class Line:
    """Frames both ways. Any thread may send, one at a time receives."""

    def __init__(self, source: RawIOBase, sink: RawIOBase) -> None:
        self._source = BufferedReader(source, _BUFFER)
        self._sink = sink
        self._sending = threading.Lock()

    def send(self, kind: Kind, data: Any = b"") -> None:
        """Send a frame of these bytes. Raises OSError: nobody is there."""
        with memoryview(data) as view:
            header = _HEADER.pack(kind, view.nbytes)
            with self._sending:
                if view.nbytes <= _WORTH_A_COPY:
                    self._write(header + view.tobytes())
                else:
                    self._write(header)
                    self._write(view.cast("B"))

    def _write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._sink.write(rest) :]

    def receive(self) -> tuple[Kind, bytearray]:
        """The next frame. Raises EOFError: the other end is gone."""
        kind, length = _HEADER.unpack(self._exactly(_HEADER.size))
        return Kind(kind), self._exactly(length)

    def _exactly(self, length: int) -> bytearray:
        data = bytearray(length)
        try:
            if length and self._source.readinto(data) < length:
                raise EOFError
        except (OSError, ValueError):  # broken, or closed meanwhile
            raise EOFError from None
        return data

    def close(self) -> None:
        for end in (self._sink, self._source):
            try:
                end.close()
            except OSError:
                pass


def inheritance(descriptor: int) -> tuple[str, dict[str, Any]]:
    """How a process is started so that it has one more descriptor, and what that is called there."""
    if sys.platform == "win32":
        import msvcrt
        import subprocess

        handle = msvcrt.get_osfhandle(descriptor)
        os.set_handle_inheritable(handle, True)
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
        return str(handle), {"startupinfo": startup, "close_fds": False}
    return str(descriptor), {"pass_fds": (descriptor,)}


def inherited(name: int) -> int:
    """The descriptor that a process was started with; those that it starts don't have it."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.open_osfhandle(name, os.O_RDONLY)
    os.set_inheritable(name, False)
    return name


def packed(schema: pa.Schema, batches: list[pa.RecordBatch]) -> pa.Buffer:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return sink.getvalue()


def unpacked(piece: bytearray) -> pa.RecordBatchReader:
    """The rows of a piece, which they keep alive. Nothing is copied."""
    import pyarrow as pa

    return pa.ipc.open_stream(pa.py_buffer(piece))


def pieces(rows: pa.RecordBatchReader) -> Iterator[tuple[Kind, pa.Buffer]]:
    """A stream in pieces, the last of them (there always is one) marked as such."""
    gathered: list[pa.RecordBatch] = []
    size = 0
    for part in _parts(rows):
        if size >= PIECE:
            yield Kind.ROWS, packed(rows.schema, gathered)
            gathered, size = [], 0
        gathered.append(part)
        size += part.nbytes
    yield Kind.LAST, packed(rows.schema, gathered)


def _parts(rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches, the large ones cut."""
    for batch in rows:
        count = -(-batch.nbytes // PIECE) or 1
        step = -(-batch.num_rows // count) or 1
        if count == 1:
            yield batch
        else:
            yield from (batch.slice(start, step) for start in range(0, batch.num_rows, step))
