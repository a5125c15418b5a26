"""Steps of a stage with an idempotency key to tasks: those up to its first effect, then one that does the rest by key.

Where the stage has a loop, so it is within that: what each iteration does, it does once for each key. The test of the
loop is a task as ever, and made anew by whoever comes with the key.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

from wvflow.lang.algebra import Cast, Piped, Rel, StageRows
from wvflow.lang.types import STRING, Type
from wvflow.plan.refs import Millis
from wvflow.plan.tasks import ActivityTask, KeyConflict, KeyedStep, KeyedTask, Task
from wvflow.planner.tasks import PolicyOf, Polling, cut, loop_task, route_tasks, time_taken
from wvflow.semantics.checked import CheckedKey, LoopStep, RouteStep, RowsStep, Step
from wvflow.semantics.keys import is_effect


class Once(NamedTuple):
    """What a stage with a key is done once for, and how. ``shape``: the columns that it puts out, where known."""

    key: CheckedKey
    ttl: Millis
    conflict: KeyConflict
    shape: tuple[tuple[str, Type], ...] | None


class How(NamedTuple):
    """What all tasks of a stage have in common. ``views``: the stages whose rows nobody has before they are asked
    for; ``warns``: its tests do no more than that."""

    policy: PolicyOf
    polling: Polling
    views: Container[str]
    warns: bool


def keyed(steps: Sequence[Step], once: Once, how: How) -> tuple[Task, ...]:
    """The tasks of a stage with a key."""
    ends = len(steps) - isinstance(steps[-1], RouteStep)
    test = next((index for index, step in enumerate(steps[:ends]) if isinstance(step, LoopStep)), ends)
    tasks = [
        *_stretch(steps[:test], once, how, begins=True),
        *_tests(steps[test:ends], how.policy),
        *_stretch(steps[test + 1 : ends], once, how, begins=False),
    ]
    return (*tasks, *time_taken(tasks, Piped(), how.policy), *_routes(steps[ends:], how.policy))


def _stretch(steps: Sequence[Step], once: Once, how: How, *, begins: bool) -> Iterator[Task]:
    """The tasks in front of a loop (``begins``), or within."""
    at = next((index for index, step in enumerate(steps) if is_effect(step)), len(steps))
    whole = steps[0] if at == 1 and begins else None
    if isinstance(whole, RowsStep) and _is_there(whole.relation, how.views) and at < len(steps):
        yield _task(whole.relation, steps[at:], once, how)
        return
    if at:
        yield from cut(steps[:at], how.policy, how.polling, keep=True, warns=how.warns, views=how.views)
    if at < len(steps):
        yield _task(Piped() if at or not begins else None, steps[at:], once, how)


def _is_there(rows: Rel, views: Container[str]) -> bool:
    return isinstance(rows, StageRows) and rows.stage not in views


def _task(rows: Rel | None, steps: Sequence[Step], once: Once, how: How) -> KeyedTask:
    """``rows``: those that the first effect is given, None for none."""
    inner = cut(steps, how.policy, how.polling, keep=True, warns=how.warns, views=how.views)
    done = tuple(task for task in inner if isinstance(task, KeyedStep))
    named = next((task.policy for task in done if isinstance(task, ActivityTask)), done[0].policy)
    key = once.key
    return KeyedTask(Cast(key.key, STRING), done, rows, key.by_row, once.ttl, once.conflict, once.shape, named)


def _tests(steps: Sequence[Step], policy: PolicyOf) -> Iterator[Task]:
    yield from (loop_task(step, policy) for step in steps if isinstance(step, LoopStep))


def _routes(steps: Sequence[Step], policy: PolicyOf) -> Iterator[Task]:
    for step in steps:
        if isinstance(step, RouteStep):
            yield from route_tasks(step, Piped(), policy)
