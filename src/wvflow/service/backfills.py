"""Use cases over backfills: a run for each time of a flow's schedule in some past, in order or some at once.

A backfill is recorded with its windows before the first of them runs; who carries on an unfinished one goes by that
record, and by what has become of the runs, whose ids say which window they are of. The runs are orders like others:
one that this process doesn't come to begin is there for the next, or for `wvflow serve`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import count, islice
from typing import NamedTuple

import msgspec

from wvflow.drivers.upstreams import NoUpstreamRun, wanted
from wvflow.errors import NotPossible, RunNotFound, UserError
from wvflow.kernel.events import EpochMs
from wvflow.lang.calendars import epoch_ms_in
from wvflow.plan.codec import decode
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.plan.parameters import bind
from wvflow.plan.refs import FlowRef
from wvflow.ports.backfills import BackfillRow, WindowRow, run_id
from wvflow.ports.dependencies import Among
from wvflow.ports.rows import RunRow
from wvflow.schedule.windows import Stretch, stretches
from wvflow.service.cleaning import TERMINAL
from wvflow.service.invocation import Invocation, values
from wvflow.service.starting import Starting
from wvflow.service.wiring import new_run_id

SKIPPED = "skipped"
MOST = 10_000
"""Windows of one backfill."""


class Filled(msgspec.Struct, frozen=True):
    """A window and what has become of it: ``state`` is that of ``run``, the last one that was made for it, ``""`` as
    long as there is none, and ``error`` why that failed. Where that is ``skipped``, there was no run that it could come
    after, and ``error`` tells which. ``earlier``: a run outside of the backfill that had done it before."""

    window: WindowRow
    state: str = ""
    run: str = ""
    earlier: str = ""
    error: str = ""

    @property
    def is_done(self) -> bool:
        return bool(self.window.run) or self.state == "success"

    @property
    def has_failed(self) -> bool:
        """Whether its run ended without a success, or could not begin though it had runs to come after."""
        return self.has_ended and not self.is_done and self.state != SKIPPED

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it by itself."""
        return self.state in TERMINAL


class Range(NamedTuple):
    """From ``begin`` up to, but without, ``end``."""

    begin: EpochMs
    end: EpochMs


class Filling(msgspec.Struct, frozen=True):
    """A backfill and its windows, those of the times ``when``. ``row`` is None of one that is not recorded."""

    flow: FlowRef
    timezone: str
    when: Range
    windows: tuple[Filled, ...]
    row: BackfillRow | None = None

    @property
    def done(self) -> int:
        return sum(one.is_done for one in self.windows)

    @property
    def is_done(self) -> bool:
        return self.done == len(self.windows)

    @property
    def failed(self) -> Filled | None:
        """The first window whose run ended without a success."""
        return next((one for one in self.windows if one.has_failed), None)

    @property
    def skipped(self) -> list[Filled]:
        """The windows that had no run to come after."""
        return [one for one in self.windows if one.state == SKIPPED]


Watch = Callable[[Filling], None]


class Wish(NamedTuple):
    """A backfill as it is asked for: ``begin`` and ``end`` are moments in ISO 8601, in the flow's zone where they name
    none, ``texts`` values of parameters. ``named``: the flow, None for the only one of ``file``."""

    file: str
    named: Invocation | None
    begin: str
    end: str
    texts: Mapping[str, str]

    def when(self, plan: FlowPlan) -> Range:
        return range_in(plan.timezone, self.begin, self.end)

    def given(self, plan: FlowPlan) -> dict[str, object]:
        """Raises: UserError, the flow has no such parameters."""
        return values(plan, self.named, self.texts)

    def may_mean(self, row: BackfillRow) -> bool:
        if self.named is None:
            return self.file == row.file
        return self.named.name == row.flow.flow and self.named.version in (None, row.flow.version)


def range_in(zone: str, begin: str, end: str) -> Range:
    """Of two moments in ISO 8601, in a zone where they name none."""
    return Range(EpochMs(epoch_ms_in(zone, begin)), EpochMs(epoch_ms_in(zone, end)))


class Backfilling:
    """The backfills of a project."""

    def __init__(self, runs: Starting) -> None:
        self._runs = runs
        self._store, self._clock = runs.agenda
        self._project = str(runs.project.root)

    # --- before anything runs ---

    def preview(
        self, plan: FlowPlan, version: int, when: Range, given: Mapping[str, object], *, missing: bool = False
    ) -> Filling:
        """What a backfill of a flow would be; nothing is recorded. ``given``: values of parameters, before those of
        the schedule. ``missing``: only windows that no run of the flow has done.

        Raises: UserError (the flow has no schedule, or no time in that range; the range is none, or too large).
        """
        self._check(plan, when)
        ref = FlowRef(plan.flow, version)
        found = list(islice(stretches(plan, _moment(when.begin), _moment(when.end)), MOST + 1))
        if not found:
            raise UserError(f"the schedule of {plan.flow} has no time in that range", help="see `wvflow schedule next`")
        if len(found) > MOST:
            raise UserError(f"that range has more than {MOST:,} windows", help="backfill a part of it first")
        # Arguments that are ``given`` may make entries of the schedule the same: then there is one window of them.
        every = [self._window(plan, number, one, given) for number, one in enumerate(found, 1)]
        windows = {(one.run_time, _values(one.params)): one for one in reversed(every)}
        earlier = self._done_before(plan.flow)
        filled = [Filled(one, earlier=earlier.get(what, "")) for what, one in reversed(windows.items())]
        filled = [_numbered(one, number) for number, one in enumerate(filled, 1)]
        if missing:
            kept = [one for one in filled if not one.earlier]
            filled = [_numbered(one, number) for number, one in enumerate(kept, 1)]
        return Filling(ref, plan.timezone, when, tuple(filled))

    def foreseen(self, preview: Filling, plan: FlowPlan) -> Filling:
        """The same with the windows that would be skipped, as there is no run yet that they could come after."""
        taken: set[str] = set()
        return msgspec.structs.replace(
            preview, windows=tuple(self._foreseen(one, plan, taken) for one in preview.windows)
        )

    def _foreseen(self, one: Filled, plan: FlowPlan, taken: set[str]) -> Filled:
        try:
            rows = wanted(self._store, self._project, plan, Among(about=one.window.window), taken)
        except NoUpstreamRun as refusal:
            return msgspec.structs.replace(one, state=SKIPPED, error=refusal.message)
        taken |= {row.run_id for row in rows}
        return one

    def _check(self, plan: FlowPlan, when: Range) -> None:
        if plan.schedule is None:
            raise UserError(
                f"flow {plan.flow} has neither `schedule` nor `interval`, so it has no windows",
                help="give it one, or run it for one time: `wvflow run FILE FLOW --at TIME`",
            )
        if when.begin >= when.end:
            raise UserError("the range is empty: --to is not later than --from")
        if when.end > self._clock.now():
            raise UserError("--to is in the future", help="what is still to come is for `wvflow serve`")

    def _window(self, plan: FlowPlan, number: int, one: Stretch, given: Mapping[str, object]) -> WindowRow:
        assert plan.schedule is not None
        args = plan.schedule.crons[one.fire.entry].args if plan.schedule.crons else {}
        return WindowRow(
            number=number,
            run_time=_ms(one.fire.at),
            window=(_ms(one.since), _ms(one.until)),
            params=bind(plan, {**args, **given}),
        )

    def _done_before(self, flow: str) -> dict[tuple[EpochMs, bytes], str]:
        """The runs that were a success, by logical time and parameters."""
        rows = self._store.runs(flow=flow, state="success")
        return {(row.run_time, _values(row.params)): row.run_id for row in rows if row.project == self._project}

    # --- recorded ones ---

    def recorded(self) -> list[Filling]:
        """Those of the project, the newest first."""
        return [self._filling(row) for row in self._store.backfills(self._project)]

    def begun(self, wish: Wish) -> Filling | None:
        """The newest one that was asked for in the same words, which are read as they were then: whatever has become
        of its program."""
        rows = (row for row in self._store.backfills(self._project) if wish.may_mean(row))
        newest = next((row for row in rows if self._is_of(row, wish)), None)
        return None if newest is None else self._filling(newest)

    def _is_of(self, row: BackfillRow, wish: Wish) -> bool:
        plan = self._bundle(row).plan(row.flow)
        try:
            return (row.begin, row.end) == wish.when(plan) and row.given == wish.given(plan)
        except UserError:
            return False

    def begin(
        self, preview: Filling, bundle: Bundle, given: Mapping[str, object], *, missing: bool, file: str = ""
    ) -> Filling:
        """Record a backfill: it uses the bundle of this moment until it is done."""
        row = BackfillRow(
            id=new_run_id(),
            project=self._project,
            flow=preview.flow,
            bundle=self._runs.keep_bundle(bundle, preview.flow),
            begin=preview.when.begin,
            end=preview.when.end,
            created_at=self._clock.now(),
            missing=missing,
            given=dict(given),
            file=file,
        )
        self._store.put_backfill(row, [one.window for one in preview.windows])
        return msgspec.structs.replace(preview, row=row)

    def _filling(self, row: BackfillRow) -> Filling:
        plan = self._bundle(row).plan(row.flow)
        windows = self._store.windows(row.id)
        filled = tuple(self._filled(row, one) for one in windows)
        return Filling(row.flow, plan.timezone, Range(row.begin, row.end), filled, row)

    def _filled(self, row: BackfillRow, window: WindowRow) -> Filled:
        if window.run:
            return Filled(window, "success", window.run)
        run = self._newest_run(row, window)
        return Filled(window) if run is None else _by(run, window)

    def _newest_run(self, row: BackfillRow, window: WindowRow) -> RunRow | None:
        found = None
        for time in count(1):
            if (run := self._find(run_id(row.id, window.number, time))) is None:
                return found
            found = run
        return found

    def _find(self, run: str) -> RunRow | None:
        try:
            found = self._runs.find(run)
        except RunNotFound:
            return None
        return found if found.run_id == run else None

    def _bundle(self, row: BackfillRow) -> Bundle:
        return decode(self._store.bundle(row.bundle))

    # --- running them ---

    async def drive(self, filling: Filling, *, parallel: int = 1, watch: Watch | None = None) -> Filling:
        """Have the windows run that aren't done, in order, so many at once. After one that ends without a success no
        other begins; one that has no run to come after is skipped."""
        row = filling.row
        assert row is not None
        work = _Work(self, row, self._bundle(row), filling, watch)
        await work.all(parallel)
        return work.filling

    async def run_of(self, row: BackfillRow, bundle: Bundle, window: WindowRow, told: Callable[[RunRow], None]) -> None:
        """Bring a window's run to its end: the one that there is, where it can go on, or another one."""
        run = self._newest_run(row, window)
        if run is not None and run.state in TERMINAL and run.state != "success":
            with suppress(NotPossible):
                told(msgspec.structs.replace(run, state="running"))
                await self._runs.resume(run.run_id)
                told(self._runs.find(run.run_id))
                return
            run = None
        if run is None:
            run = self._order(row, bundle, window)
        told(run)
        told(await self._end_of(run.run_id))

    def _order(self, row: BackfillRow, bundle: Bundle, window: WindowRow) -> RunRow:
        free = next(run for time in count(1) if self._find(run := run_id(row.id, window.number, time)) is None)
        summary = self._runs.order(
            bundle,
            row.flow,
            window.params,
            run_id=free,
            run_time=window.run_time,
            cause="backfill",
            window=window.window,
        )
        return self._runs.find(summary.run_id)  # another one where that has the key of the flow

    async def _end_of(self, run: str) -> RunRow:
        """The run at its end: driven here, or waited for where another process does."""
        changes = self._runs.changes(run)
        while (row := await asyncio.to_thread(next, changes)).state not in TERMINAL:
            if not self._runs.is_driven(row):
                with suppress(NotPossible):  # somebody was quicker
                    await self._runs.resume(run)
        return row

    def note(self, row: BackfillRow, window: WindowRow, run: str) -> None:
        self._store.window_done(row.id, window.number, run)


class _Work:
    """A backfill under way."""

    def __init__(
        self, backfills: Backfilling, row: BackfillRow, bundle: Bundle, filling: Filling, watch: Watch | None
    ) -> None:
        self._backfills = backfills
        self._row = row
        self._bundle = bundle
        self._watch = watch
        self._has_failed = False
        self.filling = filling

    async def all(self, parallel: int) -> None:
        todo = iter([number for number, one in enumerate(self.filling.windows) if not one.window.run])
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(parallel):
                    group.create_task(self._some(todo))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _some(self, todo: Iterator[int]) -> None:
        """One window after another, as long as none has failed."""
        for index in todo:
            window = self.filling.windows[index].window
            try:
                await self._backfills.run_of(self._row, self._bundle, window, partial(self._tell, index))
            except NoUpstreamRun as refusal:
                self._show(index, Filled(window, SKIPPED, error=refusal.message))
            except (NotPossible, UserError) as refusal:
                self._show(index, Filled(window, "failed", error=refusal.message))
            if self._has_failed:
                return

    def _tell(self, index: int, run: RunRow) -> None:
        window = self.filling.windows[index].window
        if run.state == "success":
            self._backfills.note(self._row, window, run.run_id)
            window = msgspec.structs.replace(window, run=run.run_id)
        self._show(index, _by(run, window))

    def _show(self, index: int, filled: Filled) -> None:
        windows = list(self.filling.windows)
        windows[index] = filled
        self._has_failed = self._has_failed or filled.has_failed
        self.filling = msgspec.structs.replace(self.filling, windows=tuple(windows))
        if self._watch is not None:
            self._watch(self.filling)


def _by(run: RunRow, window: WindowRow) -> Filled:
    return Filled(window, run.state, run.run_id, error=run.error or "")


def _numbered(one: Filled, number: int) -> Filled:
    return msgspec.structs.replace(one, window=msgspec.structs.replace(one.window, number=number))


def _values(params: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(dict(params), order="deterministic", enc_hook=repr)


def _moment(at: EpochMs) -> datetime:
    return datetime.fromtimestamp(at / 1_000, UTC)


def _ms(at: datetime) -> EpochMs:
    return EpochMs(round(at.timestamp() * 1_000))
