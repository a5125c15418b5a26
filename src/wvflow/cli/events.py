"""Journal records: in a line for people, with stages by name for programs."""

from __future__ import annotations

from typing import Any

import msgspec

from wvflow.cli.format import instant, one_line, plural, printable
from wvflow.kernel.events import (
    CancelRequested,
    ChildClosed,
    Continued,
    Event,
    Failure,
    Output,
    OwnerChanged,
    PauseRequested,
    Reopened,
    RunStarted,
    SignalReceived,
    StageReused,
    TaskEvent,
    TaskFailed,
    TaskLost,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
    UndoRequested,
    UpdateAccepted,
)
from wvflow.kernel.timers import (
    ChildTimer,
    DeadlineTimer,
    LineTimer,
    RetryTimer,
    RunTimer,
    ScheduleTimer,
    WaitTimer,
    addressee,
    parse_timer,
)
from wvflow.plan.explain import wait_text
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import SignalTask, StateTask, Task, UntilTask, WaitTask

_WIDTH = 15


def event_json(plan: FlowPlan, event: Event) -> dict[str, Any]:
    """An event as it is recorded, but with the stage's name in place of its number."""
    found: dict[str, Any] = msgspec.to_builtins(event)
    if isinstance(event, TaskEvent):
        found["stage"] = plan.stages[event.stage].name
    return found


def event_text(plan: FlowPlan, event: Event) -> str:
    """What happened, to which stage, in one line."""
    kind = str(event.__struct_config__.tag)
    facts = _facts(plan, event)
    where = _where(plan, event) if isinstance(event, TaskEvent) else ""
    return "  ".join(part for part in (f"{kind:<{_WIDTH}}", where, facts) if part).rstrip()


def _where(plan: FlowPlan, event: TaskEvent) -> str:
    stage = plan.stages[event.stage].of_instance(event.instance)
    task = f" task {event.task + 1}" if len(stage.tasks) > 1 else ""
    instance = f" instance {event.instance}" if event.instance else ""
    iteration = f" iteration {event.iteration}" if event.iteration else ""
    return f"{stage.name}{instance}{iteration}{task}, attempt {event.attempt}"


def _facts(plan: FlowPlan, event: Event) -> str:
    match event:
        case RunStarted(run_time=run_time, params=params, retry=retry, window=window, upstream=upstream):
            given = ", ".join(f"{name} = {value}" for name, value in params.items())
            of = f"a retry of run {retry.run_id}" if retry else ""
            about = f"window {instant(window[0])} to {instant(window[1])}" if window else ""
            runs = ", ".join(f"run {one.run_id} of {one.flow}" for one in upstream)
            after = f"after {runs}" if runs else ""
            return printable("  ".join(filter(None, (f"run time {instant(run_time)}", about, given, of, after))))
        case TaskSucceeded(output=output):
            return _output(output)
        case StageReused(output=output, origin=origin):
            return f"{_output(output)}, reused from run {origin}"
        case TaskFailed(failure=failure):
            return _failure(failure)
        case TaskTimedOut(kind=kind):
            return kind
        case ChildClosed(child=child, state=state, by=by):
            return f"run {by}, which has its key: {state}" if by else f"run {child}: {state}"
        case TaskLost(reason=reason) | CancelRequested(reason=reason):
            return one_line(reason)
        case TimerFired(timer=timer):
            return _timer(plan, timer)
        case SignalReceived(name=name, args=args) | UpdateAccepted(name=name, args=args):
            given = ", ".join(f"{key} = {value}" for key, value in args.items())
            return one_line(f"{name}  {given}" if given else name)
        case PauseRequested(paused=paused):
            return f"paused = {'true' if paused else 'false'}"
        case OwnerChanged(token=token):
            return f"to process {token}"
        case Continued(position=position):
            return f"the {position - 1:,} events before are let go of"
        case UndoRequested(by=by):
            return f"with run {by.run_id}"
        case Reopened(epoch=epoch):
            return f"epoch {epoch}"
        case _:
            return ""


def _timer(plan: FlowPlan, timer: str) -> str:
    """Which time is over, in the language's words."""
    name, number = addressee(timer)

    def whose(stage: StageId) -> str:
        return plan.stages[stage].name + (f" instance {number}" if number else "")

    match parse_timer(name):
        case RetryTimer(stage, attempt):
            return f"{whose(stage)}, the delay before attempt {attempt}"
        case LineTimer(stage, attempt):
            return f"{whose(stage)}, attempt {attempt}: start_timeout"
        case ChildTimer(stage, attempt):
            return f"{whose(stage)}, attempt {attempt}: timeout"
        case ScheduleTimer(stage):
            return f"{whose(stage)}: schedule_timeout"
        case DeadlineTimer(stage):
            return f"{whose(stage)}: deadline"
        case RunTimer(kind="deadline"):
            return "the flow's deadline"
        case WaitTimer(stage, task):
            return f"{whose(stage)}: {_wait(plan.stages[stage].of_instance(number).tasks[task])}"
        case RunTimer(kind="grace"):
            return "the time to end after a cancel"
        case RunTimer():
            return "the flow's timeout"
        case None:
            return name


def _wait(task: Task) -> str:
    if isinstance(task, UntilTask | StateTask | SignalTask):
        return f"timeout of `{wait_text(task)}`"
    return wait_text(task) if isinstance(task, WaitTask) else ""


def _output(output: Output) -> str:
    rows = "– rows" if output.rows is None else plural(output.rows, "row")
    return f"{rows} saved to {output.target}" if output.target else rows


def _failure(failure: Failure) -> str:
    final = "" if failure.retryable else "  (final)"
    return one_line(f"{failure.kind}: {failure.message}") + final
