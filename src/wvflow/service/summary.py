"""What a run came to, as people and programs read it: the JSON of ``wvflow run --json`` (interfaces, section 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

from wvflow.drivers.projection import compensation_state
from wvflow.kernel.below import InstanceFailed
from wvflow.kernel.events import EpochMs
from wvflow.plan.refs import FlowRef, StageId
from wvflow.ports.rows import InstanceCounts, RunRow, StageRow

Failed = Mapping[int, tuple[InstanceFailed, ...]]
"""Of each stage, by its number, the first instances that failed."""


class InstancesSummary(InstanceCounts, frozen=True):
    """``failures``: the first that failed."""

    failures: tuple[InstanceFailed, ...] = ()


class StageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One stage. ``phase`` is the finer state (``queued``, ``attempting``, ``retrying``, ``waiting`` of one that is
    ``running``). Times are ISO 8601 in UTC. ``compensation``: how far it is undone (``pending``, ``running``,
    ``success``, ``compensation_failed``, ``cancelled``, ``not_undone``, ``skipped``), None where it isn't to be.
    ``target`` names where its rows were saved, None when nowhere; ``reused_from`` the run that computed its output,
    None when this one did; ``reused_keys``: how many of its idempotency keys earlier runs have done, by run, None when
    none. ``routed``: how many of its rows go to which reader, those that reach none under ``""``; None where it doesn't
    route. ``warnings``: the tests that its rows failed, where its ``on_test`` is ``warn``; None when none.
    ``waits_for``: what it waits for, None where it doesn't; ``waits_until``: when that ends or is given up on, None
    where nothing bounds it. ``instances``: how many a mapped stage has, how many have ended and failed, and the first
    that failed; None for any other. ``iteration``: of a stage with a loop, which one is under way, or how many there
    were once it succeeded. ``late``: since when its deadline is over, None where it was in time."""

    stage: str
    state: str
    reason: str | None
    attempts: int
    rows: int | None
    error: dict[str, object] | None
    started_at: str | None
    finished_at: str | None
    compensation: str | None = None
    target: str | None = None
    reused_from: str | None = None
    reused_keys: dict[str, int] | None = None
    routed: dict[str, int] | None = None
    warnings: tuple[str, ...] | None = None
    waits_for: str | None = None
    waits_until: str | None = None
    instances: InstancesSummary | None = None
    iteration: int | None = None
    late: str | None = None
    phase: str


class OutputSummary(msgspec.Struct, frozen=True, kw_only=True):
    stage: str
    rows: int | None


class ChildSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run that the run started."""

    run_id: str
    flow: str
    state: str
    version: int = 1


class UseSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run that another came after, or that came after it."""

    run_id: str
    flow: str


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One run with its stages in order of declaration. ``plan``: the hash of the plan that it is pinned to, with those
    of the flows that it reaches. ``retry_of``: the run that it is a retry of, and ``retries``: those that are of it,
    oldest first. ``parent``: the run that started it, None where somebody else did; ``children``: those that it
    started, oldest first. ``upstream``: the runs of other flows that it came after; ``dependants``: those that came
    after it. ``compensations``: what undid its stages, in that order; ``hooks``: what was called, and which flows were
    jumped to, once it had ended; as a stage each. ``variables``: its state, where it has any. ``late``: since when its
    deadline is over, None where it was in time. ``params``: what it was started with. ``problem``: what keeps it from
    going on, None where nothing is known to."""

    run_id: str
    flow: str
    version: int
    state: str
    run_time: str
    started_at: str | None
    finished_at: str | None
    stages: tuple[StageSummary, ...]
    output: OutputSummary | None
    error: str | None
    plan: str = ""
    retry_of: str | None = None
    retries: tuple[str, ...] = ()
    by_key: str | None = None
    """The idempotency key by which it was found, where an earlier call had started it."""
    parent: str | None = None
    children: tuple[ChildSummary, ...] = ()
    hooks: tuple[StageSummary, ...] = ()
    compensations: tuple[StageSummary, ...] = ()
    variables: dict[str, object] = {}
    late: str | None = None
    params: dict[str, object] = {}
    problem: str | None = None
    upstream: tuple[UseSummary, ...] = ()
    dependants: tuple[UseSummary, ...] = ()

    @property
    def ref(self) -> FlowRef:
        return FlowRef(self.flow, self.version)

    @property
    def succeeded(self) -> bool:
        return self.state == "success"


_LAST = float("inf")
_UNCALLED = ("pending", "skipped")


def instant(at: EpochMs | None) -> str | None:
    """An instant as ISO 8601 in UTC with milliseconds.

    >>> instant(EpochMs(0))
    '1970-01-01T00:00:00.000Z'
    """
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def summarize(
    run: RunRow,
    stages: list[StageRow],
    declared: tuple[int, ...],
    output: int | None,
    children: Sequence[RunRow] = (),
    failed: Failed = MappingProxyType({}),
    retries: Sequence[RunRow] = (),
    undoing: Mapping[StageId, StageId] = MappingProxyType({}),
) -> RunSummary:
    """A run's summary from its projections; ``declared`` and ``output`` are stage numbers of its plan, ``undoing``
    those of the compensations, by the stage that each is of."""
    by_index = {row.index: row for row in stages}
    rows = [by_index[index] for index in declared if index in by_index]
    hooks = by_index.keys() - declared - set(undoing.values())
    undone = {owner: by_index[one] for owner, one in undoing.items() if one in by_index}
    states = {owner: compensation_state(row, run.state, by_index.get(owner)) for owner, row in undone.items()}
    told = sorted((undone[owner] for owner in undone if states[owner] not in (None, "not_undone")), key=_turn)
    yielded = by_index.get(output) if output is not None else None
    return RunSummary(
        run_id=run.run_id,
        flow=run.flow.flow,
        version=run.flow.version,
        state=run.state,
        run_time=instant(run.run_time) or "",
        started_at=instant(run.started_at),
        finished_at=instant(run.finished_at),
        stages=tuple(_stage(row, failed.get(row.index, ()), states.get(StageId(row.index))) for row in rows),
        output=OutputSummary(stage=yielded.stage, rows=yielded.rows) if yielded else None,
        error=run.error,
        plan=run.bundle,
        retry_of=run.retry_of or None,
        retries=tuple(one.run_id for one in retries),
        parent=run.parent or None,
        children=tuple(_child(one) for one in children),
        hooks=tuple(_stage(row) for row in stages if row.index in hooks and row.state not in _UNCALLED),
        compensations=tuple(_stage(row, failed.get(row.index, ())) for row in told),
        late=instant(run.late),
        params=run.params,
        problem=run.problem or None,
    )


def _child(run: RunRow) -> ChildSummary:
    return ChildSummary(run_id=run.run_id, flow=run.flow.flow, state=run.state, version=run.flow.version)


def _turn(compensation: StageRow) -> tuple[float, int]:
    """When it came; of those at the same time the last stage's first."""
    return compensation.started_at or _LAST, -compensation.index


def _stage(row: StageRow, failed: tuple[InstanceFailed, ...] = (), compensation: str | None = None) -> StageSummary:
    return StageSummary(
        stage=row.stage,
        state=row.state,
        phase=row.phase,
        reason=row.reason,
        attempts=row.attempts,
        rows=row.rows,
        error=row.error,
        started_at=instant(row.started_at),
        finished_at=instant(row.finished_at),
        compensation=compensation,
        target=(row.output.target or None) if row.output else None,
        reused_from=row.reused or None,
        reused_keys=dict(row.output.reused) if row.output and row.output.reused else None,
        routed=dict(row.output.routed) if row.output and row.output.routed else None,
        warnings=(row.output.warnings or None) if row.output else None,
        waits_for=row.awaited or None,
        waits_until=instant(row.due),
        instances=_instances(row.instances, failed),
        iteration=row.iteration,
        late=instant(row.late),
    )


def _instances(counts: InstanceCounts | None, failed: tuple[InstanceFailed, ...]) -> InstancesSummary | None:
    return None if counts is None else InstancesSummary(counts.count, counts.ended, counts.failed, failed)
