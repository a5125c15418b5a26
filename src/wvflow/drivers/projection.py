"""What lists show, computed from a run's state: the rows that are written with the events they follow from."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from wvflow.kernel.awaited import awaited
from wvflow.kernel.events import NOTHING_TO_UNDO, Failure, Output
from wvflow.kernel.loops import iteration_shown
from wvflow.kernel.state import Instances, RunPhase, RunState, StageState, Vector
from wvflow.plan.nodes import FlowPlan
from wvflow.plan.refs import FlowRef
from wvflow.ports.rows import InstanceCounts, RunRow, StageRow


def run_row(state: RunState, *, flow: FlowRef, bundle: str, position: int, owner: int, project: str) -> RunRow:
    return RunRow(
        run_id=state.run_id,
        flow=flow,
        bundle=bundle,
        state="paused" if state.paused_at is not None else state.phase.value,
        run_time=state.run_time,
        params=state.params,
        started_at=state.started_at,
        finished_at=state.ended_at,
        error=_headline(state),
        owner=owner,
        position=position,
        epoch=state.epoch - (state.undone_by is not None),  # to be undone is not to be reopened
        project=project,
        parent=state.parent.run_id if state.parent else "",
        retry_of=state.retry_of,
        late=state.late,
    )


def _headline(state: RunState) -> str | None:
    if state.phase is RunPhase.SUCCESS or state.failure is None:
        return None
    return f"{state.failure.kind}: {state.failure.message}"


def stage_row(plan: FlowPlan, index: int, stage: StageState) -> StageRow:
    output, wait = _with_warnings(stage), awaited(plan.stages[index], stage)
    return StageRow(
        index=index,
        stage=plan.stages[index].name,
        state=stage.phase.shown,
        phase=stage.phase.detailed,
        reason=stage.reason or None,
        attempts=stage.attempt,
        rows=output.rows if output else None,
        error=error_of(stage.failure) if stage.failure else None,
        started_at=stage.first_at,
        finished_at=stage.ended_at,
        output=output,
        reused=stage.reused,
        awaited=wait.what if wait else "",
        due=wait.due if wait else None,
        instances=None if stage.instances is None else _counts(stage.instances),
        iteration=iteration_shown(plan.stages[index], stage),
        late=stage.late,
    )


def compensation_state(row: StageRow, run_state: str, owner: StageRow | None = None) -> str | None:
    """How far a stage, the ``owner``, is undone by its compensation; None where there is nothing to undo.

    ``cancelled``: it was under way when the run was terminated, and nobody knows what it did. ``not_undone``: the run
    was terminated before its turn came.
    """
    match row.state:
        case "pending":
            return row.state if run_state == RunPhase.COMPENSATING.value else None
        case "skipped":
            return None if row.reason == NOTHING_TO_UNDO else row.state
        case "failed":
            return "compensation_failed"
        case "cancelled" if row.started_at is None:  # its attempts may be of an earlier time of the run
            began = owner is not None and owner.started_at is not None and not owner.reused
            return "not_undone" if began else None
        case state:
            return state


def _counts(group: Instances) -> InstanceCounts:
    return InstanceCounts(count=group.count, ended=group.has_ended, failed=group.ended.failed)


def _with_warnings(stage: StageState) -> Output | None:
    """The stage's output, with what any of its tasks warned of."""
    warnings = tuple(dict.fromkeys(one for output in stage.done for one in output.warnings))
    return replace(stage.output, warnings=warnings) if stage.output is not None and warnings else stage.output


def error_of(failure: Failure) -> dict[str, object]:
    """A failure as programs read it: only what is known."""
    found = {"kind": failure.kind, "message": failure.message, "place": failure.place, "detail": failure.detail}
    return {key: value for key, value in found.items() if value}


def changed(before: Vector[StageState], after: Vector[StageState]) -> Iterator[tuple[int, StageState]]:
    """The stages that differ. Unchanged chunks are the same objects, so whole ones are passed over."""
    index = 0
    for number, chunk in enumerate(after.chunks):
        old = before.chunks[number] if number < len(before.chunks) else None
        if old is not chunk:
            for place, stage in enumerate(chunk):
                if old is None or old[place] is not stage:
                    yield index + place, stage
        index += len(chunk)
