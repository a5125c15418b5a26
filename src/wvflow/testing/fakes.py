"""Fake activities: what is answered instead of calling the real ones, and a record of what they were called with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from wvflow.activities.decorator import ActivitySpec
from wvflow.activities.discovery import register
from wvflow.errors import UserError, WorkerLost
from wvflow.lang.durations import parse_duration
from wvflow.ports.activities import Activities, ActivityCall
from wvflow.ports.stop import Stop
from wvflow.testing.clock import VirtualClock

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class After:
    """An answer that takes its time. See ``after``."""

    seconds: float
    answer: object


def after(duration: str, answer: object = None) -> After:
    """An answer that comes when this much virtual time has passed; for time-outs and heartbeats.

    Args:
        duration: as in the language: ``90s``, ``1h30m``, ``2 days``.

    >>> after("1h30m").seconds
    5400.0
    """
    if not (ms := parse_duration(duration)):
        raise UserError(f"`{duration}` is no duration above zero", help="write it as in 90s, 1h30m or '2 days'")
    return After(ms / 1000, answer)


def dies(how: str = "the faked process died") -> WorkerLost:
    """An answer that is none: the process that runs the activity dies. It is delivered again, up to ``lost_limit``."""
    return WorkerLost(how)


@dataclass(frozen=True)
class Call:
    """One call that a fake got. ``at``: the virtual time, in milliseconds since the epoch. ``rows``: its input."""

    arguments: Mapping[str, object]
    rows: pa.Table | None
    stage: str
    attempt: int
    at: int
    last_heartbeat: object = None


@dataclass
class Fake:
    """One fake. ``calls`` grows while runs go on."""

    name: str
    answers: tuple[object, ...]
    calls: list[Call] = field(default_factory=list)

    def next_answer(self, call: Call) -> object:
        """One per call, in their order; the last one again and again."""
        self.calls.append(call)
        return self.answers[min(len(self.calls), len(self.answers)) - 1] if self.answers else None


class Faked:
    """Activities of which some are faked. Adapter of ``ports.activities.Activities``."""

    def __init__(self, real: Activities, fakes: Mapping[str, Fake], clock: VirtualClock) -> None:
        self._real = real
        self._fakes = fakes
        self._clock = clock
        self._lock = threading.Lock()
        self.fingerprint = real.fingerprint
        self.close = real.close

    def run(self, call: ActivityCall, stop: Stop) -> pa.RecordBatchReader | None:
        """Part of the port."""
        if (fake := self._fakes.get(call.activity)) is None:
            return self._real.run(call, stop)
        call.begun()
        rows = call.rows().read_all() if call.rows is not None else None
        got = Call(dict(call.arguments), rows, call.stage, call.attempt, self._clock.now(), call.last_heartbeat)
        with self._lock:
            answer = fake.next_answer(got)
        if isinstance(answer, After):
            self._clock.sleep(answer.seconds, stop)
            answer = answer.answer
        if isinstance(answer, WorkerLost):
            raise answer
        return _invoked(answer, msgspec.structs.replace(call, rows=rows.to_reader if rows is not None else None), stop)


def _invoked(answer: object, call: ActivityCall, stop: Stop) -> pa.RecordBatchReader | None:
    """Through the same gates as a real function's result, errors included."""
    from wvflow.activities.invoke import invoke

    function = answer if callable(answer) and not _is_error(answer) else _canned(answer)
    return invoke(register(function, ActivitySpec(call.activity), "", Path()), call, stop)


def _is_error(answer: object) -> bool:
    return isinstance(answer, BaseException) or (isinstance(answer, type) and issubclass(answer, BaseException))


def _canned(answer: object) -> Callable[..., Any]:
    def give(**arguments: object) -> Any:
        if isinstance(answer, BaseException) or (isinstance(answer, type) and issubclass(answer, BaseException)):
            raise answer
        return answer

    return give
