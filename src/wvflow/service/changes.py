"""What a program would change against what runs have recorded: flows and stages, settings, and the runs that are open.

Of each version of a flow, the plan of its newest run is what is recorded; of one that was never run itself, what the
runs know that could have started it. A version that the program has no more is told as removed as long as no run of
another one is newer, or one of its own is open. Nothing is written, and nothing is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

import msgspec

from wvflow.plan.content import Part, contents, conversation, work
from wvflow.plan.conversation import signature, state_text
from wvflow.plan.nodes import Bundle, FlowPlan, StagePlan
from wvflow.plan.refs import FlowRef
from wvflow.plan.settings import Changed, changed, flow_settings, stage_settings
from wvflow.ports.rows import RunRow
from wvflow.ports.store import Store
from wvflow.service.project import Project
from wvflow.service.recorded import bundle_of, newest, open_runs, recorded_runs
from wvflow.service.retrying import Pinned, left_by

Change: TypeAlias = Literal["added", "changed", "removed", "unchanged"]


class StageChange(msgspec.Struct, frozen=True):
    """``change``: ``changed`` where it does something else, ``settings`` where it is only tried, limited or described
    otherwise. ``why``: in words, of settings what each was and is."""

    stage: str
    change: Literal["added", "changed", "removed", "settings"]
    why: str = ""


class ConversationChange(msgspec.Struct, frozen=True):
    """A variable, or something that a run is told or asked. ``why``: in words."""

    kind: Part
    name: str
    change: Literal["added", "changed", "removed"]
    why: str = ""


class OpenRun(msgspec.Struct, frozen=True):
    """A run that has not ended. ``movable``: a retry of it under today's plan, of version ``target``, would take over
    all that it has finished; ``again``: what of that would run again instead, each with the reason."""

    run_id: str
    state: str
    target: int | None
    movable: bool
    again: dict[str, str] = {}


class FlowChange(msgspec.Struct, frozen=True):
    """One version of a flow. ``recorded``: the run whose plan it is compared with, None where there is none."""

    flow: str
    version: int
    change: Change
    recorded: str | None = None
    stages: tuple[StageChange, ...] = ()
    conversation: tuple[ConversationChange, ...] = ()
    settings: tuple[Changed, ...] = ()
    open_runs: tuple[OpenRun, ...] = ()


def changes(project: Project, now: Bundle) -> tuple[FlowChange, ...]:
    """Every version of every flow that the program has, was run last, or has open runs; by name and version."""
    with recorded_runs(project) as store:
        runs = {} if store is None else newest(project, store)
        plans = {} if store is None else _plans(store, runs)
        opened = {} if store is None else _opened(project, store, now)
    last = {run.flow.flow: run.flow for run in sorted(runs.values(), key=lambda run: run.started_at or 0)}
    refs = {plan.ref for plan in now.flows.values()} | opened.keys() | set(last.values())
    return tuple(_change(ref, now, plans.get(ref), tuple(opened.get(ref, ()))) for ref in sorted(refs))


def _plans(store: Store, runs: Mapping[FlowRef, RunRow]) -> dict[FlowRef, tuple[RunRow, Pinned]]:
    """What is recorded of each version, by its own newest run or else by one that could have started it."""
    bundles = {run.flow: (run, bundle) for run in runs.values() if (bundle := bundle_of(store, run)) is not None}
    found = {ref: (run, Pinned(bundle, ref)) for ref, (run, bundle) in bundles.items()}
    for run, bundle in bundles.values():
        for plan in bundle.flows.values():
            found.setdefault(plan.ref, (run, Pinned(bundle, plan.ref)))
    return found


def _opened(project: Project, store: Store, now: Bundle) -> dict[FlowRef, list[OpenRun]]:
    found: dict[FlowRef, list[OpenRun]] = {}
    for run in open_runs(project, store):
        found.setdefault(run.flow, []).append(_open_run(run, store, now))
    return found


def _open_run(run: RunRow, store: Store, now: Bundle) -> OpenRun:
    """Where it could go on: the highest version that the program has, which is what the name means from now on."""
    targets = [plan.version for plan in now.flows.values() if plan.flow == run.flow.flow]
    bundle = bundle_of(store, run)
    if not targets or bundle is None:
        return OpenRun(run.run_id, run.state, max(targets, default=None), movable=False)
    target = FlowRef(run.flow.flow, max(targets))
    left = left_by(run, store.stages(run.run_id), Pinned(bundle, run.flow), Pinned(now, target))
    return OpenRun(run.run_id, run.state, target.version, movable=not left.again, again=left.again)


def _change(ref: FlowRef, now: Bundle, before: tuple[RunRow, Pinned] | None, opened: tuple[OpenRun, ...]) -> FlowChange:
    run = None if before is None else before[0].run_id
    if ref.key not in now.flows:
        return FlowChange(ref.flow, ref.version, "removed", run, open_runs=opened)
    if before is None:
        plan = now.plan(ref)
        stages = tuple(StageChange(plan.stages[one].name, "added") for one in plan.declared)
        told = tuple(ConversationChange(kind, name, "added") for kind, name in conversation(plan))
        return FlowChange(ref.flow, ref.version, "added", run, stages, told, open_runs=opened)
    then, today = before[1], Pinned(now, ref)
    stages = tuple(_stages(then, today))
    told = tuple(_conversation(then.plan, today.plan))
    settings = tuple(changed(flow_settings(then.plan), flow_settings(today.plan)))
    change: Change = "changed" if stages or told or settings else "unchanged"
    return FlowChange(ref.flow, ref.version, change, run, stages, told, settings, opened)


def _stages(then: Pinned, now: Pinned) -> Iterator[StageChange]:
    """Those that differ, in the order of the program; hooks and jumps last, then those that it has no more. What the
    call of an update does is told of the update."""
    old = {stage.name: stage for stage in then.plan.stages}
    before, after = contents(then.bundle, then.flow), contents(now.bundle, now.flow)
    declared = [now.plan.stages[one] for one in now.plan.declared]
    for stage in (*declared, *[one for one in now.plan.stages if one.hook is not None]):
        if (was := old.pop(stage.name, None)) is None:
            if stage.hook != "update":
                yield StageChange(stage.name, "added")
            continue
        set_ = [_from_to(one) for one in changed(stage_settings(then.plan, was), stage_settings(now.plan, stage))]
        if work(then.plan, was) != work(now.plan, stage):
            if stage.hook != "update":
                yield StageChange(stage.name, "changed", ", ".join(["does something else", *set_]))
        elif before.get(stage.name) != after.get(stage.name):
            yield StageChange(stage.name, "changed", ", ".join([_through(stage, now.plan, before, after), *set_]))
        elif set_:
            yield StageChange(stage.name, "settings", ", ".join(set_))
    yield from (StageChange(name, "removed") for name, was in old.items() if was.hook != "update")


def _from_to(change: Changed) -> str:
    """``retries: 2 → 3``"""
    return f"{change.name}: {change.before or 'none'} → {change.after or 'none'}"


def _through(stage: StagePlan, plan: FlowPlan, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """By which of its upstreams it has changed; where by none, a flow that it calls has."""
    needs = [plan.stages[one].name for one in stage.upstreams]
    changed = [f"`{name}`" for name in needs if before.get(name) != after.get(name)]
    return f"depends on {', '.join(changed)}" if changed else "calls a flow that does something else"


def _conversation(then: FlowPlan, now: FlowPlan) -> Iterator[ConversationChange]:
    """State, signals, updates and queries that differ, then those that it has no more."""
    old = conversation(then)
    for (kind, name), content in conversation(now).items():
        if (was := old.pop((kind, name), None)) is None:
            yield ConversationChange(kind, name, "added")
        elif was != content:
            yield ConversationChange(kind, name, "changed", _told_otherwise(kind, name, then, now))
    yield from (ConversationChange(kind, name, "removed") for kind, name in old)


def _told_otherwise(kind: Part, name: str, then: FlowPlan, now: FlowPlan) -> str:
    before, after = _heads(kind, name, then), _heads(kind, name, now)
    if changed := [f"{old or 'none'} → {new or 'none'}" for old, new in zip(before, after, strict=True) if old != new]:
        return ", ".join(changed)
    return "begins with something else" if kind == "state" else "does something else"


def _heads(kind: Part, name: str, plan: FlowPlan) -> tuple[str, ...]:
    """What can be shown of it in a few words."""
    if kind == "state":
        return tuple(state_text(one).removeprefix(f"{name}: ") for one in plan.state if one.name == name)
    if kind == "update":
        found = (one for one in plan.updates if one.name == name)
        return next((signature(name, one.params), f"where {one.text}" if one.text else "") for one in found)
    several = plan.signals if kind == "signal" else plan.queries
    return tuple(signature(name, one.params) for one in several if one.name == name)
