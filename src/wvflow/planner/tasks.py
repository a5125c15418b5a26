"""Steps of a stage to tasks, the units that are attempted and recorded (execution, section 1).

A task is a maximal run of relational operators with the save that ends it, or one call of an activity, or one
delivery. Rows of a stage or of the task before go into an activity untouched: no task copies them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

import msgspec

from wvflow.lang.algebra import Aggregate, Call, Item, Piped, Rel, StageRows, Star
from wvflow.lang.relations import stages_read
from wvflow.lang.types import LONG
from wvflow.plan.refs import FlowRef, Millis
from wvflow.plan.tasks import (
    ActivityTask,
    ChildTask,
    DebugTask,
    Delete,
    Loop,
    LoopTask,
    ParentClose,
    Policy,
    QueryTask,
    Reread,
    RouteTask,
    SignalTask,
    StateTask,
    Task,
    TestTask,
    UntilTask,
    WaitTask,
)
from wvflow.semantics.checked import (
    CallStep,
    ChildStep,
    DebugStep,
    DeleteStep,
    LoopStep,
    RouteStep,
    RowsStep,
    SaveStep,
    SignalStep,
    StateStep,
    Step,
    TestStep,
    UntilStep,
    WaitStep,
)


class Polling(NamedTuple):
    """How a stage polls: the time between two polls, and what the purely relational stages do, by name."""

    interval: Millis
    again: Mapping[str, Rel]


PolicyOf = Callable[[str], Policy]
"""The policy of a task by its activity's name, ``""`` for a query."""


class Closing(NamedTuple):
    """What a stage says of the runs that it starts. ``asked``: the flows whose runs undo themselves with it."""

    parent_close: ParentClose = "terminate"
    detach: bool = False
    asked: Container[FlowRef] = ()


def cut(
    steps: Sequence[Step],
    policy: PolicyOf,
    polling: Polling,
    *,
    keep: bool,
    warns: bool = False,
    closing: Closing = Closing(),  # noqa: B008 - immutable
    views: Container[str] = (),
) -> tuple[Task, ...]:
    """The tasks of a stage. ``keep``: whether somebody can ask for the rows of a save that ends it; ``warns``: its
    tests do no more than that; ``views``: the stages whose rows nobody has before they are asked for."""
    tasks: list[Task] = []
    rows: Rel = Piped()
    for step in steps:
        match step:
            case RowsStep(relation=relation):
                rows = relation
                continue
            case SaveStep(save=save):
                tasks.append(QueryTask(rows, policy(""), save))
            case DeleteStep(rows=removed, table=table):
                before = _made(rows, policy) if keep or step is not steps[-1] else []
                tasks += [*before, QueryTask(removed, policy(""), Delete(table), keep=False)]
            case CallStep():
                before, rows = _fed(step, rows, policy, views)
                tasks += [*before, _call(step, rows, policy)]
            case ChildStep():
                before, rows = _fed(step, rows, policy, views)
                tasks += [*before, _child(step, rows, policy, closing)]
            case RouteStep():
                tasks += [*time_taken(tasks, rows, policy), *route_tasks(step, rows, policy)]
            case TestStep(tests=tests):
                tasks += [*_made(rows, policy), TestTask(tests, policy(""), warns)]
            case DebugStep(shown=shown):
                tasks += [*_made(rows, policy), DebugTask(shown, policy(""))]
            case WaitStep(duration=duration):
                tasks += [*_made(rows, policy), WaitTask(duration, policy(""))]
            case StateStep(condition=condition, text=text):
                tasks += [*_made(rows, policy), StateTask(condition, text, policy(""))]
            case SignalStep(signal=signal):
                tasks += [*_made(rows, policy), SignalTask(signal, policy(""))]
            case LoopStep():
                tasks += [*_made(rows, policy), loop_task(step, policy)]
            case UntilStep():
                tasks.append(_until(step, rows, policy, polling))
        rows = Piped()
    tasks += time_taken(tasks, rows, policy)
    if isinstance(steps[-1], RowsStep):
        tasks.append(QueryTask(rows, policy("")))
    elif isinstance(steps[-1], SaveStep) and not keep:
        tasks[-1] = msgspec.structs.replace(tasks[-1], keep=False)
    return tuple(tasks)


def loop_task(step: LoopStep, policy: PolicyOf) -> LoopTask:
    if not isinstance(step.condition, CallStep):
        return LoopTask(step.condition, step.text, policy(""))
    call = _call(step.condition, Piped(), policy)
    return LoopTask(call, step.text, call.policy, step.negated)


def time_taken(tasks: Sequence[Task], rows: Rel, policy: PolicyOf) -> list[Task]:
    """A task for a worker where a loop has nothing but waits that may be over at once: else one event could lead to any
    number of iterations. ``rows``: those still to be made."""
    loop = range_of_loop(tasks)
    waits = loop is not None and all(isinstance(one, StateTask | SignalTask) for one in tasks[loop.test + 1 :])
    return [QueryTask(rows, policy(""))] if waits and isinstance(rows, Piped) else []


def range_of_loop(tasks: Sequence[Task]) -> Loop | None:
    """Which tasks of a stage are repeated: those behind the ``while``, but for the route that ends the stage."""
    test = next((index for index, task in enumerate(tasks) if isinstance(task, LoopTask)), None)
    return None if test is None else Loop(test, len(tasks) - isinstance(tasks[-1], RouteTask))


def _made(rows: Rel, policy: PolicyOf) -> list[Task]:
    """What makes rows that aren't there already."""
    return [] if isinstance(rows, Piped) else [QueryTask(rows, policy(""))]


def _until(step: UntilStep, rows: Rel, policy: PolicyOf, polling: Polling) -> UntilTask:
    """The relational operators before it are part of each poll, and so are the relational stages that it reads."""
    read = list(stages_read((step.condition, rows)))
    for name in read:  # what these read in turn is behind them in the list
        read += [one for one in stages_read(polling.again.get(name)) if one not in read]
    sources = tuple(Reread(name, polling.again[name]) for name in read if name in polling.again)
    return UntilTask(step.condition, rows, step.text, polling.interval, sources, policy(""))


def route_tasks(step: RouteStep, rows: Rel, policy: PolicyOf) -> list[Task]:
    """What makes the rows, then the count of where they go."""
    one = Call("count", (Star(),), type=LONG)
    counts = Aggregate(Piped(), (Item("target", step.label),), (Item("rows", one),))
    return [*_made(rows, policy), RouteTask(tuple(step.targets), counts, policy(""), step.cases)]


def _fed(step: CallStep | ChildStep, rows: Rel, policy: PolicyOf, views: Container[str]) -> tuple[list[Task], Rel]:
    """The query that makes the rows of a call, where these aren't there already, and where it finds them."""
    there = isinstance(rows, Piped) or (isinstance(rows, StageRows) and rows.stage not in views)
    if step.takes_rows and not there:
        return [QueryTask(rows, policy(""))], Piped()
    return [], rows


def _child(step: ChildStep, rows: Rel, policy: PolicyOf, closing: Closing) -> ChildTask:
    return ChildTask(
        flow=step.flow,
        arguments=step.arguments,
        input=rows if step.takes_rows else None,
        policy=policy(""),
        apart=step.apart,
        parent_close=closing.parent_close,
        detach=closing.detach,
        undoes_itself=step.flow in closing.asked,
    )


def _call(step: CallStep, rows: Rel, policy: PolicyOf) -> ActivityTask:
    return ActivityTask(
        activity=step.activity,
        arguments=step.arguments,
        input=rows if step.takes_rows else None,
        policy=policy(step.policy_of),
        apart=step.apart,
        function=step.function,
        given=step.given,
    )
