"""The agenda in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import msgspec

from wvflow.kernel.events import EpochMs
from wvflow.ports.agenda import FireRow, Occupant, Order, ScheduleRow, Turn, Verdict
from wvflow.ports.inbox import InboxRow
from wvflow.ports.ledger import Claimant
from wvflow.ports.rows import RunRow
from wvflow.ports.store import ENDED_STATES, PENDING, Owner
from wvflow.store import memory_dependencies as dependencies

if TYPE_CHECKING:
    from wvflow.store.memory import Shelf, StoredRun

_Flow = tuple[str, str]


class AgendaOfShelf:
    """What of the agenda outlives a process."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.withdrawn: dict[str, Order] = {}
        self.schedules: dict[_Flow, ScheduleRow] = {}
        self.fires: dict[_Flow, dict[tuple[int, int], FireRow]] = {}
        self.serving: dict[int, str] = {}


def has_slot(turn: Turn, shelf: Shelf) -> bool:
    """Whether a run may begin now."""
    if not turn.group or not turn.limit:
        return True
    return _taken(shelf, turn.group) < turn.limit


def _taken(shelf: Shelf, group: str) -> int:
    return sum(one.has_begun for one in _occupants(shelf, group))


def _occupants(shelf: Shelf, group: str) -> list[Occupant]:
    runs = [run for run in shelf.runs.values() if run.group == group and run.row.state not in ENDED_STATES]
    by_age = sorted(runs, key=lambda run: (run.row.state == PENDING, run.created_at))
    return [Occupant(run.row.run_id, run.row.cause, run.row.state != PENDING) for run in by_age]


class AgendaStore:
    """``wvflow.ports.agenda.Agenda`` over a shelf."""

    _reading: Callable[[], AbstractContextManager[Shelf]]
    _writing: Callable[[], AbstractContextManager[Shelf]]
    owner: Callable[[int, EpochMs], Owner | None]

    def order(self, order: Order) -> bool:
        with self._writing() as shelf:
            return _order(shelf, order)

    def in_turn(self, project: str, now: EpochMs, limit: int) -> list[Order]:
        with self._reading() as shelf:
            own = [one for one in shelf.agenda.orders.values() if one.project == project]
            owners = {one.waiter: self.owner(one.waiter, now) for one in own}
            waiting = {token for token, owner in owners.items() if owner is not None and owner.alive}
            return [one for one in _first(shelf, own) if one.waiter not in waiting][:limit]

    def ordered(self, run_id: str) -> Order | None:
        with self._reading() as shelf:
            return shelf.agenda.orders.get(run_id)

    def wait_for(self, run_id: str, token: int) -> bool:
        with self._writing() as shelf:
            found = shelf.agenda.orders.get(run_id)
            if found is not None:
                shelf.agenda.orders[run_id] = msgspec.structs.replace(found, waiter=token)
            return found is not None

    def withdraw(self, run_id: str, *, state: str, at: EpochMs, error: str | None = None) -> bool:
        with self._writing() as shelf:
            return _withdraw(shelf, run_id, state, at, error)

    def withdrawn(self, run_id: str) -> Order | None:
        with self._reading() as shelf:
            return shelf.agenda.withdrawn.get(run_id)

    def mark_late(self, project: str, now: EpochMs) -> list[Order]:
        with self._writing() as shelf:
            own = [one for one in shelf.agenda.orders.values() if one.project == project]
            late = [one for one in own if one.begin_by is not None and one.begin_by <= now]
            found = [one for one in late if shelf.runs[one.run_id].row.late is None]
            for one in found:
                _mark_late(shelf, one.run_id, now)
            return found

    def occupants(self, groups: Collection[str]) -> dict[str, list[Occupant]]:
        with self._reading() as shelf:
            return {group: _occupants(shelf, group) if group else [] for group in groups}

    def decide(self, verdicts: Sequence[Verdict]) -> list[bool]:
        with self._writing() as shelf:
            return [_decide(shelf, verdict) for verdict in verdicts]

    def schedule(self, project: str, flow: str) -> ScheduleRow | None:
        with self._reading() as shelf:
            return shelf.agenda.schedules.get((project, flow))

    def schedules(self, project: str, flows: Collection[str] | None = None) -> list[ScheduleRow]:
        with self._reading() as shelf:
            found = shelf.agenda.schedules
            return [found[key] for key in sorted(found) if key[0] == project and (flows is None or key[1] in flows)]

    def set_paused(self, project: str, flow: str, paused_at: EpochMs, note: str = "") -> bool:
        with self._writing() as shelf:
            found = shelf.agenda.schedules.get((project, flow))
            if found is not None:
                changed = msgspec.structs.replace(found, paused_at=paused_at, note=note)
                shelf.agenda.schedules[project, flow] = changed
            return found is not None

    def end_pause(self, project: str, flow: str, now: EpochMs) -> None:
        with self._writing() as shelf:
            found = shelf.agenda.schedules.get((project, flow))
            if found is None or found.paused_at is None:
                return
            shelf.agenda.schedules[project, flow] = msgspec.structs.replace(found, paused_at=None, note="")
            fires = shelf.agenda.fires.get((project, flow), {})
            for key, one in fires.items():
                if one.late_at is None and one.deadline is not None and one.deadline > found.paused_at:
                    later = EpochMs(one.deadline + now - found.paused_at)
                    fires[key] = msgspec.structs.replace(one, deadline=later)

    def fires(self, project: str, flow: str, *, limit: int | None = None) -> list[FireRow]:
        with self._reading() as shelf:
            found = shelf.agenda.fires.get((project, flow), {})
            return [found[key] for key in sorted(found, reverse=True)][:limit]

    def mark_overdue(self, project: str, now: EpochMs) -> list[tuple[str, FireRow]]:
        with self._writing() as shelf:
            found = []
            for (of, flow), fires in shelf.agenda.fires.items():
                for key, one in fires.items():
                    schedule = shelf.agenda.schedules[of, flow]
                    if of == project and _is_overdue(schedule, one, now):
                        counts = _counts(shelf, schedule, one)
                        fires[key] = msgspec.structs.replace(
                            one, **({"late_at": now} if counts else {"deadline": None})
                        )
                        found += [(flow, fires[key])] * counts
            return sorted(found, key=lambda one: (one[1].at, one[0], one[1].entry))

    def forget_fires(
        self,
        project: str,
        flow: str,
        until: EpochMs,
        now: EpochMs,
        *,
        gone: Collection[str] = (),
        dry_run: bool = False,
    ) -> int:
        with self._writing() as shelf:
            fires, kept = shelf.agenda.fires.get((project, flow), {}), shelf.runs.keys() - {*gone}
            found = [
                key
                for key, one in fires.items()
                if one.at <= until and one.run_id not in kept and not _may_be_late(one, now)
            ]
            for key in () if dry_run else found:
                del fires[key]
            return len(found)

    def serve(self, token: int, project: str) -> None:
        with self._writing() as shelf:
            shelf.agenda.serving[token] = project

    def servers(self, project: str, now: EpochMs) -> Sequence[int]:
        with self._reading() as shelf:
            owners = [self.owner(token, now) for token, served in shelf.agenda.serving.items() if served == project]
        return [one.port for one in owners if one is not None and one.alive]


def _may_be_late(fire: FireRow, now: EpochMs) -> bool:
    return fire.deadline is not None and fire.late_at is None and fire.deadline > now


def _first(shelf: Shelf, orders: Sequence[Order]) -> Iterator[Order]:
    """Those that there are slots for: each counts against its own limit, with all of its group that come before it."""
    taken: dict[str, int] = {}
    for one in orders:
        if one.group and one.limit:
            taken[one.group] = taken.get(one.group, _taken(shelf, one.group)) + 1
        if not one.limit or taken.get(one.group, 0) <= one.limit:
            yield one


def _mark_late(shelf: Shelf, run_id: str, now: EpochMs) -> None:
    run = shelf.runs[run_id]
    run.row = msgspec.structs.replace(run.row, late=now)
    for fires in shelf.agenda.fires.values():
        for key, fire in fires.items():
            if fire.run_id == run_id and fire.late_at is None:
                fires[key] = msgspec.structs.replace(fire, late_at=now)


def _decide(shelf: Shelf, verdict: Verdict) -> bool:
    row = verdict.row
    stored = shelf.agenda.schedules.get((row.project, row.flow))
    if (None if stored is None else stored.cursor) != verdict.read or not _can_order(shelf, verdict.orders):
        return False
    kept = row if stored is None else stored
    shelf.agenda.schedules[row.project, row.flow] = msgspec.structs.replace(
        kept, version=row.version, digest=row.digest, cursor=row.cursor
    )
    fires = shelf.agenda.fires.setdefault((row.project, row.flow), {})
    fires.update({(one.at, one.entry): one for one in verdict.fires})
    for new in verdict.orders:
        _order(shelf, new)
    for run_id in verdict.cancels:
        _cancel(shelf, run_id, verdict.at)
    return True


def _is_overdue(schedule: ScheduleRow, fire: FireRow, now: EpochMs) -> bool:
    if fire.deadline is None or fire.late_at is not None or fire.deadline > now:
        return False
    return schedule.paused_at is None or fire.deadline <= schedule.paused_at


def _counts(shelf: Shelf, schedule: ScheduleRow, fire: FireRow) -> bool:
    """Whether the program still has the schedule, and no run of that time has begun."""
    rows = (run.row for run in shelf.runs.values() if run.created_at >= fire.at)
    begun = (row for row in rows if row.project == schedule.project and row.flow.flow == schedule.flow and row.position)
    return bool(schedule.digest) and all(row.run_time != fire.at for row in begun)


def _can_order(shelf: Shelf, orders: Sequence[Order]) -> bool:
    """Whether all of them can be ordered, one beside the other."""
    from wvflow.store.memory import run_of

    if not all(dependencies.are_free(shelf, new.flow.flow, new.upstream) for new in orders):
        return False
    keys = [(one.flow.flow, one.key.key, one.created_at) for one in orders if one.key is not None]
    return len({key[:2] for key in keys}) == len(keys) and all(run_of(shelf, *key) is None for key in keys)


def _order(shelf: Shelf, new: Order) -> bool:
    from wvflow.store.memory import StoredRun, run_of

    if new.run_id in shelf.runs or not dependencies.are_free(shelf, new.flow.flow, new.upstream):
        return False
    if new.key is not None:
        if run_of(shelf, new.flow.flow, new.key.key, new.created_at) is not None:
            return False
        shelf.ledger.begin(new.flow.flow, new.key, Claimant(new.run_id, 0), new.created_at)
    run = shelf.runs[new.run_id] = StoredRun(_pending(new), new.created_at)
    run.group = new.group
    dependencies.take(shelf, new.flow.flow, new.run_id, new.upstream)
    shelf.agenda.orders[new.run_id] = new
    return True


def _pending(new: Order) -> RunRow:
    return RunRow(
        run_id=new.run_id,
        flow=new.flow,
        bundle=new.bundle,
        state=PENDING,
        run_time=new.run_time,
        params=new.params,
        project=new.project,
        key="" if new.key is None else new.key.key,
        cause=new.cause,
    )


def _withdraw(shelf: Shelf, run_id: str, state: str, at: EpochMs, error: str | None) -> bool:
    order = shelf.agenda.orders.pop(run_id, None)
    run: StoredRun | None = shelf.runs.get(run_id)
    if run is None or run.row.state != PENDING:
        return False
    run.row = msgspec.structs.replace(run.row, state=state, finished_at=at, error=error)
    if order is not None:
        shelf.agenda.withdrawn[run_id] = order
    return True


def _cancel(shelf: Shelf, run_id: str, at: EpochMs) -> None:
    if _withdraw(shelf, run_id, "cancelled", at, None):
        dependencies.let_go(shelf, run_id)
        return
    if run_id in shelf.runs and shelf.runs[run_id].row.state not in ENDED_STATES:
        number = next(shelf.message_ids)
        shelf.inbox[number] = InboxRow(id=number, run_id=run_id, kind="cancel", at=at)
