"""Plans that runs have recorded: what a version was that the program has no more, or has otherwise now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wvflow.errors import PlanMissing
from wvflow.kernel.state import ENDED, RunPhase
from wvflow.lang.catalog import Columns, Parameter, RecordedFlow
from wvflow.plan.codec import decode, encode
from wvflow.plan.content import body
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.plan.reach import joined, reached
from wvflow.plan.refs import FlowRef
from wvflow.ports.store import ENDED_STATES, QUARANTINED

if TYPE_CHECKING:
    from wvflow.diagnostics import Diagnostic
    from wvflow.ports.rows import RunRow
    from wvflow.ports.store import Store
    from wvflow.service.program import Compiled
    from wvflow.service.project import Project


OPEN_STATES = (*(phase.value for phase in RunPhase if phase not in ENDED), QUARANTINED)


@contextmanager
def recorded_runs(project: Project) -> Iterator[Store | None]:
    """The store of a project, None where nothing was ever recorded: looking makes no state folder."""
    if not (project.state / "state.db").exists():
        yield None
        return
    from wvflow.service.wiring import Wiring

    with closing(Wiring().store(project)) as store:
        yield store


def is_of(project: Project, run: RunRow) -> bool:
    """Whether a run is of this program, which may have been moved, and not of another on the same state folder."""
    return run.project in ("", str(project.root)) or not Path(run.project).exists()


def newest(project: Project, store: Store) -> dict[FlowRef, RunRow]:
    """The newest run of each version of each flow."""
    return {run.flow: run for run in store.newest() if is_of(project, run)}


def bundle_of(store: Store, run: RunRow) -> Bundle | None:
    """What a run is pinned to; None where that is damaged or gone."""
    with suppress(PlanMissing, msgspec.MsgspecError):
        return decode(store.bundle(run.bundle))
    return None


def open_runs(project: Project, store: Store) -> list[RunRow]:
    """The runs that have not ended, oldest first."""
    found = [run for state in OPEN_STATES for run in store.runs(state=state) if is_of(project, run)]
    return sorted(found, key=lambda run: (run.started_at or 0, run.run_id))


def changed_versions(project: Project, compiled: Compiled) -> tuple[Diagnostic, ...]:
    """Warnings of flows that do something else than the newest run of their version did, or than one that is open."""
    if compiled.bundle is None or compiled.checked is None:
        return ()
    from wvflow.semantics.mistakes_of_calls import changed_version

    flows = {flow.ref: (flow.span, compiled.bundle.plan(flow.ref)) for flow in compiled.checked.flows}
    with recorded_runs(project) as store:
        if store is None:
            return ()
        runs = [run for run in (*newest(project, store).values(), *open_runs(project, store)) if run.flow in flows]
        bundles = {run.bundle: bundle_of(store, run) for run in runs}
    others: dict[FlowRef, RunRow] = {}
    for run in runs:
        bundle = bundles[run.bundle]
        if bundle is not None and body(bundle.plan(run.flow)) != body(flows[run.flow][1]):
            others[run.flow] = run
    return tuple(changed_version(ref.flow, ref.version, flows[ref][0], _told(run)) for ref, run in others.items())


def _told(run: RunRow) -> str:
    still = "" if run.state in ENDED_STATES else f", which is {run.state},"
    return f"run {run.run_id}{still} did with it"


def recorded_flows(project: Project, wanted: Iterable[FlowRef]) -> dict[tuple[str, int], RecordedFlow]:
    """Those of the wanted versions that runs have recorded, as their newest run has them."""
    refs = sorted(wanted)
    if not refs:
        return {}
    with recorded_runs(project) as store:
        runs = newest(project, store) if store is not None else {}
        found = {ref: bundle_of(store, runs[ref]) for ref in refs if store is not None and ref in runs}
    return {(ref.flow, ref.version): _recorded(bundle, ref) for ref, bundle in found.items() if bundle is not None}


def _recorded(bundle: Bundle, ref: FlowRef) -> RecordedFlow:
    plan = bundle.plan(ref)
    parameters = tuple(Parameter(one.name, one.type, required=one.default is None) for one in plan.params)
    return RecordedFlow(parameters, _columns(plan), encode(reached(bundle, ref)))


def _columns(plan: FlowPlan) -> Columns | None:
    return None if plan.output is None else plan.stages[plan.output].shape


def with_version(project: Project, program: Compiled, ref: FlowRef) -> Compiled | None:
    """The program with a version that it doesn't define, as runs have recorded it; None where none has."""
    if program.bundle is None or ref.key in program.bundle.flows:
        return program
    if not (found := recorded_flows(project, [ref])):
        return None
    bundle = joined(program.bundle, decode(found[ref.flow, ref.version].bundle))
    return msgspec.structs.replace(program, bundle=bundle)
