"""The failures of attempts that the kernel itself finds, in words: time is over, or a worker is gone."""

from __future__ import annotations

from wvflow.kernel.events import Failure, TaskTimedOut
from wvflow.lang.durations import format_duration
from wvflow.plan.nodes import StagePlan
from wvflow.plan.refs import Millis
from wvflow.plan.tasks import Policy


def timed_out(policy: Policy, event: TaskTimedOut) -> Failure:
    """One of the limits of an attempt."""
    match event.kind:
        case "start":
            return start_timeout(policy)
        case "timeout":
            return _over("Timeout", "the attempt took longer than its timeout", policy.timeout)
        case "heartbeat":
            what = "the attempt was silent for longer than its heartbeat"
            return _over("HeartbeatTimeout", what, policy.heartbeat)


def start_timeout(policy: Policy) -> Failure:
    return _over("StartTimeout", "no worker took the attempt within its start_timeout", policy.start_timeout)


def child_timeout(policy: Policy) -> Failure:
    return _over("Timeout", "the child took longer than the timeout", policy.timeout)


def schedule_timeout(here: StagePlan) -> Failure:
    limit = format_duration(here.schedule_timeout or 0)
    return Failure("ScheduleTimeout", f"all attempts together took longer than the schedule_timeout of {limit}")


def worker_lost(losses: int, reason: str) -> Failure:
    """``losses``: how often the attempt was lost after a recorded start."""
    times = "once" if losses == 1 else f"{losses} times"
    last = f"; {reason}" if reason else ""
    return Failure("WorkerLost", f"the worker died {times} during this attempt{last}", retryable=False)


def _over(kind: str, what: str, limit: Millis | None) -> Failure:
    return Failure(kind, what if limit is None else f"{what} of {format_duration(limit)}")
