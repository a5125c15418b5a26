"""What a task asks the engine."""

from __future__ import annotations

from collections.abc import Iterator

from wvflow.lang.algebra import Rel
from wvflow.plan.polls import awaited_rows, met
from wvflow.plan.tasks import (
    DebugTask,
    LoopTask,
    QueryTask,
    RouteTask,
    RowTest,
    SplitTask,
    Task,
    TestTask,
    UntilTask,
    ViewTask,
)


def queries_of(task: Task) -> Iterator[QueryTask]:
    """In their order; of a ``wait until``, what each poll begins with."""
    match task:
        case QueryTask():
            yield task
        case RouteTask(counts=counts):
            yield QueryTask(counts)
        case TestTask(tests=tests):
            yield from (QueryTask(one.failing) for one in tests if isinstance(one, RowTest))
        case DebugTask(shown=shown):
            yield QueryTask(shown)
        case SplitTask(relation=relation) | ViewTask(relation=relation):
            yield QueryTask(relation)
        case LoopTask(condition=condition) if isinstance(condition, Rel):
            yield QueryTask(condition)
        case UntilTask():
            yield QueryTask(met(task, awaited_rows(task)))
        case _:
            pass
