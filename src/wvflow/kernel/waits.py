"""Waits: tasks that hold no worker while they are under way (flow language, section 5, "wait").

``wait(d)`` is a timer of the kernel's. ``wait until`` is polled by the driver, which reports only how it ended; the
kernel bounds it by a timer where it has a ``timeout``. Both are anchored when they are first reached: a retry, a new
owner or a reopening changes nothing about when they end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from wvflow.errors import EvaluationError
from wvflow.kernel.events import EpochMs, Failure
from wvflow.lang.algebra import Expr
from wvflow.lang.durations import LONGEST_MS, format_duration, parse_duration
from wvflow.lang.evaluate import evaluate
from wvflow.plan.nodes import Policy, Wait, WaitTask

Values = Callable[[], Mapping[str, object]]
"""What expressions may name; asked only where there is one."""


def due_of(wait: Wait, now: EpochMs, values: Values) -> EpochMs | Failure | None:
    """When a wait ends that is reached ``now``: None for one without bound, a failure where that can't be told."""
    if not isinstance(wait, WaitTask):
        return None if wait.policy.timeout is None else EpochMs(now + wait.policy.timeout)
    length = wait.duration if isinstance(wait.duration, int) else _length(wait.duration, values())
    return length if isinstance(length, Failure) else EpochMs(now + max(length, 0))


def timed_out(policy: Policy) -> Failure:
    """The failure of a ``wait until`` whose ``timeout`` is over. Another attempt would have no time left."""
    limit = format_duration(policy.timeout or 0)
    return Failure("WaitTimeout", f"nothing met the condition within the timeout of {limit}", retryable=False)


def _length(duration: Expr, values: Mapping[str, object]) -> int | Failure:
    try:
        found = evaluate(duration, values)
    except EvaluationError as error:
        return Failure("EvaluationError", f"how long to wait can't be told: {error}", retryable=False)
    length = found // timedelta(milliseconds=1) if isinstance(found, timedelta) else None
    length = parse_duration(found) if isinstance(found, str) else length
    if length is None or length > LONGEST_MS:
        wanted = "`wait` wants a duration such as '7 days', of at most a century"
        return Failure("EvaluationError", f"{wanted}; this is {found!r}", retryable=False)
    return length
