"""Loops: some of a stage's tasks are done again and again while a condition holds (flow language, section 5, "while").

    in front ──its task is done──▶ the test ──it holds──▶ the tasks within ──the last is done──▶ the test, once more
                                      └──it doesn't──▶ behind the loop: the next task, or success

The plan says which tasks: a ``LoopTask``, which is the test, and those behind it up to ``Loop.end``. The test is a task
as any other where it asks rows or an activity: it is attempted, retried and timed out, and its answer is recorded. What
needs neither is decided here, when it is reached.

Nothing of an iteration that is done stays in the stage's state but its number and the rows that it put out. These
stand in ``done`` in the place of those that the loop began with, so what is tested, and what the first task within is
given, is found as ever. So an iteration costs the same however many there were. Iterations are numbered from 1 and
begin with the test; the last number is that of a test which didn't hold.

Invariants: ``(iteration, len(done))`` only grows, so that a report about earlier work is known by it. A loop has a task
in front of it, which makes the rows to begin with, and one within at least: two tests never follow from one event.

Decided against: a new attempt for each iteration. Attempts count what went wrong.
"""

from __future__ import annotations

from msgspec.structs import replace

from wvflow.errors import EvaluationError
from wvflow.kernel.events import Failure, Output
from wvflow.kernel.scene import Done, Failed, Left, Move, Values
from wvflow.kernel.state import StageState
from wvflow.lang.algebra import Expr
from wvflow.lang.evaluate import evaluate
from wvflow.plan.nodes import StagePlan
from wvflow.plan.tasks import Loop, LoopTask, Task


def tested(stage: StageState, holds: bool) -> Move:
    """What becomes of a test that was made: the rows so far go on, within or behind."""
    return Done(stage, stage.done[-1]) if holds else Left(stage)


def own_test(task: Task) -> Expr | None:
    """The condition of a loop that needs no rows and no worker."""
    return task.condition if isinstance(task, LoopTask) and isinstance(task.condition, Expr) else None


def decide_test(condition: Expr, stage: StageState, values: Values) -> Move:
    """Make the test here and now. Null doesn't hold."""
    try:
        found = evaluate(condition, values())
    except EvaluationError as error:
        return Failed(stage, _undecided(f"the condition of `while` can't be decided: {error}"))
    if found is None or isinstance(found, bool):
        return tested(stage, found is True)
    return Failed(stage, _undecided(f"the condition of `while` is neither true nor false: {found!r}"))


def with_output(here: StagePlan, stage: StageState, output: Output) -> StageState:
    """The stage once its current task has put this out, at the next one."""
    done = (*stage.done, output)
    if here.loop is not None and len(done) == here.loop.end:
        done = (*stage.done[: here.loop.test - 1], output)
    return _at(here.loop, stage, done)


def behind(here: StagePlan, stage: StageState) -> StageState:
    """The stage behind its loop. What is within has nothing more to do: its rows are those that it would be given."""
    skipped = 0 if here.loop is None else here.loop.end - here.loop.test
    return replace(stage, done=stage.done + stage.done[-1:] * skipped)


def tasks_done(here: StagePlan, stage: StageState) -> tuple[Task, ...]:
    """Those that were done at least once; of what is within a loop, none where it was never begun."""
    loop, reached = here.loop, len(stage.done)
    if loop is not None and stage.iteration > 1:
        return here.tasks[: max(reached, loop.end)]
    if loop is not None and reached >= loop.end:
        return (*here.tasks[: loop.test], *here.tasks[loop.end : reached])
    return here.tasks[:reached]


def iteration_shown(here: StagePlan, stage: StageState) -> int | None:
    """Which iteration is under way, or how many there were once the stage has ended well; None for a stage without a
    loop, and for one that was taken over. A test that isn't made, or didn't hold, was the beginning of none; one that
    failed is told by its own number."""
    if here.loop is None or stage.reused:
        return None
    reached = len(stage.done)
    is_tested = reached == here.loop.test and not stage.phase.is_terminal
    return stage.iteration - (stage.iteration > 0 and (is_tested or reached >= here.loop.end))


def _at(loop: Loop | None, stage: StageState, done: tuple[Output, ...]) -> StageState:
    tests = loop is not None and len(done) == loop.test
    return replace(stage, done=done, iteration=stage.iteration + tests)


def _undecided(message: str) -> Failure:
    return Failure("EvaluationError", message, retryable=False)
