"""The runs of other flows that a run comes after: which ones it uses, and what of them it reads (flow language, section
5, "depends on").

Of each flow that a header names it is the run that ended first among those that no run of this flow has used, and
that fits the others: those that come after one flow come after one run of it (``fitting``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from msgspec.structs import replace

from wvflow.drivers.fitting import fitting
from wvflow.errors import NotPossible, RunNotFound
from wvflow.kernel.continued import carried
from wvflow.kernel.events import NOTHING, Continued, EpochMs, Event, Output, RunStarted, Upstream
from wvflow.kernel.state import RunState
from wvflow.plan.dependencies import After, after_text
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.dependencies import ANY, Among, Dependencies, Use
from wvflow.ports.rows import RunRow, StageRow
from wvflow.ports.store import Store

_FEW = 32
_ENDED = {"success": "succeeded", "failed": "failed", "cancelled": "was cancelled"}


class NoUpstreamRun(NotPossible):
    """There is no run that a run could come after."""


def found(
    store: Dependencies, project: str, plan: FlowPlan, among: Among = ANY, but: Collection[str] = ()
) -> tuple[RunRow, ...] | None:
    """The runs that another run of a flow would come after; None where there are none. Of a flow that comes after no
    others it is none, ``()``. ``but``: runs that are taken already."""
    if not plan.after:
        return ()
    several = (_several(store, project, plan.flow, one, among, but) for one in plan.after)
    return next((rows for rows in several if rows is not None), None)


def _several(
    store: Dependencies, project: str, flow: str, several: Sequence[After], among: Among, but: Collection[str]
) -> tuple[RunRow, ...] | None:
    first = [_first(store, project, flow, one, among, but) for one in several]
    if any(row is None for row in first):
        return None
    rows = tuple(row for row in first if row is not None)
    if len(rows) == 1 or fitting([[row] for row in rows], store.origins([row.run_id for row in rows])):
        return rows
    return _fitting(store, project, flow, several, among, but)


def _fitting(
    store: Dependencies, project: str, flow: str, several: Sequence[After], among: Among, but: Collection[str]
) -> tuple[RunRow, ...] | None:
    """Looked for among those that ended first, and as long as there are none among more."""
    most = _FEW
    while True:
        every = [store.unused(project, flow, one, among, limit=most + len(but)) for one in several]
        free = [[row for row in rows if row.run_id not in but] for rows in every]
        rows = fitting(free, store.origins([row.run_id for rows in free for row in rows]))
        if rows is not None or all(len(some) < most + len(but) for some in every):
            return rows
        most *= 8


def _first(
    store: Dependencies, project: str, flow: str, after: After, among: Among, but: Collection[str] = ()
) -> RunRow | None:
    rows = store.unused(project, flow, after, among, limit=len(but) + 1)
    return next((row for row in rows if row.run_id not in but), None)


def wanted(
    store: Dependencies, project: str, plan: FlowPlan, among: Among = ANY, but: Collection[str] = ()
) -> tuple[RunRow, ...]:
    """The same, for who can't do without. Raises: NoUpstreamRun."""
    rows = found(store, project, plan, among, but)
    if rows is None:
        why = why_not(store, project, plan, among, but)
        message = f"`{plan.flow}` ({after_text(plan.after)}) can't begin: {why}"
        raise NoUpstreamRun(message, help=_way_out(store, project, plan, among))
    return rows


def as_uses(rows: Iterable[RunRow]) -> tuple[Use, ...]:
    return tuple(Use(row.flow.flow, row.run_id) for row in rows)


def were_used(store: Dependencies, flow: str, run_id: str, runs: Iterable[str]) -> bool:
    """Whether another run of a flow was quicker to use what this one was to come after."""
    users = chain.from_iterable(store.users(one) for one in runs)
    return any(one.flow == flow and one.run_id != run_id and not one.again for one in users)


def run_time_of(rows: Sequence[RunRow]) -> EpochMs | None:
    """The time that a run is about which comes after these: that of the latest. None where it comes after none."""
    return max((row.run_time for row in rows), default=None)


def why_not(store: Dependencies, project: str, plan: FlowPlan, among: Among = ANY, but: Collection[str] = ()) -> str:
    """Why there are none, of each thing that it could come after."""
    return "; and ".join(_why_not(store, project, plan, several, among, but) for several in plan.after)


def _why_not(
    store: Dependencies, project: str, plan: FlowPlan, several: Sequence[After], among: Among, but: Collection[str]
) -> str:
    missing = [one for one in several if _first(store, project, plan.flow, one, among, but) is None]
    if not missing:
        names = " and ".join(f"`{one.flow}`" for one in several)
        return f"there are runs of {names} that it has not used, but none of them come after the same runs"
    runs = " and none of ".join(f"`{one.flow}` that {_how(one)}" for one in missing)
    if among.about:
        return f"there is no run of {runs}, that it has not used and whose `run_time` lies in this window"
    left = among.live and any(_first(store, project, plan.flow, one, Among(among.since), but) for one in missing)
    return f"there is no run of {runs} and that it has not used{', but for those of a backfill' if left else ''}"


def _how(after: After) -> str:
    words = [word for state, word in _ENDED.items() if state in after.states]
    return " or ".join(words) if len(words) < len(_ENDED) else "has ended"


def _way_out(store: Dependencies, project: str, plan: FlowPlan, among: Among) -> str:
    missing = (one.flow for one in plan.after[0] if _first(store, project, plan.flow, one, among) is None)
    if (flow := next(missing, None)) is None:
        return "have those run that are missing beside them: `wvflow runs retry RUN` where one failed"
    command = "backfill" if among.about else "run"
    return f"run it first: `wvflow {command} FILE {flow}`; each of its runs is used once"


# --- what is read of them --------------------------------------------------------------------------------------------


def as_upstream(store: Store, plan: FlowPlan, uses: Sequence[Use]) -> tuple[Upstream, ...]:
    """The runs that a run of a plan uses, with what it reads of each."""
    return tuple(_upstream(store, plan, use) for use in uses)


def _upstream(store: Store, plan: FlowPlan, use: Use) -> Upstream:
    read = [one.stage for one in plan.reads if one.flow == use.flow]
    try:
        row = store.find(use.run_id)
    except RunNotFound:
        row = None
    if row is None or row.run_id != use.run_id:
        return Upstream(use.flow, use.run_id, lacking=tuple((stage, "the run was deleted") for stage in read))
    stages = {one.stage: one for one in store.stages(row.run_id)}
    outputs, lacking = dict(_outputs(read, stages)), dict(_lacking(read, stages))
    return Upstream(use.flow, use.run_id, row.state, tuple(outputs.items()), tuple(lacking.items()))


def begun_with(first: Event) -> RunStarted | RunState:
    """What a run was given, its window, and what it came after, by the event that its journal begins with."""
    match first:
        case RunStarted():
            return first
        case Continued():
            return carried(first)
        case _:
            return RunState()


def as_before(store: Store, plan: FlowPlan, upstream: Sequence[Upstream]) -> tuple[Upstream, ...]:
    """The runs that another run came after, for one that takes its place: what was brought over then is the same, and
    what only this one reads is looked for."""
    return tuple(_as_before(_upstream(store, plan, Use(one.flow, one.run_id)), one) for one in upstream)


def _as_before(now: Upstream, then: Upstream) -> Upstream:
    read = [stage for stage, _ in (*now.outputs, *now.lacking)]
    outputs = {**dict(now.outputs), **{stage: output for stage, output in then.outputs if stage in read}}
    lacking = tuple((stage, why) for stage, why in now.lacking if stage not in outputs)
    return replace(now, state=then.state, outputs=tuple(outputs.items()), lacking=lacking)


def _outputs(read: Sequence[str], stages: Mapping[str, StageRow]) -> Iterator[tuple[str, Output]]:
    for stage in read:
        row = stages.get(stage)
        if row is not None and row.state != "success":
            yield stage, Output(NOTHING)
        elif row is not None and row.output is not None and row.output.ref:
            yield stage, row.output


def _lacking(read: Sequence[str], stages: Mapping[str, StageRow]) -> Iterator[tuple[str, str]]:
    for stage in read:
        row = stages.get(stage)
        if row is None:
            yield stage, "it has no such stage"
        elif row.state == "success" and (row.output is None or not row.output.ref):
            saved = f", they were saved to {row.output.target}" if row.output is not None and row.output.target else ""
            yield stage, f"its rows are not kept{saved}"
