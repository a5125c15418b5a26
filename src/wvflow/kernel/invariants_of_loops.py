"""What always holds of loops, and of how a stage goes on from task to task (``loops``)."""

from __future__ import annotations

from collections.abc import Iterator

from wvflow.kernel.loops import own_test
from wvflow.kernel.scene import place_of
from wvflow.kernel.state import RUNNING, Phase, StageState
from wvflow.plan.nodes import StagePlan
from wvflow.plan.tasks import Wait


def wrong_place(here: StagePlan, stage: StageState) -> Iterator[str]:
    """What is wrong with where a stage is; it doesn't stay at a test that needs no worker, however it got there."""
    reached = here.loop is not None and len(stage.done) >= here.loop.test
    if (stage.iteration > 0) != reached and not stage.reused and here.hook != "update":
        yield f"is in iteration {stage.iteration} with {len(stage.done)} tasks done"
    if here.undoes_iterations and len(stage.iterations) != stage.iteration and not stage.reused:
        yield f"is in iteration {stage.iteration} and could undo {len(stage.iterations)}"
    if stage.phase in RUNNING - {Phase.IN_LINE, Phase.RETRYING} and own_test(here.tasks[len(stage.done)]) is not None:
        yield f"is {stage.phase.value} at a test that needs no worker"


def wrong_progress(here: StagePlan, old: StageState, new: StageState) -> Iterator[str]:
    """What is wrong with a step as to the tasks that are done. Behind an iteration the outputs in front of its rows
    stay; everywhere else all do."""
    if place_of(new) < place_of(old):
        yield f"went back from {place_of(old)} to {place_of(new)}"
    turned = here.loop is not None and new.iteration > old.iteration > 0
    kept = here.loop.test - 1 if here.loop is not None and turned else len(old.done)
    if new.done[:kept] != old.done[:kept]:
        yield "lost or changed an output"
    if len(new.done) != len(old.done) and len(new.done) not in set(_reachable(here, len(old.done))):
        yield f"went from task {len(old.done)} to {len(new.done)} at once"


def _reachable(here: StagePlan, task: int) -> Iterator[int]:
    """Where a stage may be when a task is done: at the next, or where those lead that need no worker."""
    reached = [*_behind(here, task)]
    for place in reached:
        yield place
        following = here.tasks[place] if place < len(here.tasks) else None
        if isinstance(following, Wait) or (following is not None and own_test(following) is not None):
            reached += [one for one in _behind(here, place) if one not in reached]


def _behind(here: StagePlan, task: int) -> tuple[int, ...]:
    if here.loop is not None and task == here.loop.test:
        return task + 1, here.loop.end
    return (here.loop.test if here.loop is not None and task + 1 == here.loop.end else task + 1,)
