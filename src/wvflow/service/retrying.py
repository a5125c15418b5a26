"""What a retry takes over of an ended run: every stage that is done, as long as nothing of it has changed.

A stage counts as done with all that it depends on: it succeeded, or was skipped for what these came to. It is taken
over unless it, or one that it depends on, is to be run again. Today's plan decides what follows from what; where a
stage to be taken over does something else now than in the run, by itself or by what it depends on, the retry is
refused.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from wvflow.diagnostics import nearest
from wvflow.drivers.projection import compensation_state
from wvflow.drivers.upstreams import as_before, as_upstream, begun_with
from wvflow.errors import NotPossible, UserError
from wvflow.kernel.events import EpochMs, Output, Retry, Reused, Upstream, Window
from wvflow.plan.content import contents, work
from wvflow.plan.nodes import Bundle, FlowPlan, StagePlan
from wvflow.plan.parameters import bind
from wvflow.plan.refs import FlowRef, StageId
from wvflow.plan.tasks import QueryTask
from wvflow.ports.rows import RunRow, StageRow
from wvflow.ports.store import Store
from wvflow.service.planned import planned_program
from wvflow.service.program import Compiled
from wvflow.service.project import Project

BEHIND = "it depends on one of these"


class StagesChanged(NotPossible):
    """Stages that a retry was to take over do something else now. ``stages``: those that would run again."""

    def __init__(self, message: str, *, help: str, stages: tuple[str, ...]) -> None:
        super().__init__(message, help=help)
        self.stages = stages


class Pinned(msgspec.Struct, frozen=True):
    """A flow in the bundle that has its plan."""

    bundle: Bundle
    flow: FlowRef

    @property
    def plan(self) -> FlowPlan:
        return self.bundle.plan(self.flow)


class PlannedRetry(msgspec.Struct, frozen=True):
    """All that a retry is started with. ``handed``: the rows that the run it is a retry of was given."""

    flow: FlowRef
    params: dict[str, object]
    run_time: EpochMs
    retry: Retry
    handed: Output | None
    window: Window | None = None
    upstream: tuple[Upstream, ...] = ()


def planned_retry(
    store: Store, run: RunRow, then: Bundle, now: Bundle, again: Sequence[str], version: int | None
) -> PlannedRetry:
    """A retry of an ended run, from its plan and today's. Raises: UserError, NotPossible, JournalCorrupt."""
    flow = todays_flow(now, run, version)
    retry = retry_of(run, store.stages(run.run_id), Pinned(then, run.flow), Pinned(now, flow), again)
    plan = now.plan(flow)
    params = _still_declared(plan, run.params)
    begun = begun_with(store.events(run.run_id)[0].event)
    return PlannedRetry(
        flow, params, run.run_time, retry, begun.input, begun.window, as_before(store, plan, begun.upstream)
    )


def in_its_place(store: Store, run: RunRow, now: Bundle, again: Sequence[str], version: int | None) -> PlannedRetry:
    """A retry of a run that was ended before it began: nothing of it is done. Raises: UserError, NotPossible."""
    order, flow = store.withdrawn(run.run_id), todays_flow(now, run, version)
    plan, uses = now.plan(flow), store.uses(run.run_id)
    for name in again:
        _check_stage(plan, name)
    if order is None or (plan.after and not uses):
        raise NotPossible(f"run {run.run_id} was {run.state} before it began", help="start another: `wvflow run`")
    params = _still_declared(plan, order.params)
    upstream = as_upstream(store, plan, uses)
    return PlannedRetry(flow, params, order.run_time, Retry(run.run_id), None, order.window, upstream)


def _still_declared(plan: FlowPlan, params: Mapping[str, object]) -> dict[str, object]:
    declared = {param.name for param in plan.params}
    return bind(plan, {name: value for name, value in params.items() if name in declared})


def todays_program(project: Project, flow: str) -> Compiled:
    """The program as its files are now, without the broken ones that the flow can do without."""
    whole = planned_program(project)
    defining = (name for name, refs in whole.flows.items() if any(ref.flow == flow for ref in refs))
    if whole.bundle is not None or (name := next(defining, None)) is None:
        return whole
    return planned_program(project, project.root / name)


def todays_flow(bundle: Bundle, run: RunRow, version: int | None) -> FlowRef:
    """The flow that a retry runs: the version that is asked for, else that of the run, else the highest there is.

    Raises: UserError, the program doesn't have it any more.
    """
    versions = sorted(plan.version for plan in bundle.flows.values() if plan.flow == run.flow.flow)
    if not versions:
        raise UserError(f"the program has no flow `{run.flow.flow}` any more", help="define it again")
    if version is not None and version not in versions:
        known = ", ".join(map(str, versions))
        raise UserError(f"there is no flow `{run.flow.flow}` in version {version}", help=f"it has: {known}")
    wanted = run.flow.version if version is None else version
    return FlowRef(run.flow.flow, wanted if wanted in versions else versions[-1])


class Left(NamedTuple):
    """What a run leaves to a retry. ``again``: those of its finished stages that do something else now and those that
    depend on them, each with the reason."""

    taken: tuple[Reused, ...]
    again: dict[str, str]


def retry_of(run: RunRow, rows: Sequence[StageRow], then: Pinned, now: Pinned, again: Sequence[str]) -> Retry:
    """What a retry of a run takes over; not the stages of ``again``, and what follows from them.

    Raises: UserError (no such stage), StagesChanged (a stage to be taken over does something else now).
    """
    for name in again:
        _check_stage(now.plan, name)
    left = left_by(run, rows, then, now, again)
    if left.again:
        raise _refusal(run, now, again, left.again)
    return Retry(run.run_id, left.taken)


def left_by(run: RunRow, rows: Sequence[StageRow], then: Pinned, now: Pinned, again: Sequence[str] = ()) -> Left:
    """What of a run is done, and was not undone, and can be taken over, where it isn't one of ``again`` or follows from
    one."""
    done = _done(then.plan, rows)
    left, before = _following(now.plan, again), {stage.name: stage for stage in then.plan.stages}
    old, new = contents(then.bundle, then.flow), contents(now.bundle, now.flow)
    taken: dict[str, Reused] = {}
    changed: dict[str, str] = {}
    for index, stage in enumerate(now.plan.stages):
        needs = [now.plan.stages[one].name for one in stage.upstreams]
        row = done.get(stage.name)
        if row is None or stage.name in left or any(one in before and one not in taken for one in needs):
            continue  # it is run, or something that it depends on is
        if why := _changed(stage, before[stage.name], old[stage.name] == new[stage.name], then.plan, now.plan):
            changed |= {stage.name: why} if row.state == "success" else {}
        else:
            origin = row.reused or run.run_id
            taken[stage.name] = Reused(StageId(index), row.output or Output(), origin, row.reason or "")
    succeeded = {name for name, row in done.items() if row.state == "success"}
    lost = [name for name in _following(now.plan, changed) if name in succeeded]
    return Left(tuple(taken.values()), {name: changed.get(name, BEHIND) for name in lost})


def _check_stage(plan: FlowPlan, name: str) -> None:
    known = [plan.stages[one].name for one in plan.declared]
    if name not in known:
        near = nearest(name, known)
        way_out = f"did you mean `{near}`?" if near else f"its stages: {', '.join(known)}"
        raise UserError(f"the flow `{plan.flow}` has no stage `{name}`", help=way_out)


def _done(plan: FlowPlan, rows: Sequence[StageRow]) -> dict[str, StageRow]:
    """The stages that are done, by name."""
    by_index = {row.index: row for row in rows}
    undoing = {owner: by_index[one] for owner, one in plan.compensations.items() if one in by_index}
    undone = {owner for owner, row in undoing.items() if compensation_state(row, "") is not None}
    own = (by_index[one] for one in plan.declared if one in by_index and one not in undone)
    return {row.stage: row for row in own if _is_done(row)}


def _is_done(row: StageRow) -> bool:
    """A failure that counts as a skip is tried again."""
    return row.state == "success" or (row.state == "skipped" and row.reason != "on_failure")


def _following(plan: FlowPlan, names: Collection[str]) -> dict[str, str]:
    """These stages and all that depend on them, in the plan's order; each with the one that it follows from."""
    found = dict.fromkeys(names, "")
    for stage in plan.stages:
        for one in stage.upstreams:
            if plan.stages[one].name in found and stage.name not in found:
                found[stage.name] = plan.stages[one].name
    return found


def _changed(stage: StagePlan, before: StagePlan, is_same: bool, then: FlowPlan, now: FlowPlan) -> str:
    """Why a stage can't be taken over, ``""`` where it can."""
    if work(then, before) != work(now, stage):
        return "it does something else now"
    if not is_same:
        return "a flow that it calls does something else now"
    kept = zip(before.all_tasks, stage.all_tasks, strict=True)
    if any(isinstance(old, QueryTask) and isinstance(new, QueryTask) and new.keep > old.keep for old, new in kept):
        return "its rows were not kept, as nobody read them"
    return ""


def _refusal(run: RunRow, now: Pinned, asked: Sequence[str], again: Mapping[str, str]) -> StagesChanged:
    """``asked``: the stages that are to run again anyway."""
    names = dict.fromkeys((*asked, *(name for name, why in again.items() if why != BEHIND)))
    options = [f"--from {shlex.quote(name)}" for name in names]
    if now.flow.version != run.flow.version:
        options.append(f"--version {now.flow.version}")
    told = "\n".join(f"  {name}: {why}" for name, why in again.items())
    return StagesChanged(
        f"run {run.run_id} can't be retried as it was: of its finished stages these would run again\n{told}",
        help=f"to run them: wvflow runs retry {run.run_id} {' '.join(options)}",
        stages=tuple(again),
    )
