"""How runs begin here: as what they are told first, with the rows that they bring with them.

What a run is handed, takes over of an ended run, or comes after is brought over before it begins, so that its start and
these rows are one commit, and nothing that becomes of the others concerns it later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from wvflow.drivers.embedded.before import Before
from wvflow.drivers.embedded.live import Identity, LiveRun
from wvflow.drivers.embedded.taken import Retaken, take_over
from wvflow.drivers.embedded.upstreams import bring_over
from wvflow.drivers.progress import Watch
from wvflow.kernel.commands import StartChild
from wvflow.kernel.events import SEMANTICS, EpochMs, Output, Parent, Retry, RunStarted, Upstream, Window
from wvflow.kernel.state import RunState
from wvflow.lang.calendars import date_in
from wvflow.lang.relations import HANDED
from wvflow.ports.agenda import Turn
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine, OutputName
from wvflow.ports.ledger import RunKey
from wvflow.ports.rows import OutputRow
from wvflow.ports.stop import StopToken
from wvflow.ports.store import NewRun, Store

if TYPE_CHECKING:
    import pyarrow as pa


class Beginning(NamedTuple):
    """A run that is yet to hear of its start. ``output``: the rows that it is handed by somebody who isn't a run."""

    run: LiveRun
    started: RunStarted
    output: OutputRow | None = None


class Beginnings:
    """Makes them. All of it raises OutputMissing where rows aren't kept any more."""

    def __init__(self, store: Store, engine: Engine, clock: Clock) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock

    def of_run(
        self,
        identity: Identity,
        token: int,
        params: dict[str, object],
        run_time: EpochMs,
        *,
        rows: pa.RecordBatchReader | None = None,
        retry: Retry | None = None,
        handed: Output | None = None,
        watch: Watch | None = None,
        key: RunKey | None = None,
        window: Window | None = None,
        turn: Turn = Turn(),  # noqa: B008 - immutable
        ordered_at: EpochMs | None = None,
        upstream: Sequence[Upstream] = (),
    ) -> Beginning:
        """Of one that nothing else here waits for; all as in ``Driver.start``. ``token``: of its owner."""
        taken = None if retry is None else self._take_over(identity, token, retry, handed)
        kept = None if rows is None else self._keep(identity, token, rows)
        brought = bring_over(upstream, identity.run_id, token, self._store, self._engine)
        now = self._clock.now()
        new = NewRun(
            flow=identity.flow,
            bundle=identity.digest,
            created_at=now if ordered_at is None else ordered_at,
            semantics=SEMANTICS,
            project=identity.project,
            key=key,
            ordered=ordered_at is not None,
            turn=turn,
            uses=Before(tuple(upstream), again=retry is not None).uses,
        )
        run = LiveRun(identity, token, state=RunState(), position=0, new=new, watch=watch)
        started = RunStarted(
            at=now,
            run_id=run.run_id,
            run_time=run_time,
            params=params,
            token=token,
            input=kept.output if kept is not None else taken.input if taken is not None else None,
            run_date=_run_date(identity, run_time),
            retry=None if taken is None else taken.retry,
            window=window,
            upstream=brought.upstream,
        )
        run.bring(brought.rows)
        if taken is not None:
            run.bring(taken.rows)
        return Beginning(run, started, kept)

    def of_child(
        self,
        identity: Identity,
        order: StartChild,
        parent: LiveRun,
        link: Parent,
        turn: Turn,
        key: RunKey | None,
        before: Before,
    ) -> Beginning:
        """Of one that another run of this process has ordered. ``link``: to that; ``turn``: by which it begins;
        ``key``: for which there is to be but one; ``before``: the runs that it comes after."""
        brought = bring_over(before.upstream, identity.run_id, parent.token, self._store, self._engine)
        now, above = self._clock.now(), parent.state
        new = NewRun(
            flow=identity.flow,
            bundle=identity.digest,
            parent=parent.run_id,
            fence=parent.token,
            created_at=now,
            semantics=SEMANTICS,
            project=identity.project,
            turn=turn,
            key=key,
            uses=before.uses,
        )
        run = LiveRun(identity, parent.token, state=RunState(), position=0, new=new, root=parent.root)
        started = RunStarted(
            at=now,
            run_id=run.run_id,
            run_time=above.run_time,
            params=order.params,
            token=parent.token,
            parent=link,
            input=order.input,
            run_date=_run_date(identity, above.run_time),
            window=above.window,
            upstream=brought.upstream,
        )
        run.bring(brought.rows)
        return Beginning(run, started)

    def _take_over(self, identity: Identity, token: int, retry: Retry, handed: Output | None) -> Retaken:
        return take_over(retry, handed, identity.plan, identity.run_id, token, self._store, self._engine)

    def _keep(self, identity: Identity, token: int, rows: pa.RecordBatchReader) -> OutputRow:
        """What a run is handed by somebody who isn't a run, as an output of its own."""
        name = OutputName(run_id=identity.run_id, stage=HANDED, task=0, attempt=0, token=token)
        stored = self._engine.keep(rows, name, StopToken())
        return OutputRow(stage=-1, task=0, attempt=0, output=stored.output, inline=stored.inline)


def _run_date(identity: Identity, run_time: EpochMs) -> str:
    zone = identity.plan.timezone
    return "" if zone == "UTC" else date_in(zone, run_time)
