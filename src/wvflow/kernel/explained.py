"""Why a run is as it is: what each stage that isn't done waits for, and why each other one ended without success.

Pure, over plan and state: text and JSON are made of it, and nothing is looked up. Stages that succeeded have nothing to
be explained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec

from wvflow.kernel.because import Reason, Reasons, fate_of_failure
from wvflow.kernel.below import ChildExplained, InstancesExplained, child_of, instances_of
from wvflow.kernel.events import ChildReady, EpochMs, Event, TaskEvent, TaskStarted, TaskSucceeded
from wvflow.kernel.handled import unhandled
from wvflow.kernel.picture import Began, Picture
from wvflow.kernel.sagas import failed
from wvflow.kernel.state import Phase, RunPhase, RunState
from wvflow.kernel.unmet import Bound, Unmet, bound, bounds, deadline, paused, unmet
from wvflow.kernel.values import variables
from wvflow.lang.durations import format_duration
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import StageId


class Handled(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a failure is handled, and ``why`` (not)."""

    handled: bool
    why: str


class StageExplained(msgspec.Struct, frozen=True, kw_only=True):
    """One stage, or one instance of a mapped one. ``phase`` is the finer state. ``since``: when it began what it is
    at. ``unmet``: what it waits for, ``unless``: what ends the wait otherwise. ``child``: the run that it waits for.
    ``instances``: those of a mapped stage. ``reasons``: the chain that led to its end. ``failure``: whether its failure
    is handled, None where it didn't fail. ``deadline``: when it is late, where it may be yet; ``late``: since when it
    is."""

    stage: str
    state: str
    phase: str
    since: EpochMs | None = None
    unmet: tuple[Unmet, ...] = ()
    unless: tuple[Bound, ...] = ()
    child: ChildExplained | None = None
    instances: InstancesExplained | None = None
    reasons: tuple[Reason, ...] = ()
    failure: Handled | None = None
    deadline: Bound | None = None
    late: EpochMs | None = None


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A run. ``unmet``: what keeps all of it from going on, ``unless``: what ends it; ``reason``: why it ended
    as it did. ``variables``: its state, as JSON values, where its flow has any or it is paused. ``deadline`` and
    ``late`` as of a stage."""

    unmet: tuple[Unmet, ...] = ()
    unless: tuple[Bound, ...] = ()
    reason: str = ""
    stages: tuple[StageExplained, ...] = ()
    variables: dict[str, object] = {}
    deadline: Bound | None = None
    late: EpochMs | None = None


def explain(plan: FlowPlan, run: RunState, began: Began = MappingProxyType({})) -> Explained:
    """The run and all its stages in order of declaration, then what undoes some of them, in its order, then the hooks
    that are under way. ``began``: when the attempts that are running did."""
    seen = Picture(plan, run, began)
    why = Reasons(seen)
    stages = tuple(_stage(seen, one, why) for one in (*plan.declared, *_compensations(plan, run), *_hooks(plan, run)))
    limits = tuple(_limits(seen))
    return Explained(
        unmet=_stopping(run),
        unless=limits,
        reason=_ending(seen),
        stages=stages,
        variables=variables(plan, run),
        deadline=_deadline(seen),
        late=run.late,
    )


def _stage(seen: Picture, id: StageId, why: Reasons) -> StageExplained:
    phase, is_hook = seen.phase(id), seen.here(id).hook is not None
    return StageExplained(
        stage=seen.name(id),
        state=phase.shown,
        phase=phase.detailed,
        since=seen.since(id),
        unmet=tuple(unmet(seen, id)),
        unless=tuple(bounds(seen, id)),
        child=child_of(seen, id),
        instances=instances_of(seen, id),
        reasons=why.of(id),
        failure=_failure(seen, id) if phase is Phase.FAILED and seen.instance is None and not is_hook else None,
        deadline=deadline(seen, id),
        late=seen.stage(id).late,
    )


def explain_instance(plan: FlowPlan, run: RunState, id: StageId, number: int, began: Began) -> StageExplained:
    """One instance of a mapped stage, as a stage."""
    seen = Picture(plan, run, began).of_instance(id, number)
    return _stage(seen, id, Reasons(seen))


_BEGINS: Mapping[type[Event], tuple[Phase, ...]] = MappingProxyType(
    {
        TaskStarted: (Phase.ATTEMPTING,),
        TaskSucceeded: (Phase.WAITING, Phase.MAPPING),
        ChildReady: (Phase.AWAITING,),
    }
)
"""The phases that a stage may come into by an event that the driver reports."""


def starts(events: Iterable[Event]) -> Began:
    """When the stages, and the instances of mapped ones, began last what they are at."""
    reports = (event for event in events if isinstance(event, TaskEvent))
    return {
        (event.stage, event.instance, phase): event.at for event in reports for phase in _BEGINS.get(type(event), ())
    }


def _failure(seen: Picture, id: StageId) -> Handled:
    found, why = fate_of_failure(seen, id)
    return Handled(handled=found, why=why)


def _compensations(plan: FlowPlan, run: RunState) -> list[StageId]:
    found = dict.fromkeys(plan.stages[owner].compensation for owner, _ in run.undo)
    return [one for one in found if one is not None]


def _hooks(plan: FlowPlan, run: RunState) -> list[StageId]:
    """Those whose time has come, and before that what updates end with, as far as it is called."""
    pairs = enumerate(zip(plan.stages, run.stages, strict=True))
    if run.phase is not RunPhase.FINISHING:
        return [StageId(index) for index, (_, one) in pairs if one.calls]
    return [StageId(index) for index, (here, one) in pairs if here.hook is not None and not one.phase.is_terminal]


def _stopping(run: RunState) -> tuple[Unmet, ...]:
    if run.paused_at is not None:
        return (paused(run),)
    ending = run.ending.value.replace("_", " ") if run.ending else "cancelled"
    if run.phase is RunPhase.COMPENSATING:
        undone = f"what it did must be undone, the newest first: {run.undone - 1:,} of {len(run.undo):,} are"
        return (Unmet(condition=undone, event=f"the last compensation ends: then the run is {ending}"),)
    if run.phase is RunPhase.FINISHING:
        condition = f"its hooks and jumps must end: then the run is {ending}, whatever they come to"
        return (Unmet(condition=condition, event="the last of them ends"),)
    if run.phase is not RunPhase.CANCELLING:
        return ()
    condition = f"all of it must end: then the run is {ending}"
    return (Unmet(condition=condition, event="the last stage ends, or its time is over", due=_last_due(run)),)


def _limits(seen: Picture) -> Iterator[Bound]:
    if seen.run.timeout_due is not None:
        yield bound(f"`timeout` of {format_duration(seen.plan.timeout or 0)}", seen.run.timeout_due, seen.run)


def _deadline(seen: Picture) -> Bound | None:
    due, limit = seen.run.deadline_due, format_duration(seen.plan.deadline or 0)
    return None if due is None else bound(f"`deadline` of {limit} from its run time", due, seen.run)


def _last_due(run: RunState) -> EpochMs | None:
    """When nobody waits any longer."""
    dues = [due for due in (run.grace_due, run.cleanup_due) if due is not None]
    return max(dues, default=None)


def _ending(seen: Picture) -> str:
    """Why it ended, or will end, as it does."""
    match seen.run.ending or seen.run.phase:
        case RunPhase.FAILED:
            return _failing(seen)
        case RunPhase.TIMED_OUT:
            return f"it took longer than the flow's `timeout` of {format_duration(seen.plan.timeout or 0)}"
        case RunPhase.CANCELLED:
            return "it was asked to cancel"
        case RunPhase.TERMINATED:
            return "it was terminated"
        case RunPhase.SUCCESS if seen.run.failed:
            return "every failure was handled"
        case _:
            return ""


def _failing(seen: Picture) -> str:
    ids = unhandled(seen.plan, seen.stage)
    wrong = failed(seen.plan, seen.stage)
    if ids:
        undoes = [here.undoes.stage for one in wrong if (here := seen.plan.stages[one]).undoes is not None]
        also = f"; what was to undo {seen.named(*undoes)} failed, too" if wrong else ""
        return f"nothing handled the failure of {seen.named(*ids)}{also}"
    if wrong:
        return f"what was to be undone is not: {seen.named(*wrong)} failed"
    return "a stage was cancelled, though the run was not"
