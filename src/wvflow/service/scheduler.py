"""Looks at the schedules of a project when they are due, records what becomes of each time, and orders the runs.

Nothing that counts is kept here: a look begins where the store says that all is decided, so two of these on one state
folder decide each time once, and one that was killed has lost none. What is kept is when to look next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from heapq import heapify, heappop, heappush
from typing import NamedTuple, TypeVar

import msgspec

from wvflow.drivers.run_keys import run_key
from wvflow.drivers.upstreams import as_uses, found, why_not
from wvflow.errors import EvaluationError, UserError
from wvflow.kernel.events import EpochMs
from wvflow.plan.groups import group_of
from wvflow.plan.nodes import Bundle, FlowPlan
from wvflow.plan.parameters import bind
from wvflow.plan.reach import newest
from wvflow.plan.refs import FlowRef
from wvflow.ports.agenda import FireRow, Occupant, Order, ScheduleRow, Verdict
from wvflow.ports.dependencies import Among, Use
from wvflow.ports.store import Store
from wvflow.schedule.decisions import Decided, Look, Open, Refusal, decide, next_due
from wvflow.schedule.times import Fire
from wvflow.service.dependants import Dependants
from wvflow.service.starting import Starting, begin_by
from wvflow.service.wiring import new_run_id

ON_TIME_MS = 60_000
ON_TIME_ONCE_MS = 3_600_000
"""How long after it was due a time is on time: where somebody looks all the while, and where now and then."""
AGAIN_MS = 1_000
"""After how long a verdict that the store refused is tried again, where no other process was quicker."""
AHEAD_MS = 30_000
"""How long before flows are due it is prepared what they need to begin."""
_AHEAD = 250
_TOGETHER = 1_000
_TRIES = 10
T = TypeVar("T")


class Scheduled(NamedTuple):
    """A flow with a schedule. ``params``, ``groups``: of each entry of the schedule."""

    ref: FlowRef
    plan: FlowPlan
    digest: str
    params: tuple[dict[str, object], ...]
    groups: tuple[str, ...]


class Fired(NamedTuple):
    """What was decided about a time of a flow's schedule."""

    flow: str
    fire: FireRow


def scheduled(bundle: Bundle, project: str) -> Iterator[Scheduled]:
    """The flows of a program that have a schedule: of each, the highest version counts.

    Raises: UserError (a ``concurrency_key`` has no value).
    """
    for plan in newest(bundle):
        if (schedule := plan.schedule) is not None:
            params = tuple(bind(plan, cron.args) for cron in schedule.crons) or (bind(plan, {}),)
            groups = tuple(_group(plan, project, one) for one in params)
            yield Scheduled(plan.ref, plan, digest_of(plan), params, groups)


def _group(plan: FlowPlan, project: str, params: dict[str, object]) -> str:
    try:
        return group_of(plan, project, params)
    except EvaluationError as error:
        raise UserError(f"the concurrency_key of flow {plan.flow}: {error.message}", help=error.help) from None


def digest_of(plan: FlowPlan) -> str:
    """What makes a schedule the same: its times. How they are caught up, and with what they run, may change."""
    schedule = plan.schedule
    assert schedule is not None
    crons = [cron.fields for cron in schedule.crons]
    times = (crons, schedule.interval, schedule.start, schedule.end, plan.timezone)
    return sha256(msgspec.json.encode(times)).hexdigest()[:16]


class Scheduler:
    """Used by one thread at a time. ``next_due``: when to look again, None where nothing comes."""

    def __init__(self, runs: Starting, on_time_ms: int = ON_TIME_MS) -> None:
        self._runs = runs
        self._store, self._clock = runs.agenda
        self._project = str(runs.project.root)
        self._grace = timedelta(milliseconds=on_time_ms)
        self._flows: dict[str, Scheduled] = {}
        self._bundle: Bundle | None = None
        self._templates: dict[tuple[str, int], Order] = {}
        self._heap: list[tuple[EpochMs, str]] = []
        self._ahead: list[tuple[EpochMs, str]] = []
        self._dependants = Dependants(runs)
        self._without_run: set[str] = set()

    @property
    def left_to_others(self) -> tuple[str, ...]:
        """The flows that come after others, and that only the flows start that call them."""
        return self._dependants.left_to_others

    @property
    def flows(self) -> int:
        """How many have a schedule."""
        return len(self._flows)

    @property
    def next_due(self) -> EpochMs | None:
        return self._heap[0][0] if self._heap else None

    def load(self, bundle: Bundle) -> None:
        """Go by this program from here on. A schedule that is new, or whose times have changed, begins now; one that
        the program has no more is over.

        Raises: as ``scheduled``; then all stays as it was.
        """
        flows = {one.ref.flow: one for one in scheduled(bundle, self._project)}
        self._dependants.load(bundle)
        self._flows, self._bundle, self._templates = flows, bundle, {}
        rows = {row.flow: row for row in self._store.schedules(self._project)}
        now = self._clock.now()
        changed = [one for one in self._changes(rows, now) if one is not None]
        for some in _together(changed):
            self._store.decide(some)
        rows |= {one.row.flow: one.row for one in changed}
        self._heap = [
            (ms_of(due), flow)
            for flow, one in flows.items()
            if (due := next_due(one.plan, at_of(rows[flow].cursor))) is not None
        ]
        heapify(self._heap)
        self._ahead = list(self._heap)

    def _changes(self, rows: dict[str, ScheduleRow], now: EpochMs) -> Iterator[Verdict]:
        for flow, one in self._flows.items():
            row = rows.get(flow)
            if row is None:
                yield Verdict(row=_first(self._project, one, now), read=None, at=now)
            elif row.digest != one.digest:
                moved = {"digest": one.digest, "version": one.ref.version, "cursor": max(row.cursor, now)}
                yield Verdict(row=msgspec.structs.replace(row, **moved), read=row.cursor, at=now)
        for flow, row in rows.items():
            if flow not in self._flows and row.digest:
                yield Verdict(row=msgspec.structs.replace(row, digest=""), read=row.cursor, at=now)

    def prepare(self) -> None:
        """Have at hand what some of the flows that are due soon need to begin. Raises Unavailable."""
        soon, flows = self._clock.now() + AHEAD_MS, list[Scheduled]()
        while self._ahead and self._ahead[0][0] <= soon and len(flows) < _AHEAD:
            flows.append(self._flows[heappop(self._ahead)[1]])
        self._keep(flows)
        for one in flows:
            for entry in range(len(one.params)):
                self._template(one, entry)

    def _keep(self, flows: Sequence[Scheduled]) -> None:
        if self._bundle is not None and flows:
            self._runs.pins.keep(self._bundle, [one.ref for one in flows])

    def look(self) -> list[Fired]:
        """Decide what is due, and order what follows from it. What was decided is returned once it is durable.

        Raises Unavailable; what was not decided is due still.
        """
        now = self._clock.now()
        due: list[str] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heappop(self._heap)[1])
        found: list[Fired] = []
        try:
            while due:
                found += self._decide(due[:_TOGETHER], now)
                del due[:_TOGETHER]
        finally:
            for flow in due:
                heappush(self._heap, (now, flow))
        return found

    def resume(self, bundle: Bundle, one: Scheduled) -> bool:
        """Have the times of a schedule start runs again from here on, and decide those that came before, whether
        somebody has looked at them or not; whether it was paused. Raises Unavailable."""
        if one.plan.after:
            self._dependants.load(bundle)
        for _ in range(_TRIES):
            row = self._store.schedule(self._project, one.ref.flow)
            if row is None or row.paused_at is None:
                return False
            if row.digest != one.digest:
                break  # other times, which begin when somebody looks
            self._bundle = bundle
            (verdict,) = self._verdicts([one], self._clock.now())
            if not verdict.fires or all(self._store.decide([verdict])):
                break
        self._store.end_pause(self._project, one.ref.flow, self._clock.now())
        return True

    def look_at_ends(self) -> list[Order]:
        """Order the runs that come after others which have ended, and no schedule decides when. Raises Unavailable."""
        return self._dependants.look()

    def _decide(self, flows: Sequence[str], now: EpochMs) -> list[Fired]:
        verdicts = self._verdicts([self._flows[flow] for flow in flows], now)
        told = [one for one in verdicts if one.fires]
        lost = {one.row.flow for one, done in zip(told, self._store.decide(told), strict=True) if not done}
        for verdict in verdicts:
            if verdict.row.flow in lost:
                heappush(self._heap, (self._again(verdict, now), verdict.row.flow))
            else:
                self._wait_for_next(verdict.row.flow, verdict.row.cursor)
        found = [Fired(one.row.flow, fire) for one in told if one.row.flow not in lost for fire in one.fires]
        self._without_run |= {flow for flow, fire in found if not fire.run_id}
        return found

    def tidy(self) -> None:
        """Forget what needn't be kept any more of the times that were decided to have no run: no end of one does."""
        flows, self._without_run = self._without_run & self._flows.keys(), set()
        self._runs.let_times_go([self._flows[flow].plan for flow in flows])

    def _again(self, lost: Verdict, now: EpochMs) -> EpochMs:
        """When to look again: at once at what another left that was quicker, else once things may have changed."""
        stored = self._store.schedule(self._project, lost.row.flow)
        was_quicker = (None if stored is None else stored.cursor) != lost.read
        return now if was_quicker else EpochMs(now + AGAIN_MS)

    def _wait_for_next(self, flow: str, cursor: EpochMs) -> None:
        if (due := next_due(self._flows[flow].plan, at_of(cursor))) is not None:
            heappush(self._heap, (ms_of(due), flow))

    def _verdicts(self, flows: Sequence[Scheduled], now: EpochMs) -> list[Verdict]:
        """What becomes of the times of flows that are due."""
        self._keep(flows)
        rows = {row.flow: row for row in self._store.schedules(self._project, [one.ref.flow for one in flows])}
        open_ = self._store.occupants(list(dict.fromkeys(group for one in flows for group in one.groups)))
        return [self._verdict(one, rows.get(one.ref.flow), open_, now) for one in flows]

    def _verdict(
        self, one: Scheduled, stored: ScheduleRow | None, open_: Mapping[str, Sequence[Occupant]], now: EpochMs
    ) -> Verdict:
        row = stored or _first(self._project, one, now)
        groups = {group: _who_takes_room(one.plan, open_[group]) for group in one.groups}
        paused_at = None if row.paused_at is None else at_of(row.paused_at)
        look = Look(at_of(row.cursor), at_of(now), self._grace, paused_at, one.groups, groups)
        before = _Before(self._store, self._project, one.plan, self._dependants.since.get(one.ref.flow, 0))
        keys: dict[str, str] = {}

        def refusal(fire: Fire, run_id: str) -> Refusal | None:
            key = run_key(one.plan, one.params[fire.entry], now)
            if key is not None and (holder := self._who_has(one, key.key, now, keys)):
                return Refusal(holder, stands_in=True)
            if why := before.why_not():
                return Refusal(why)
            if key is not None:
                keys[key.key] = run_id
            return None

        outcome = decide(one.plan, look, new_run_id, refusal)
        pairs = [self._fired(one, decided, now, before) for decided in outcome.decided]
        return Verdict(
            row=msgspec.structs.replace(row, cursor=ms_of(outcome.cursor), version=one.ref.version),
            read=None if stored is None else row.cursor,
            at=now,
            fires=tuple(fire for fire, _ in pairs),
            orders=tuple(order for _, order in pairs if order is not None),
            cancels=outcome.cancels,
        )

    def _who_has(self, one: Scheduled, key: str, now: EpochMs, keys: Mapping[str, str]) -> str:
        """Which run has a key, ``""`` for none. ``keys``: those that the runs of this verdict take."""
        entry = self._store.run_of(one.ref.flow, key, now)
        holder = keys.get(key) if entry is None else entry.run_id
        return "" if holder is None else f"run {holder} has the key {key}"

    def _fired(self, one: Scheduled, decided: Decided, now: EpochMs, before: _Before) -> tuple[FireRow, Order | None]:
        fire = FireRow(
            at=ms_of(decided.fire.at),
            entry=decided.fire.entry,
            decision=decided.decision,
            decided_at=now,
            reason=decided.reason,
            run_id=decided.run_id,
            count=decided.count,
        )
        if not decided.run_id:
            return msgspec.structs.replace(fire, deadline=self._deadline(one, decided)), None
        return fire, msgspec.structs.replace(self._order(one, decided, now), upstream=before.next())

    def _deadline(self, one: Scheduled, decided: Decided) -> EpochMs | None:
        """From when on a time that has no run is late."""
        deadline = one.plan.deadline if decided.is_wanted else None
        return None if deadline is None else EpochMs(ms_of(decided.fire.at) + deadline)

    def _order(self, one: Scheduled, decided: Decided, now: EpochMs) -> Order:
        assert decided.window is not None
        return msgspec.structs.replace(
            self._template(one, decided.fire.entry),
            run_id=decided.run_id,
            run_time=ms_of(decided.fire.at),
            begin_by=begin_by(one.plan, ms_of(decided.fire.at)),
            created_at=now,
            window=(ms_of(decided.window[0]), ms_of(decided.window[1])),
            cause="catchup" if decided.decision == "caught_up" else "fire",
            limit=decided.limit,
            key=run_key(one.plan, one.params[decided.fire.entry], now),
        )

    def _template(self, one: Scheduled, entry: int) -> Order:
        """What all orders for an entry of a schedule have in common."""
        known = self._templates.get((one.ref.flow, entry))
        if known is None:
            assert self._bundle is not None
            known = self._runs.new_order(self._bundle, one.ref, one.params[entry])
            self._templates[one.ref.flow, entry] = known
        return known


class _Before:
    """The runs of other flows that those which are decided to run come after, each the next ones."""

    def __init__(self, store: Store, project: str, plan: FlowPlan, since: int) -> None:
        self._store, self._project, self._plan = store, project, plan
        self._among = Among(since, live=True)  # runs of a backfill are for a backfill
        self._found: deque[tuple[Use, ...]] = deque()
        self._taken: set[str] = set()

    def why_not(self) -> str:
        """Why there are none, ``""`` where there are; then they are the next."""
        rows = found(self._store, self._project, self._plan, self._among, self._taken)
        if rows is None:
            return why_not(self._store, self._project, self._plan, self._among, self._taken)
        self._found.append(as_uses(rows))
        self._taken |= {row.run_id for row in rows}
        return ""

    def next(self) -> tuple[Use, ...]:
        return self._found.popleft()


def _who_takes_room(plan: FlowPlan, found: Sequence[Occupant]) -> list[Open]:
    """The runs that take up room. Those of a backfill are about other times: they do where the flow bounds all."""
    return [Open(one.run_id, one.cause == "catchup") for one in found if plan.concurrency or one.cause != "backfill"]


def pause(store: Store, project: str, one: Scheduled, now: EpochMs, note: str) -> None:
    """Have no time of a schedule start a run, from here on, whether somebody has looked at it before or not. One that
    is paused is so since then, and for the same reason where no other is given."""
    row = store.schedule(project, one.ref.flow)
    if row is not None and row.paused_at is not None:
        store.set_paused(project, one.ref.flow, row.paused_at, note or row.note)
    elif not store.set_paused(project, one.ref.flow, now, note):
        row = msgspec.structs.replace(_first(project, one, now), paused_at=now, note=note)
        if not all(store.decide([Verdict(row=row, read=None, at=now)])):
            store.set_paused(project, one.ref.flow, now, note)  # somebody looked at it just now


def find(bundle: Bundle, project: str, flow: str) -> Scheduled:
    """The flow of that name. Raises: UserError, it has no schedule."""
    found = {one.ref.flow: one for one in scheduled(bundle, project)}
    if flow in found:
        return found[flow]
    known = f"those that have one: {', '.join(sorted(found))}" if found else "give it one: `schedule: '0 2 * * *'`"
    raise UserError(f"the flow {flow} has no schedule", help=known)


def _first(project: str, one: Scheduled, now: EpochMs) -> ScheduleRow:
    """That of a flow that is looked at for the first time: nothing before is due."""
    return ScheduleRow(
        project=project, flow=one.ref.flow, version=one.ref.version, digest=one.digest, cursor=now, since=now
    )


def _together(every: Sequence[T]) -> Iterator[Sequence[T]]:
    return (every[at : at + _TOGETHER] for at in range(0, len(every), _TOGETHER))


def at_of(ms: EpochMs) -> datetime:
    return datetime.fromtimestamp(ms / 1_000, UTC)


def ms_of(at: datetime) -> EpochMs:
    """Whole milliseconds, exactly."""
    return EpochMs((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
