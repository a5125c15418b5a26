"""A process of activities: imports the project's modules once, then takes one call after another from its owner.

Its standard input and output are the line to the owner; what the user's code prints is sent along it, so that it comes
out where it would have without a process. The user's code runs on the main thread, which reads the line itself: to hand
an order over to it would cost as much as the whole way from the owner. A second thread listens at a pipe of its own, so
that a stop is heard while the code runs; at the pipe's end the owner is gone, and so is this process with all that it
started.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from wvflow.activities.registry import Registry
from wvflow.activities.wire import NUMBER, Kind, Line, inherited, pieces, unpacked
from wvflow.errors import TaskError, Unavailable
from wvflow.ports.activities import ActivityCall
from wvflow.ports.stop import StopToken

if TYPE_CHECKING:
    import pyarrow as pa

Frame = tuple[Kind, bytearray]


class _Stops:
    """Hears the number of a call that is to stop, and carries it out at once; it may come before its call."""

    def __init__(self, source: io.FileIO) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._heard = 0
        self._number, self._stop = 0, StopToken()

    def listen(self) -> None:
        while len(data := self._source.read(NUMBER.size) or b"") == NUMBER.size:
            with self._lock:
                (self._heard,) = NUMBER.unpack(data)
                stop = self._stop if self._heard == self._number else None
            if stop is not None:
                stop.request()
        end()

    def of(self, number: int) -> StopToken:
        """What the call of that number, which begins now, is stopped by."""
        stop = StopToken()
        with self._lock:
            self._number, self._stop = number, stop
            if self._heard == number:
                stop.request()
        return stop


class _Call:
    """A call under way, seen from the user's code: its rows, and what it may tell. Nothing is heard of it once it is
    over, whatever threads it left behind."""

    def __init__(self, line: Line, stops: _Stops, data: bytearray) -> None:
        number, fields, has_rows = pickle.loads(data)
        self._line = line
        self._asking = threading.Lock()
        self._telling = threading.Lock()
        self._over = False
        self.stop = stops.of(number)
        self.call = ActivityCall(
            **fields,
            rows=self._rows if has_rows else None,
            log=lambda level, message: self._tell(Kind.LOG, (level, message)),
            heartbeat=lambda details: self._tell(Kind.BEAT, details),
        )

    def perform(self, registry: Registry) -> None:
        """Carry it out and send what comes of it."""
        try:
            rows = registry.run(self.call, self.stop)
            if rows is None:
                self._end(Kind.NOTHING)
                return
            for kind, piece in pieces(rows):
                if kind is Kind.LAST:
                    self._end(kind, piece)
                else:
                    self._line.send(kind, piece)
        except Unavailable as error:
            self._end(Kind.AWAY, pickle.dumps(error.message))
        except TaskError as error:
            self._end(Kind.FAILED, _pickled(error))
        except BaseException as error:
            unexpected = TaskError("InternalError", f"{type(error).__name__}: {error}", retryable=False)
            self._end(Kind.FAILED, _pickled(unexpected))

    def _end(self, kind: Kind, data: Any = b"") -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with self._asking, self._telling:
            self._over = True
            self._line.send(kind, data)

    def _tell(self, kind: Kind, what: object) -> None:
        data = pickle.dumps(what)
        with self._telling:
            if not self._over:
                self._line.send(kind, data)

    def _rows(self) -> pa.RecordBatchReader:
        import pyarrow as pa

        first = self._more()
        head = unpacked(first[1])

        def batches() -> Iterator[pa.RecordBatch]:
            (kind, _), rows = first, head
            while True:
                yield from rows
                if kind is Kind.LAST:
                    return
                kind, data = self._more()
                rows = unpacked(data)

        return pa.RecordBatchReader.from_batches(head.schema, batches())

    def _more(self) -> Frame:
        with self._asking:
            if self._over:
                raise Unavailable("the call that these rows are for is over")
            self._line.send(Kind.MORE)
            kind, data = self._line.receive()
        if kind is Kind.AWAY:
            raise Unavailable("what the rows come from is away")
        return kind, data


def _pickled(error: TaskError) -> bytes:
    fields = {"detail": error.detail, "place": error.place, "retryable": error.retryable, "after": error.after}
    return pickle.dumps((error.kind, error.message, fields | {"help": error.help}))


class _Printed(io.RawIOBase):
    """What is printed, on its way to the owner."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        text = bytes(data)
        self._send(text)
        return len(text)


def _printer(line: Line, kind: Kind) -> io.TextIOWrapper:
    raw = io.BufferedWriter(_Printed(lambda text: line.send(kind, text)))
    return io.TextIOWrapper(raw, "utf-8", errors="backslashreplace", line_buffering=True, write_through=False)


def _take_over() -> Line:
    """The line to the owner, on descriptors that nothing else finds; 0 and 1 are for the user's code again."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    line = Line(io.FileIO(source, "r"), io.FileIO(sink, "w"))
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)), "utf-8")
    sys.stdout = _printer(line, Kind.OUT)
    sys.stderr = _printer(line, Kind.ERR)
    return line


def end() -> NoReturn:
    """End at once, with every process that the user's code started and that stayed in the group."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _outlive_nobody() -> None:
    """Have the system end this process some seconds after its owner, should ``end`` not get its turn: C code of the
    user's may keep the interpreter to itself for ever. Linux only.

    The signal of an owner's death is handled by C's ``alarm``, called with the signal's number as its seconds. To be
    killed by that signal directly would be too early: ``end`` also kills what this process has started.
    """
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None)
        libc.signal(signal.SIGUSR2, ctypes.cast(libc.alarm, ctypes.c_void_p))
        libc.prctl(1, signal.SIGUSR2)  # PR_SET_PDEATHSIG


def _warm_up() -> None:
    """Import what any call needs; better now than on the time of the first one. Arrow looks for pandas, which takes
    long to import, when it first makes an array."""
    import pyarrow as pa

    import wvflow.activities.invoke  # noqa: F401

    pa.array([0])


def main() -> None:
    _outlive_nobody()
    stops = _Stops(io.FileIO(inherited(int(sys.argv.pop())), "r"))
    threading.Thread(target=stops.listen, name="wvflow-stops", daemon=True).start()
    try:
        _serve(_take_over(), stops)
    except EOFError:
        end()


def _serve(line: Line, stops: _Stops) -> None:
    kind, data = line.receive()
    assert kind is Kind.SETUP
    root, modules = pickle.loads(data)
    registry = Registry.discover(Path(root), modules)
    _warm_up()
    line.send(Kind.READY, pickle.dumps({name: registry.fingerprint(name) for name in registry.activities}))
    while True:
        _Call(line, stops, line.receive()[1]).perform(registry)
