"""Use cases that begin a run and drive it to its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from wvflow.drivers.progress import Watch
from wvflow.drivers.upstreams import as_upstream, as_uses, run_time_of, wanted, were_used
from wvflow.errors import NotPossible, UserError
from wvflow.kernel.events import EpochMs, Window
from wvflow.plan.groups import group_of
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.plan.refs import FlowRef
from wvflow.ports.agenda import Cause, Order
from wvflow.ports.dependencies import ANY, Among
from wvflow.ports.ledger import RunKey
from wvflow.ports.rows import RunRow
from wvflow.service.cleaning import TERMINAL
from wvflow.service.orders import Waiting, start
from wvflow.service.retrying import PlannedRetry, in_its_place, planned_retry
from wvflow.service.steering import Steering
from wvflow.service.summary import RunSummary
from wvflow.service.wiring import new_run_id

if TYPE_CHECKING:
    import pyarrow as pa

    from wvflow.drivers.embedded.loop import Driver


RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def begin_by(plan: FlowPlan, run_time: EpochMs) -> EpochMs | None:
    """When a run that has not begun is late: at its flow's deadline."""
    return None if plan.deadline is None else EpochMs(run_time + plan.deadline)


class Starting(Steering):
    """Begins runs."""

    async def run(
        self,
        bundle: Bundle,
        flow: FlowRef,
        params: Mapping[str, object],
        *,
        run_id: str | None = None,
        run_time: EpochMs | None = None,
        rows: pa.RecordBatchReader | None = None,
        watch: Watch | None = None,
        begun: Callable[[str], None] | None = None,
        key: str | None = None,
    ) -> RunSummary:
        """Start a run and drive it to its end. Runs that are driven at the same time share one driver; when all these
        coroutines have ended or were cancelled, what is still open is left resumable.

        ``params``: JSON values by name, checked and complete. ``rows``: what `from _` reads. ``begun`` is
        told the run's id when its start is durable. ``key``: there is to be but one run for it, as for the key that the
        flow may have; where there is one, its end is waited for and what it came to is returned (``by_key``).
        A flow that comes after others uses a run of each: the time that it is about is theirs, where none is given.
        Raises: UserError (the id is taken or no id, the key is null or was used with other parameters), NotPossible
            (there is no run that it could come after).
        """
        from wvflow.drivers.run_keys import run_key
        from wvflow.service.once import attach

        once = run_key(bundle.plan(flow), params, self._clock.now(), key)
        if once is not None and (entry := self._store.run_of(flow.flow, once.key, self._clock.now())) is not None:
            return await attach(self, bundle.plan(flow), once, entry, watch, begun)
        before = self._before(bundle, flow)
        order = self.new_order(
            bundle, flow, params, run_id=run_id, run_time=run_time, cause="run", key=once, before=before
        )
        upstream = as_upstream(self._store, bundle.plan(flow), order.upstream)
        again = order.limit or order.upstream  # it may have to begin more than once
        given = rows.read_all() if rows is not None and again else None
        turn = Waiting(self, order, stored=False, keeps=rows is None, watch=watch)

        def begin(driver: Driver) -> None:
            start(
                driver,
                self.pins.of(bundle, flow, order.run_id),
                order,
                stored=turn.stored,
                upstream=upstream,
                rows=rows if given is None else given.to_reader(),
                watch=watch,
                begun=begun,
            )

        try:
            return await self._drive(order.run_id, bundle.plan(flow), begin, turn)
        except NotPossible:
            if self.were_used(order):
                return await self.run(
                    bundle,
                    flow,
                    params,
                    run_id=run_id,
                    run_time=run_time,
                    rows=None if given is None else given.to_reader(),
                    watch=watch,
                    begun=begun,
                    key=key,
                )
            entry = None if once is None else self._store.run_of(flow.flow, once.key, self._clock.now())
            if once is None or entry is None or entry.run_id == order.run_id:
                raise
            return await attach(self, bundle.plan(flow), once, entry, watch, begun)

    def order(
        self,
        bundle: Bundle,
        flow: FlowRef,
        params: Mapping[str, object],
        *,
        run_id: str | None = None,
        run_time: EpochMs | None = None,
        cause: Cause = "detach",
        window: Window | None = None,
        key: str | None = None,
    ) -> RunSummary:
        """Have a run begin later: by `wvflow serve`, or by who resumes it. When this returns, it is recorded and will
        begin once. The summary is its own, or that of the run which has its ``key`` (``by_key``).

        A window of a backfill comes after runs about times in it. Raises: UserError, NoUpstreamRun.
        """
        from wvflow.drivers.run_keys import check_same, run_key

        plan = bundle.plan(flow)
        once = run_key(plan, params, self._clock.now(), key)
        if once is not None and (entry := self._store.run_of(flow.flow, once.key, self._clock.now())) is not None:
            check_same(plan, once, entry)
            return msgspec.structs.replace(self.summary(entry.run_id), by_key=once.key)
        among = Among(about=window) if cause == "backfill" else ANY
        before = self._before(bundle, flow, among)
        order = self.new_order(
            bundle, flow, params, run_id=run_id, run_time=run_time, cause=cause, key=once, window=window, before=before
        )
        if self._store.order(order):
            self._wake_servers()
            return self.summary(order.run_id)
        if self.were_used(order):
            return self.order(
                bundle, flow, params, run_id=run_id, run_time=run_time, cause=cause, window=window, key=key
            )
        entry = None if once is None else self._store.run_of(flow.flow, once.key, self._clock.now())
        if once is None or entry is None:
            raise UserError(f"there is a run `{order.run_id}` already", help=f"wvflow runs show {order.run_id}")
        check_same(plan, once, entry)
        return msgspec.structs.replace(self.summary(entry.run_id), by_key=once.key)

    def new_order(
        self,
        bundle: Bundle,
        flow: FlowRef,
        params: Mapping[str, object],
        *,
        run_id: str | None = None,
        run_time: EpochMs | None = None,
        cause: Cause = "detach",
        key: RunKey | None = None,
        window: Window | None = None,
        before: Sequence[RunRow] = (),
    ) -> Order:
        """An order of this moment, which the store hasn't got yet. ``before``: the runs that it comes after, whose time
        it has where none is given. Raises: UserError (the id is taken or no id)."""
        plan, project, now = bundle.plan(flow), str(self.project.root), self._clock.now()
        at = next(one for one in (run_time, run_time_of(before), now) if one is not None)
        return Order(
            run_id=self._checked_id(run_id) if run_id is not None else new_run_id(),
            flow=flow,
            bundle=self.pins.of(bundle, flow).digest,
            project=project,
            run_time=at,
            created_at=now,
            params=dict(params),
            window=window,
            cause=cause,
            group=group_of(plan, project, params),
            limit=plan.concurrency,
            begin_by=begin_by(plan, at),
            key=key,
            upstream=as_uses(before),
        )

    def _before(self, bundle: Bundle, flow: FlowRef, among: Among = ANY) -> tuple[RunRow, ...]:
        """The runs that a run of a flow would come after. Raises: NoUpstreamRun."""
        return wanted(self._store, str(self.project.root), bundle.plan(flow), among)

    def were_used(self, order: Order) -> bool:
        """Whether another run of the flow was quicker to use what this one was to come after."""
        runs = [one.run_id for one in order.upstream]
        return were_used(self._store, order.flow.flow, order.run_id, runs)

    def keep_bundle(self, bundle: Bundle, flow: FlowRef) -> str:
        """Keep what a flow needs of a compiled program, for runs to come; its hash."""
        return self.pins.of(bundle, flow).digest

    def is_served(self) -> bool:
        """Whether a live `wvflow serve` begins what is to begin in this project."""
        return bool(self._store.servers(str(self.project.root), self._clock.now()))

    def _wake_servers(self) -> None:
        from wvflow.drivers.embedded.wakeup import ring

        for port in self._store.servers(str(self.project.root), self._clock.now()):
            ring(port)

    async def retry(
        self,
        run: str,
        bundle: Bundle,
        *,
        again: Sequence[str] = (),
        version: int | None = None,
        run_id: str | None = None,
        watch: Watch | None = None,
    ) -> RunSummary:
        """Start a run of today's plan, in ``bundle``, that takes over what an ended run has done, and drive it to its
        end; of one that was ended before it began, all. Logical time, parameters and the rows handed over are that
        run's; new parameters have their defaults.

        ``again``: stages that are to run again with all that follows from them; ``version``: of the flow, default the
        run's own, or the highest where the program has that no more.
        Raises: RunNotFound, NotPossible (it has not ended, or a stage to be taken over has changed), UserError (no such
            stage or version, the id is taken), OutputMissing, RunDamaged.
        """
        planned = self.planned_retry(run, bundle, again=again, version=version)
        order = self.new_order(
            bundle,
            planned.flow,
            planned.params,
            run_id=run_id,
            run_time=planned.run_time,
            cause="run",
            window=planned.window,
        )

        def begin(driver: Driver) -> None:
            identity = self.pins.of(bundle, planned.flow, order.run_id)
            start(
                driver,
                identity,
                order,
                stored=False,
                upstream=planned.upstream,
                retry=planned.retry,
                handed=planned.handed,
                watch=watch,
            )

        turn = Waiting(self, order, stored=False, keeps=False, watch=watch)
        return await self._drive(order.run_id, bundle.plan(planned.flow), begin, turn)

    def planned_retry(
        self, run: str, bundle: Bundle, *, again: Sequence[str] = (), version: int | None = None
    ) -> PlannedRetry:
        """What a retry would be. Raises as ``retry``."""
        row = self._store.find(run)
        if row.state not in TERMINAL:
            raise NotPossible(
                f"run {row.run_id} has not ended: it is {self._seen(row).state}",
                help=f"`wvflow runs resume {row.run_id}` carries it on, `wvflow runs cancel {row.run_id}` ends it",
            )
        if not row.position:
            return in_its_place(self._store, row, bundle, again, version)
        return planned_retry(self._store, row, self._bundle(row), bundle, again, version)

    def _checked_id(self, run_id: str) -> str:
        if not RUN_ID.fullmatch(run_id) or run_id == "last":
            raise UserError(
                f"`{run_id}` is no run id",
                help="letters, digits, `_`, `-` and `.`, at most 64, beginning with a letter or digit",
            )
        if self._exists(run_id):
            raise UserError(f"there is a run `{run_id}` already", help=f"wvflow runs show {run_id}")
        return run_id
