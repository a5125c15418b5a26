"""Use cases that begin a run and drive it to its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from wvflow.drivers.embedded.live import Identity
from wvflow.drivers.progress import Watch
from wvflow.errors import NotPossible, UserError
from wvflow.kernel.events import EpochMs
from wvflow.plan.codec import digest, encode
from wvflow.plan.nodes import Bundle, FlowRef
from wvflow.plan.reach import reached
from wvflow.service.cleaning import TERMINAL
from wvflow.service.retrying import PlannedRetry, planned_retry
from wvflow.service.steering import Steering
from wvflow.service.summary import RunSummary
from wvflow.service.wiring import new_run_id

if TYPE_CHECKING:
    import pyarrow as pa

    from wvflow.drivers.embedded.loop import Driver


RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


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
        Raises: UserError (the id is taken or no id, the key is null or was used with other parameters).
        """
        from wvflow.service.once import attach, run_key

        once = run_key(bundle.plan(flow), params, key, self._clock.now())
        if once is not None and (entry := self._store.run_of(flow.flow, once.key, self._clock.now())) is not None:
            return await attach(self, bundle.plan(flow), once, entry, watch, begun)
        run_id = self._checked_id(run_id) if run_id is not None else new_run_id()
        at = run_time if run_time is not None else self._clock.now()

        def begin(driver: Driver) -> None:
            identity = self._pin(run_id, flow, bundle)
            driver.start(identity, dict(params), at, rows=rows, watch=watch, begun=begun, key=once)

        try:
            return await self._drive(run_id, bundle.plan(flow), begin)
        except NotPossible:
            entry = None if once is None else self._store.run_of(flow.flow, once.key, self._clock.now())
            if once is None or entry is None or entry.run_id == run_id:
                raise
            return await attach(self, bundle.plan(flow), once, entry, watch, begun)

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
        end. Logical time, parameters and the rows handed over are that run's; new parameters have their defaults.

        ``again``: stages that are to run again with all that follows from them; ``version``: of the flow, default the
        run's own, or the highest where the program has that no more.
        Raises: RunNotFound, NotPossible (it has not ended, or a stage to be taken over has changed), UserError (no such
            stage or version, the id is taken), OutputMissing, RunDamaged.
        """
        planned = self.planned_retry(run, bundle, again=again, version=version)
        run_id = self._checked_id(run_id) if run_id is not None else new_run_id()

        def begin(driver: Driver) -> None:
            driver.start(
                self._pin(run_id, planned.flow, bundle),
                planned.params,
                planned.run_time,
                retry=planned.retry,
                handed=planned.handed,
                watch=watch,
            )

        return await self._drive(run_id, bundle.plan(planned.flow), begin)

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

    def _pin(self, run_id: str, flow: FlowRef, bundle: Bundle) -> Identity:
        if self._pinned is None or self._pinned[0] is not bundle or self._pinned[1].flow != flow:
            own = reached(bundle, flow)
            name = digest(own)
            self._store.put_bundle(name, encode(own))
            self._pinned = (
                bundle,
                Identity(run_id=run_id, flow=flow, digest=name, bundle=own, project=str(self.project.root)),
            )
        return msgspec.structs.replace(self._pinned[1], run_id=run_id)
