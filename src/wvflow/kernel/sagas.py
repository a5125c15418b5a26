"""Sagas: what of a run is to be undone when it fails, in which order, and what of that went wrong.

    scopes that count ──newest end first──▶ ``RunState.undo`` ──one after another──▶ compensations

A compensation is a pseudo-stage of the plan, as a hook is, with the policy of what it calls. What is undone by itself
is an effect scope (``scopes``): a stage, or an instance or iteration of one; there the compensation has instances.
It counts when any of its effects completed, or when nobody knows whether one did: an attempt timed out, was lost, or
was cancelled midway. What an attempt that returned an error did is its own business, unless ``compensate_on: attempt``.
What is done key by key may be done for some of them although the attempt failed. Only the ledger knows that, so such a
stage counts, and its compensation is skipped where it finds that there is nothing to undo.

A stage without a compensation that starts a flow which has some is undone by that: those of its children that succeeded
undo what they did (``undone_children``). Such a run is asked by ``UndoRequested``, and then undoes all that counts.

Undoing happens at two times. When all stages have ended and the run is not to succeed, it is ``compensating`` until all
is undone. Before that, what failed without anybody knowing how far it came is undone before its fallback begins: both
may do the same thing. Either way the queue is one, so nothing is undone twice, and nothing side by side.

Nothing stops a compensation but ``terminate``, which also empties the queue. One that fails for good leaves the others
to go on, and makes the run fail. A run of which anything was undone can't be reopened: what is undone isn't done.

Source: flow language, section 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from wvflow.kernel.children import ending
from wvflow.kernel.events import NOTHING_TO_UNDO, ChildClosed, Failure, TaskFailed, TaskLost, TaskTimedOut
from wvflow.kernel.scene import Scene
from wvflow.kernel.scopes import scopes
from wvflow.kernel.state import Instances, Phase, RunPhase, RunState, StageState, Tally, Vector
from wvflow.kernel.told import Abandoned, ChildOverdue, ScheduleOver, StageEvent, UndoBegan
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import StageId
from wvflow.plan.tasks import ChildTask, is_effect

Unit = tuple[StageId, int]
"""What is undone at once: a stage, and the number of the scope, 0 for the whole."""

StateOf = Callable[[StageId], StageState]

UNDONE = (RunPhase.FAILED, RunPhase.TIMED_OUT, RunPhase.CANCELLED)
"""The ends of a run before which what it did is undone."""


def to_undo(plan: FlowPlan, run: RunState, state_of: StateOf) -> tuple[Unit, ...]:
    """What is to be undone of a run whose stages have all ended, but for what is or was undone already."""
    queued = {stage for stage, _ in run.undo}
    owners = [StageId(one) for one, here in enumerate(plan.stages) if here.compensation is not None]
    return _newest_first((one for one in owners if one not in queued), plan, state_of)


def units_of(plan: FlowPlan, id: StageId, state_of: StateOf) -> tuple[Unit, ...]:
    """What is to be undone of one stage."""
    return _newest_first([id], plan, state_of)


def is_unsure(stage: StageState) -> bool:
    """Whether nobody knows what a stage, or any of its instances, did."""
    return stage.unsure or (stage.instances is not None and any(one.unsure for one in stage.instances.states))


def was_undone(plan: FlowPlan, run: RunState) -> bool:
    """Whether anything of a run was undone, or was to be, rather than found not to have been done at all."""
    return any(not _found_nothing(plan, run, *unit) for unit in run.undo)


def _found_nothing(plan: FlowPlan, run: RunState, owner: StageId, number: int) -> bool:
    found = plan.stages[owner].compensation
    if found is None:
        return False
    stage = run.stages[found]
    one = stage if not number or stage.instances is None else stage.instances[number]
    return one.phase is Phase.SKIPPED and one.reason == NOTHING_TO_UNDO


def _newest_first(ids: Iterable[StageId], plan: FlowPlan, state_of: StateOf) -> tuple[Unit, ...]:
    """Of those that ended in the same millisecond, a stage comes before what it reads."""
    found = [
        (scope.ended_at, owner, order, scope.number)
        for owner in ids
        for order, scope in enumerate(scopes(plan.stages[owner], state_of(owner)))
    ]
    return tuple((owner, number) for _, owner, _, number in sorted(found, reverse=True))


# --- what an event leaves unknown -----------------------------------------------------------------------------------


def in_doubt(scene: Scene, stage: StageState, event: StageEvent) -> bool:
    """Whether what happens to a stage leaves it open what its current task did."""
    if scene.plan.compensation is None or stage.phase.is_terminal or len(stage.done) >= len(scene.plan.tasks):
        return False
    if scene.plan.asks_children:
        return False  # they know
    task = scene.task(stage)
    if isinstance(task, ChildTask):
        return stage.phase is Phase.AWAITING and _child_in_doubt(scene, task, event)
    return is_effect(task) and _work_in_doubt(scene, stage, event)


def _work_in_doubt(scene: Scene, stage: StageState, event: StageEvent) -> bool:
    begun = stage.phase is Phase.ATTEMPTING
    match event:
        case TaskTimedOut(kind=kind):
            return kind != "start"
        case TaskLost():
            return begun or _may_have_begun(scene, stage)
        case TaskFailed():
            return begun and (scene.cancelling or scene.plan.undo_errors)
        case Abandoned() | ScheduleOver():
            return begun
        case _:
            return False


def _may_have_begun(scene: Scene, stage: StageState) -> bool:
    """The start of a first delivery rides with the next commit, so that it may be lost with the work."""
    return stage.phase is Phase.QUEUED and stage.delivery == 1 and scene.policy(stage).on_lost == "rerun"


def _child_in_doubt(scene: Scene, task: ChildTask, event: StageEvent) -> bool:
    """One that ended by itself, or was asked to, has undone what it did."""
    match event:
        case ChildClosed(state=state):
            return state == "terminated" or (scene.plan.undo_errors and state != "success")
        case Abandoned() | ScheduleOver() | ChildOverdue():
            return ending(task) == "terminate"
        case _:
            return False


# --- compensations of several scopes, and what failed ----------------------------------------------------------------


def begin_instances(stage: StageState, event: UndoBegan) -> StageState:
    """The compensation of a stage with several scopes, before the first of its instances begins. The queue gives them
    their turn. In a run that was reopened, their attempts have numbers that none has had."""
    due, nothing = frozenset(event.due), StageState(phase=Phase.SKIPPED, reason=NOTHING_TO_UNDO, ended_at=event.at)
    group = Instances(event.count, Vector.of(StageState(attempt=stage.attempt), event.count))
    states = group.states.update({number - 1: nothing for number in range(1, event.count + 1) if number not in due})
    ended = Tally(skipped=event.count - len(due))
    return replace(
        stage,
        phase=Phase.MAPPING,
        attempt=stage.attempt + 1,
        first_at=event.at,
        instances=replace(group, states=states, begun=event.count, ended=ended),
    )


def failed(plan: FlowPlan, state_of: StateOf) -> list[StageId]:
    """The compensations that failed for good."""
    ids = (StageId(index) for index, here in enumerate(plan.stages) if here.hook == "compensation")
    return [one for one in ids if state_of(one).phase is Phase.FAILED]


def with_failures(plan: FlowPlan, run: RunState, ids: Sequence[StageId], state_of: StateOf) -> Failure | None:
    """The failure of a run, and what went wrong while it was undone."""
    if not ids:
        return run.failure
    causes = [(plan.stages[one].name, state_of(one).failure) for one in ids]
    said = "; ".join(f"`{name}` failed: {cause.kind}: {cause.message}" for name, cause in causes if cause is not None)
    if run.failure is None:
        return Failure("CompensationFailed", said, retryable=False)
    return replace(run.failure, message=f"{run.failure.message}; then {said}")
