"""One process of activities, as its owner sees it: started, called, told to stop, killed, and its death explained.

A thread of its own starts it and waits for its end. However it ends, its whole process group is killed before it is
reaped: so no process that the user's code started outlives it, and while it isn't reaped its number is nobody else's.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wvflow.activities.groups import in_words, kill_group, wait_unreaped
from wvflow.activities.wire import NUMBER, Kind, Line, inheritance, pieces, unpacked
from wvflow.errors import TaskError, Unavailable, WorkerLost
from wvflow.ports.activities import ActivityCall
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import pyarrow as pa

# The path first: what follows must be found where its owner found it.
_BEGIN = "import sys, json; sys.path[:] = json.loads(sys.argv.pop()); from wvflow.activities.child import main; main()"
_CALLBACKS = frozenset({"rows", "log", "heartbeat", "begun"})
_FIELDS = tuple(name for name in ActivityCall.__struct_fields__ if name not in _CALLBACKS)
LAST_WORDS_S = 1.0


class Process:
    """A process that has imported the modules below ``root`` and takes one call at a time."""

    def __init__(self, root: Path, modules: Sequence[str]) -> None:
        self.fingerprints: dict[str, str] = {}
        self._setup = pickle.dumps((str(root), tuple(modules)))
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Line | None = None
        self._stops: int | None = None
        self._refused: OSError | None = None
        self._started, self._ended = threading.Event(), threading.Event()
        self._killed = False
        self._number = 0
        threading.Thread(target=self._tend, name="wvflow-process", daemon=True).start()

    # --- its life, on the thread that tends it ---

    def _tend(self) -> None:
        try:
            self._process, self._line, self._stops = _begun()
        except OSError as error:
            self._refused = error
            self._ended.set()
            return
        finally:
            self._started.set()
        with self._lock:
            if self._killed:
                kill_group(self._process)
        wait_unreaped(self._process)
        with self._lock:
            kill_group(self._process)
            self._process.wait()
            os.close(self._stops)
            self._stops = None
        self._ended.set()

    @property
    def usable(self) -> bool:
        """Whether it lives, and nobody has killed it."""
        return not (self._killed or self._ended.is_set())

    def kill(self) -> None:
        """Kill it and all that it started. Never waits."""
        with self._lock:
            self._killed = True
            if self._process is not None and self._process.returncode is None:
                kill_group(self._process)

    def death(self) -> str:
        """How it ended, once its line is broken: ``was killed by SIGSEGV``. It is killed if it doesn't end."""
        if not self._ended.wait(LAST_WORDS_S):
            self.kill()
            self._ended.wait()
        assert self._process is not None
        return in_words(self._process.returncode)

    def close(self) -> None:
        """Kill it, and wait until it is gone."""
        self._started.wait()
        self.kill()
        self._ended.wait()
        if self._line is not None:
            self._line.close()

    # --- talking to it, on one thread at a time ---

    def begin(self) -> None:
        """Wait until it can take calls.

        Raises:
            Unavailable: the system starts no more processes now.
            TaskError: it died while it imported the modules.
        """
        self._started.wait()
        if self._refused is not None:
            raise Unavailable(f"no process can be started: {self._refused}") from self._refused
        try:
            self._send(Kind.SETUP, self._setup)
            kind, data = self._receive(None)
        except (OSError, EOFError):
            message = f"the process for activities {self.death()} while it imported the project's modules"
            raise TaskError("WorkerNotStarted", message) from None
        assert kind is Kind.READY
        self.fingerprints = pickle.loads(data)

    def call(self, call: ActivityCall, stop: Stop, over: Callable[[], None]) -> pa.RecordBatchReader | None:
        """Make a call. ``over`` is made when it is free for the next one; one that is given up midway is killed.

        Raises: as the port says.
        """
        answers = self._answers(call, stop, over)
        head = next(answers, None)
        if head is None:
            return None
        import pyarrow as pa

        batches = (batch for piece in chain([head], answers) for batch in piece)
        return pa.RecordBatchReader.from_batches(head.schema, batches)

    def _answers(self, call: ActivityCall, stop: Stop, over: Callable[[], None]) -> Iterator[pa.RecordBatchReader]:
        """The rows that come of a call, in pieces; none at all when it returned nothing."""
        caller = _Caller(call)
        for kind, data in self._frames(caller, stop, over):
            match kind:
                case Kind.ROWS | Kind.LAST:
                    yield unpacked(data)
                case Kind.FAILED:
                    raise _unpickled(data)
                case Kind.AWAY:
                    raise caller.trouble or Unavailable(pickle.loads(data))

    def _frames(self, caller: _Caller, stop: Stop, over: Callable[[], None]) -> Iterator[tuple[Kind, bytearray]]:
        """What a call brings forth. Before the last of it is handed out, the process is free again."""
        self._number = number = self._number + 1
        whole = False
        undo = (stop.on_request(lambda: self._tell_to_stop(number)), stop.on_abandon(self.kill))
        try:
            self._send(Kind.CALL, caller.order(number))
            while (frame := self._receive(caller))[0] is Kind.ROWS:
                yield frame
            whole = True
        except (OSError, EOFError):
            raise WorkerLost(f"the process that ran the activity {self.death()}") from None
        finally:
            for take_back in undo:
                take_back()
            if not whole:
                self.kill()
            over()
        yield frame

    def _receive(self, caller: _Caller | None) -> tuple[Kind, bytearray]:
        """The next frame that isn't done with at once. Before there is a caller, only prints come."""
        assert self._line is not None
        while True:
            kind, data = self._line.receive()
            if kind is Kind.OUT or kind is Kind.ERR:
                _print(kind, data)
            elif kind is Kind.MORE and caller is not None:
                self._send(*caller.more())
            elif caller is None or not caller.hears(kind, data):
                return kind, data

    def _send(self, kind: Kind, data: Any = b"") -> None:
        assert self._line is not None
        self._line.send(kind, data)

    def _tell_to_stop(self, number: int) -> None:
        """From any thread, and never waiting: nothing but such numbers is in the pipe."""
        with self._lock, suppress(OSError):
            if self._stops is not None:
                os.write(self._stops, NUMBER.pack(number))


class _Caller:
    """The owner's end of one call: answers and passes on what the process asks and tells."""

    def __init__(self, call: ActivityCall) -> None:
        self._call = call
        self._pieces: Iterator[tuple[Kind, Any]] | None = None
        self.trouble: BaseException | None = None

    def order(self, number: int) -> bytes:
        fields = {name: getattr(self._call, name) for name in _FIELDS}
        return pickle.dumps((number, fields, self._call.rows is not None))

    def more(self) -> tuple[Kind, Any]:
        """The next piece of the input rows; what is wrong with them stays here, to be raised when the call ends."""
        try:
            if self._pieces is None:
                assert self._call.rows is not None
                self._pieces = pieces(self._call.rows())
            return next(self._pieces)
        except Exception as error:
            self.trouble = error
            return Kind.AWAY, b""

    def hears(self, kind: Kind, data: bytearray) -> bool:
        match kind:
            case Kind.LOG:
                self._call.log(*pickle.loads(data))
            case Kind.BEAT:
                self._call.heartbeat(pickle.loads(data))
            case _:
                return False
        return True


def _print(kind: Kind, data: bytearray) -> None:
    """Where it would have come out if it had been printed here."""
    with suppress(OSError, ValueError):
        (sys.stdout if kind is Kind.OUT else sys.stderr).write(data.decode("utf-8", "replace"))


def _unpickled(data: bytearray) -> TaskError:
    kind, message, fields = pickle.loads(data)
    return TaskError(kind, message, **fields)


# --- the operating system -------------------------------------------------------------------------------------------


def _begun() -> tuple[subprocess.Popen[bytes], Line, int]:
    """In a session of its own: Control-C in a terminal is not for it, and its group can be killed as a whole."""
    theirs, stops = os.pipe()
    try:
        name, how = inheritance(theirs)
        process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN, name, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            **how,
        )
    except OSError:
        os.close(stops)
        raise
    finally:
        os.close(theirs)
    return process, Line(process.stdout, process.stdin), stops  # type: ignore[arg-type]  # both are raw files
