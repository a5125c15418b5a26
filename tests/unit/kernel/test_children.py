"""Children: what a stage makes of the start and the end of a run that it begins."""

from __future__ import annotations

import pytest

from wvflow.kernel.children import child_run_id
from wvflow.kernel.commands import CancelChild, Command, RunTask, StartChild, StartTimer
from wvflow.kernel.events import ChildClosed, ChildReady, ChildStarted, EpochMs, Output
from wvflow.kernel.scene import Scene
from wvflow.kernel.stage import advance
from wvflow.kernel.state import Phase, StageState
from wvflow.kernel.told import CancelAsked, ChildOverdue, StageEvent, TriggerHeld
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import StagePlan
from wvflow.plan.refs import FlowRef, Millis, StageId
from wvflow.plan.tasks import ChildTask, Policy, QueryTask

T = EpochMs(1_000)
ID = StageId(7)
G = FlowRef("G", 1)
CHILD = child_run_id("r", "a", 0, 1)
ROWS, LINK = Output("rows", 3), Output("link", 1)
RETRIED = Policy(retries=1, retry_delay=Millis(5))

WAITED = ChildTask(G, policy=RETRIED)
BOUNDED = ChildTask(G, policy=Policy(retries=1, retry_delay=Millis(5), timeout=Millis(100)))
DETACHED = ChildTask(G, policy=RETRIED, detach=True)
ASKED = ChildTask(G, policy=BOUNDED.policy, parent_close="request_cancel")
ABANDONED = ChildTask(G, policy=BOUNDED.policy, parent_close="abandon")

HELD = TriggerHeld(T)
READY = ChildReady(T, ID, 0, 1)
LINKED = ChildReady(T, ID, 0, 1, output=LINK)
STARTED = ChildStarted(T, ID, 0, 1)
OVERDUE = ChildOverdue(T, 1)
RETRY = StartTimer("retry:7:2", EpochMs(1_005))


def closed(state: str, output: Output | None = None, child: str = CHILD) -> ChildClosed:
    return ChildClosed(T, ID, 0, 1, child, state, output)


def goes_on(given: Output) -> RunTask:
    return RunTask(ID, 1, 1, given)


Row = tuple[ChildTask, tuple[StageEvent, ...], Phase, tuple[Command, ...]]
SUCCESS = closed("success", ROWS)
MOVES: dict[str, Row] = {
    "it is begun once it is known with what": (
        WAITED, (HELD, READY), Phase.AWAITING, (StartChild(ID, 0, 1, CHILD, G, 1),)),
    "its rows go on": (WAITED, (HELD, READY, SUCCESS), Phase.QUEUED, (goes_on(ROWS),)),
    "its failure is retried": (WAITED, (HELD, READY, closed("failed")), Phase.RETRYING, (RETRY,)),
    "its cancel is the stage's": (WAITED, (HELD, READY, closed("cancelled")), Phase.CANCELLED, ()),
    "the end of another is none": (WAITED, (HELD, READY, closed("failed", child="other")), Phase.AWAITING, ()),
    "one that takes too long is told to end": (
        BOUNDED, (HELD, READY, OVERDUE), Phase.RETRYING, (CancelChild(ID, 0, 1, CHILD, "terminate"), RETRY)),
    "one that is abandoned isn't": (ABANDONED, (HELD, READY, OVERDUE), Phase.RETRYING, (RETRY,)),
    "a cancel waits for its end": (
        WAITED, (HELD, READY, CancelAsked(T)), Phase.AWAITING, (CancelChild(ID, 0, 1, CHILD, "terminate"),)),
    "one that is asked to end is waited for": (
        ASKED, (HELD, READY, OVERDUE), Phase.AWAITING, (CancelChild(ID, 0, 1, CHILD, "cancel"),)),
    "and then its time was over": (ASKED, (HELD, READY, OVERDUE, closed("cancelled")), Phase.RETRYING, (RETRY,)),
    "also where it could not undo what it did": (
        ASKED, (HELD, READY, OVERDUE, closed("failed")), Phase.RETRYING, (RETRY,)),
    "its success counts all the same": (ASKED, (HELD, READY, OVERDUE, SUCCESS), Phase.QUEUED, (goes_on(ROWS),)),
    "of one that nobody waits for, the start is enough": (
        DETACHED, (HELD, LINKED, STARTED), Phase.QUEUED, (goes_on(LINK),)),
    "its end tells that it started, and no more": (
        DETACHED, (HELD, LINKED, SUCCESS), Phase.QUEUED, (goes_on(LINK),)),
    "even where it failed": (DETACHED, (HELD, LINKED, closed("failed")), Phase.QUEUED, (goes_on(LINK),)),
    "and comes too late after its start": (DETACHED, (HELD, LINKED, STARTED, SUCCESS), Phase.QUEUED, ()),
}  # fmt: skip


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in MOVES.items()])
def test_a_child_moves_its_stage(row: Row) -> None:
    task, events, phase, commands = row
    scene = Scene(ID, StagePlan("a", (task, QueryTask(Single()))), epoch=0, lost_limit=3, cancelling=False, run_id="r")
    stage, ordered = StageState(), ()
    for event in events:
        stage, ordered = advance(scene, stage, event)
    assert (stage.phase, ordered) == (phase, commands)
