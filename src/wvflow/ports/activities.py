"""The port of registered activities: the user's Python, called with rows and arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from wvflow.plan.tasks import Isolation
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import pyarrow as pa


class ActivityCall(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one activity. ``rows`` opens a fresh stream of the input rows; None when there are none.

    ``run_time`` in milliseconds since the epoch. ``log`` takes (level, message); ``heartbeat`` details. ``begun`` is
    called once, when there is nothing more to wait for and the function is about to be called.

    ``function``: the key of the function that carries it out, where that isn't the registered one of the activity's
    name: ``builtin.http``, ``sink.webhook``. ``task_key``: the same for all attempts of this task, and no other's.
    """

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
    begun: Callable[[], None] = lambda: None
    isolation: Isolation = "thread"
    idempotency_key: str | None = None
    last_heartbeat: object = None
    function: str = ""
    task_key: str = ""

    @property
    def key(self) -> str:
        """The key of the function to be called."""
        return self.function or self.activity


class Activities(Protocol):
    """The activities that this process can run."""

    def run(self, call: ActivityCall, stop: Stop) -> pa.RecordBatchReader | None:
        """Call the function and return its rows, None when it returned nothing (its input passes on). Blocking.

        Rows of a generator are made while they are read. So reading them runs the user's code, and raises as this does.

        Raises:
            TaskError: the function raised or its result is none of the accepted forms. ``kind`` is the exception's
                type name, ``detail`` the traceback's lines in the user's own files. Not retryable are ``NonRetryable``
                and our own ``ActivityNotFound``, ``WrongArgument``, ``WrongRows``, ``WrongResult``; ``Interrupted`` is
                a coroutine that was cancelled by ``stop``, and a function that asked and heard of it.
            Unavailable: what the rows come from is away, or no process can be started now.
            WorkerLost: the process that ran the function died.
        """
        ...

    def fingerprint(self, key: str) -> str:
        """A short hash of the function's code, ``""`` for an unknown one and for those that are no code of the
        user's."""
        ...

    def close(self) -> None:
        """Let go of everything; what still runs in a process of its own is killed."""
        ...
