"""The port of registered activities: the user's Python, called with rows and arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from wvflow.ports.engine import Stop

if TYPE_CHECKING:
    import pyarrow as pa


class ActivityCall(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one activity. ``rows`` opens a fresh stream of the input rows; None when there are none.

    ``run_time`` in milliseconds since the epoch. ``log`` takes (level, message); ``heartbeat`` details."""

    activity: str
    arguments: Mapping[str, object]
    rows: Callable[[], pa.RecordBatchReader] | None
    run_id: str
    flow: str
    stage: str
    attempt: int
    run_time: int
    params: Mapping[str, object]
    log: Callable[[str, str], None]
    heartbeat: Callable[[object], None]
    idempotency_key: str | None = None
    last_heartbeat: object = None


class Activities(Protocol):
    """The activities that this process can run."""

    def run(self, call: ActivityCall, stop: Stop) -> pa.RecordBatchReader | None:
        """Call the function and return its rows, None when it returned nothing (its input passes on). Blocking.

        Raises:
            TaskError: the function raised or its result is none of the accepted forms. ``kind`` is the exception's
                type name, ``detail`` the traceback's lines in the user's own files.
        """
        ...

    def fingerprint(self, activity: str) -> str:
        """A short hash of the function's code, ``""`` for an unknown one."""
        ...
