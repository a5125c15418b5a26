"""What went wrong in the user's code, as it is recorded: the error's type, its message, the user's own lines."""

from __future__ import annotations

import importlib
import sysconfig
import threading
from collections.abc import Iterator
from os.path import isabs
from pathlib import Path
from traceback import FrameSummary, StackSummary, extract_tb

from wvflow.errors import Bug, NonRetryable, Retry, TaskError, Unavailable

LONGEST_MESSAGE = 10_000
DEEPEST_CAUSE = 5
_OURS = str(Path(__file__).resolve().parents[1])
_NOBODYS = (_OURS, "<frozen", str(Path(importlib.__file__).parent))
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))


def task_error(error: BaseException) -> BaseException:
    """The error to record for one that the user's code let out.

    A system that is away and a defect of ours are not the activity's failures, and Ctrl-C in the main thread is the
    user's: they are returned as they are.
    """
    if isinstance(error, TaskError):
        return error if error.detail else _with_detail(error)
    if isinstance(error, (Unavailable, Bug)) or _is_interrupt(error):
        return error
    return TaskError(
        type(error).__name__,
        message_of(error),
        detail=user_lines(error),
        retryable=not isinstance(error, NonRetryable),
        after=error.after if isinstance(error, Retry) else None,
    )


def _with_detail(error: TaskError) -> TaskError:
    """Our own verdict needs no library's lines; the user's, when they raised it or made a row of it."""
    error.detail = "".join(StackSummary.from_list(_own(_frames(error))).format()).rstrip("\n")
    return error


def _is_interrupt(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def message_of(error: BaseException) -> str:
    """The error's own words, never empty and of bounded length."""
    if isinstance(error, SystemExit):
        return f"the activity called exit({error.code!r})"
    try:
        text = str(error)
    except Exception:  # the user's own __str__
        text = ""
    if isinstance(error, BaseExceptionGroup):
        text += "".join(f"; {type(one).__name__}: {message_of(one)}" for one in error.exceptions[:1])
    text = text or f"a {type(error).__name__} without a message"
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "…"


def user_lines(error: BaseException) -> str:
    """The traceback's lines in the user's files, of the error and of its causes; "" when no line is theirs."""
    parts = []
    for depth, one in enumerate(_chain(error)):
        if depth == DEEPEST_CAUSE:
            break
        lines = "".join(StackSummary.from_list(_frames(one)).format()).rstrip("\n")
        if lines:
            parts.append(lines if depth == 0 else f"caused by {type(one).__name__}: {message_of(one)}\n{lines}")
    return "\n".join(parts)


def _chain(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _chain(member)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and cause is not error:
        yield from _chain(cause)


def _frames(error: BaseException) -> list[FrameSummary]:
    frames = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith(_NOBODYS)]
    return _own(frames) or frames


def _own(frames: list[FrameSummary]) -> list[FrameSummary]:
    return [frame for frame in frames if is_users(frame.filename)]


def is_users(file: str) -> bool:
    """Whether a file is the user's own: no library's, none of ours, not made up by an interpreter.

    Lines of compiled libraries bear the relative path that they were built from.
    """
    if not isabs(file) or file.startswith(_OURS) or "site-packages" in file or "dist-packages" in file:
        return False
    return not file.startswith(_LIBRARIES)
