"""``shell('…')``: a command, in a process group of its own.

Rows come to it as lines of JSON. What it prints goes to the run's log, or makes the rows. It is asked to end when the
attempt is to stop, and killed with all that it has started when nobody waits for it any more, when it has ended, and
when wvflow has: a second process of the group waits for the end of a pipe that only wvflow holds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Literal

import msgspec

from wvflow.activities.arguments import wrong_argument
from wvflow.activities.builtin.answers import rows_of
from wvflow.activities.builtin.plain import plain, to_json
from wvflow.activities.context import ActivityContext
from wvflow.activities.groups import in_words, kill_group, tell_group, wait_unreaped
from wvflow.errors import TaskError, Unavailable

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_LINE = 64 * 1024
TAIL_LINES = 20
# The watch must outlive a request to end; it holds none of the command's pipes.
_WATCHED = '{ trap "" TERM INT HUP; read -r _; kill -KILL 0; } <"/dev/fd/$1" >/dev/null 2>&1 & exec /bin/sh -c "$0"'


def shell(
    rows: pa.RecordBatchReader | None = None,
    *,
    command: str,
    output: Literal["log", "text", "json"] = "log",
    ctx: ActivityContext,
    **variables: Any,
) -> object:
    """Run it by ``/bin/sh`` in the folder where wvflow runs, with ``variables`` in its environment."""
    environment = os.environ | {name: _text(name, value) for name, value in variables.items()}
    with _Command(command, environment, ctx) as running:
        printed = running.finish(rows, log_output=output == "log")
    match output:
        case "text":
            return printed.decode(errors="replace").rstrip("\n")
        case "json":
            return _rows(printed)
    return None


class _Command:
    """A command under way."""

    def __init__(self, command: str, environment: Mapping[str, str], ctx: ActivityContext) -> None:
        self._ctx = ctx
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._lock = threading.Lock()
        self._reaped = False
        self._open = ExitStack()
        self._process = self._begun(command, environment)
        self._open.callback(ctx.stop.on_request(lambda: self._tell(signal.SIGTERM)))
        self._open.callback(ctx.stop.on_abandon(self._kill))

    def __enter__(self) -> _Command:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._reap()
        self._open.close()

    def _begun(self, command: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            if sys.platform == "win32":
                return subprocess.Popen(command, shell=True, env=environment, **pipes)
            watched, ours = os.pipe()
            self._open.callback(os.close, ours)
            try:
                argv = ["/bin/sh", "-c", _WATCHED, command, str(watched)]
                return subprocess.Popen(argv, env=environment, start_new_session=True, pass_fds=(watched,), **pipes)
            finally:
                os.close(watched)
        except OSError as error:
            self._open.close()
            raise Unavailable(f"no process can be started: {error}") from error
        except ValueError as error:
            self._open.close()
            raise wrong_argument(f"the command can't be run: {error}") from None

    def finish(self, rows: pa.RecordBatchReader | None, *, log_output: bool) -> bytes:
        """Feed it, hear it out, and return what it printed, if that isn't logged."""
        trouble: list[BaseException] = []
        helpers = [
            threading.Thread(target=self._feed, args=(rows, trouble), name="wvflow-shell-in", daemon=True),
            threading.Thread(target=self._hear_errors, name="wvflow-shell-err", daemon=True),
        ]
        for helper in helpers:
            helper.start()
        assert self._process.stdout is not None
        printed = b""
        if log_output:
            self._log_all(self._process.stdout, self._ctx.logger.info)
        else:
            printed = self._process.stdout.read()
        wait_unreaped(self._process)
        self._kill()  # what it left behind keeps the other pipes open
        for helper in helpers:
            helper.join()
        self._reap()
        if trouble:
            raise trouble[0]
        self._check()
        return printed

    # --- its pipes ---

    def _feed(self, rows: pa.RecordBatchReader | None, trouble: list[BaseException]) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            for batch in () if rows is None else rows:
                stdin.write(b"".join(to_json(row) + b"\n" for row in batch.to_pylist()))
        except BrokenPipeError:
            pass  # it has read enough
        except Exception as error:
            trouble.append(error)
            self._kill()
        finally:
            with suppress(BrokenPipeError):
                stdin.close()

    def _hear_errors(self) -> None:
        assert self._process.stderr is not None

        def log(form: str, line: str) -> None:
            self._tail.append(line)
            self._ctx.logger.warning(form, line)

        self._log_all(self._process.stderr, log)

    def _log_all(self, pipe: IO[bytes], log: Callable[[str, str], None]) -> None:
        """Each line is a sign of life, too."""
        for line in _lines(pipe):
            log("%s", line)
            self._ctx.heartbeat()

    # --- its end ---

    def _tell(self, number: int) -> None:
        with self._lock:
            if not self._reaped:
                tell_group(self._process, number)

    def _kill(self) -> None:
        with self._lock:
            if not self._reaped:
                kill_group(self._process)

    def _reap(self) -> None:
        with self._lock:
            self._process.wait()
            self._reaped = True
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _check(self) -> None:
        status = self._process.returncode
        if status != 0 and self._ctx.stop.requested:
            raise TaskError("Interrupted", "the command was stopped")
        if status:
            said = "\n".join(self._tail)
            last = f": {self._tail[-1]}" if self._tail else ""
            raise TaskError("ShellError", f"the command {in_words(status)}{last}", detail=said)


def _lines(pipe: IO[bytes]) -> Iterator[str]:
    while line := pipe.readline(LONGEST_LINE):
        yield line.decode(errors="replace").rstrip("\r\n")


def _text(name: str, value: object) -> str:
    """A value of the environment; the shell's own quoting is never needed for it."""
    shown = "" if value is None else value.isoformat() if isinstance(value, datetime) else plain(value)
    text = ("true" if shown else "false") if isinstance(shown, bool) else str(shown)
    if isinstance(shown, (list, dict)):
        text = to_json(shown).decode()
    if "\0" in text:
        raise wrong_argument(f"`{name}` has a character that no environment variable can have")
    return text


def _rows(printed: bytes) -> object:
    """One JSON value, or one on each line."""
    try:
        return rows_of(msgspec.json.decode(printed))
    except msgspec.DecodeError:
        pass
    try:
        return rows_of([msgspec.json.decode(line) for line in printed.splitlines() if line.strip()])
    except msgspec.DecodeError as error:
        raise TaskError("WrongAnswer", f"what the command printed is no JSON: {error}", retryable=False) from None
