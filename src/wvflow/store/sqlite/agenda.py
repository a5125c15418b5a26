"""The agenda's tables: runs that are to begin, and what was decided about the times of schedules."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from wvflow.kernel.events import EpochMs
from wvflow.ports.agenda import FireRow, Occupant, Order, ScheduleRow, Turn, Verdict
from wvflow.ports.ledger import Claimant
from wvflow.ports.store import ENDED_STATES, PENDING, NewRun, Owner
from wvflow.store.sqlite import dependencies, ledger
from wvflow.store.sqlite.rows import Row, chain_start, encoded

_ORDER = msgspec.json.Decoder(Order)
_OPEN = f"state not in ({', '.join(map(repr, sorted(ENDED_STATES)))})"
_PENDING = f"state = {PENDING!r}"
_SCHEDULE = "project, flow, version, digest, cursor, since, paused_at, note"
_FIRE = "at, entry, decision, decided_at, reason, run, count, late_at, deadline"
_OVERDUE = """
    project = ? and deadline <= ? and late_at is null and not exists (
        select 1 from schedules as s
        where s.project = fires.project and s.flow = fires.flow and fires.deadline > s.paused_at
    )
"""
_COUNTS_NO_MORE = """
    exists (select 1 from schedules as s where s.project = fires.project and s.flow = fires.flow and s.digest = '')
    or exists (
        select 1 from runs where runs.flow = fires.flow and runs.created_at >= fires.at and runs.run_time = fires.at
        and runs.project = fires.project and runs.position > 0
    )
"""


class Slots:
    """The slots of groups as a transaction sees them, with those that it takes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._taken: Counter[str] = Counter()

    def has_one(self, turn: Turn) -> bool:
        """Whether a run may begin now."""
        if not turn.group or not turn.limit:
            return True
        (taken,) = self._connection.execute(
            f"select count(*) from runs where slots_of = ? and {_OPEN} and not {_PENDING}", (turn.group,)
        ).fetchone()
        return int(taken) + self._taken[turn.group] < turn.limit

    def take(self, new: NewRun | None) -> None:
        if new is not None and new.turn.group:
            self._taken[new.turn.group] += 1


def forget(connection: sqlite3.Connection, run_ids: Sequence[str]) -> None:
    """Orders that are carried out: the rows of runs that take their place are written next."""
    for table in ("orders", "runs"):
        connection.executemany(f"delete from {table} where run = ?", [(run,) for run in run_ids])


# --- runs that are to begin ---


def order(connection: sqlite3.Connection, new: Order) -> bool:
    """As ``Agenda.order``."""
    if connection.execute("select 1 from runs where run = ?", (new.run_id,)).fetchone():
        return False
    if not dependencies.are_free(connection, new.flow.flow, new.upstream):
        return False
    if new.key is not None:
        by = Claimant(new.run_id, 0)
        if not ledger.begin(connection, new.flow.flow, new.key, by, new.created_at):
            return False
    _put(connection, new)
    return True


def _put(connection: sqlite3.Connection, new: Order) -> None:
    dependencies.take(connection, new.flow.flow, new.run_id, new.upstream)
    connection.execute(
        """
        insert into runs (run, flow, version, bundle, parent, project, semantics, created_at, run_time, params, state,
                          problem, owner, epoch, position, crc, fence, key, slots_of, cause)
        values (?, ?, ?, ?, '', ?, 0, ?, ?, ?, ?, '', 0, 0, 0, ?, 0, ?, ?, ?)
        """,
        (
            new.run_id,
            new.flow.flow,
            new.flow.version,
            new.bundle,
            new.project,
            new.created_at,
            new.run_time,
            encoded(new.params).decode(),
            PENDING,
            chain_start(new.run_id),
            "" if new.key is None else new.key.key,
            new.group,
            new.cause,
        ),
    )
    connection.execute(
        "insert into orders (run, project, body) values (?, ?, ?)", (new.run_id, new.project, encoded(new).decode())
    )


def orders(connection: sqlite3.Connection, project: str) -> list[Order]:
    """As ``Agenda.orders``."""
    found = connection.execute("select body from orders where project = ? order by seq", (project,))
    return [_ORDER.decode(body) for (body,) in found]


def ordered(connection: sqlite3.Connection, run_id: str) -> Order | None:
    """As ``Agenda.ordered``."""
    found = connection.execute("select body from orders where run = ?", (run_id,)).fetchone()
    return None if found is None else _ORDER.decode(found[0])


def wait_for(connection: sqlite3.Connection, run_id: str, token: int) -> bool:
    """As ``Agenda.wait_for``."""
    found = ordered(connection, run_id)
    if found is None:
        return False
    body = encoded(msgspec.structs.replace(found, waiter=token)).decode()
    connection.execute("update orders set body = ? where run = ?", (body, run_id))
    return True


def withdraw(connection: sqlite3.Connection, run_id: str, state: str, at: EpochMs, error: str | None) -> bool:
    """As ``Agenda.withdraw``."""
    connection.execute("insert into withdrawn (run, body) select run, body from orders where run = ?", (run_id,))
    connection.execute("delete from orders where run = ?", (run_id,))
    ended = connection.execute(
        f"update runs set state = ?, finished_at = ?, error = ? where run = ? and {_PENDING}",
        (state, at, error, run_id),
    )
    return ended.rowcount > 0


def withdrawn(connection: sqlite3.Connection, run_id: str) -> Order | None:
    """As ``Agenda.withdrawn``."""
    found = connection.execute("select body from withdrawn where run = ?", (run_id,)).fetchone()
    return None if found is None else _ORDER.decode(found[0])


def occupants(connection: sqlite3.Connection, group: str) -> list[Occupant]:
    """As ``Agenda.occupants``."""
    found = connection.execute(
        f"select run, cause, not {_PENDING} from runs where slots_of = ? and {_OPEN}"
        f" order by {_PENDING}, created_at, seq",
        (group,),
    )
    return [Occupant(run, cause, bool(has_begun)) for run, cause, has_begun in found]


# --- schedules ---


def decide(connection: sqlite3.Connection, verdict: Verdict) -> bool:
    """One verdict of ``Agenda.decide``."""
    row = verdict.row
    stored = schedule(connection, row.project, row.flow)
    if (None if stored is None else stored.cursor) != verdict.read:
        return False
    connection.execute("savepoint verdict")
    if not all(order(connection, new) for new in verdict.orders):
        connection.execute("rollback to verdict")
        connection.execute("release verdict")
        return False
    connection.execute("release verdict")
    connection.execute(
        f"insert into schedules ({_SCHEDULE}) values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set"
        " version = excluded.version, digest = excluded.digest, cursor = excluded.cursor",
        (row.project, row.flow, row.version, row.digest, row.cursor, row.since, row.paused_at, row.note),
    )
    connection.executemany(
        f"insert into fires (project, flow, {_FIRE}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(row.project, row.flow, *_fire_row(one)) for one in verdict.fires],
    )
    for run_id in verdict.cancels:
        _cancel(connection, run_id, verdict.at)
    return True


def _cancel(connection: sqlite3.Connection, run_id: str, at: EpochMs) -> None:
    if withdraw(connection, run_id, "cancelled", at, None):
        dependencies.let_go(connection, run_id)
    else:
        connection.execute(
            "insert into inbox (run, kind, body, at)"
            f" select run, 'cancel', '{{}}', ? from runs where run = ? and {_OPEN}",
            (at, run_id),
        )


def schedule(connection: sqlite3.Connection, project: str, flow: str) -> ScheduleRow | None:
    """As ``Agenda.schedule``."""
    row = connection.execute(
        f"select {_SCHEDULE} from schedules where project = ? and flow = ?", (project, flow)
    ).fetchone()
    return None if row is None else _schedule(row)


def schedules(connection: sqlite3.Connection, project: str) -> list[ScheduleRow]:
    """As ``Agenda.schedules``."""
    found = connection.execute(f"select {_SCHEDULE} from schedules where project = ? order by flow", (project,))
    return [_schedule(row) for row in found]


def set_paused(connection: sqlite3.Connection, project: str, flow: str, paused_at: EpochMs, note: str) -> bool:
    """As ``Agenda.set_paused``."""
    changed = connection.execute(
        "update schedules set paused_at = ?, note = ? where project = ? and flow = ?", (paused_at, note, project, flow)
    )
    return changed.rowcount > 0


def end_pause(connection: sqlite3.Connection, project: str, flow: str, now: EpochMs) -> None:
    """As ``Agenda.end_pause``."""
    found = schedule(connection, project, flow)
    if found is not None and found.paused_at is not None:
        connection.execute(
            "update fires set deadline = deadline + ?"
            " where project = ? and flow = ? and deadline > ? and late_at is null",
            (now - found.paused_at, project, flow, found.paused_at),
        )
        connection.execute(
            "update schedules set paused_at = null, note = '' where project = ? and flow = ?", (project, flow)
        )


def fires(connection: sqlite3.Connection, project: str, flow: str, limit: int | None) -> list[FireRow]:
    """As ``Agenda.fires``."""
    found = connection.execute(
        f"select {_FIRE} from fires where project = ? and flow = ? order by at desc, entry desc limit ?",
        (project, flow, -1 if limit is None else limit),
    )
    return [_fire(row) for row in found]


def mark_late(connection: sqlite3.Connection, run_id: str, now: EpochMs) -> bool:
    """As ``Agenda.mark_late``."""
    changed = connection.execute(
        f"update runs set late = ? where run = ? and {_PENDING} and late is null", (now, run_id)
    )
    if changed.rowcount:
        connection.execute("update fires set late_at = ? where run = ? and late_at is null", (now, run_id))
    return changed.rowcount > 0


def is_overdue(connection: sqlite3.Connection, project: str, now: EpochMs) -> bool:
    """Whether ``mark_overdue`` would do something."""
    (found,) = connection.execute(f"select exists (select 1 from fires where {_OVERDUE})", (project, now)).fetchone()
    return bool(found)


def mark_overdue(connection: sqlite3.Connection, project: str, now: EpochMs) -> list[tuple[str, FireRow]]:
    """As ``Agenda.mark_overdue``."""
    connection.execute(f"update fires set deadline = null where {_OVERDUE} and ({_COUNTS_NO_MORE})", (project, now))
    found = connection.execute(
        f"select flow, {_FIRE} from fires where {_OVERDUE} order by at, flow, entry", (project, now)
    ).fetchall()
    connection.execute(f"update fires set late_at = ? where {_OVERDUE}", (now, project, now))
    return [(flow, msgspec.structs.replace(_fire(tuple(row)), late_at=now)) for flow, *row in found]


def forget_fires(connection: sqlite3.Connection, project: str, flow: str, until: EpochMs) -> None:
    """As ``Agenda.forget_fires``."""
    connection.execute(
        "delete from fires where project = ? and flow = ? and at <= ? and run not in (select run from runs)",
        (project, flow, until),
    )


# --- who sees to it ---


def serve_no_more(connection: sqlite3.Connection, token: int) -> None:
    """That an owner begins something is said no longer."""
    connection.execute("update owners set serves = '' where token = ?", (token,))


def serve(connection: sqlite3.Connection, token: int, project: str) -> None:
    """As ``Agenda.serve``."""
    connection.execute("update owners set serves = ? where token = ?", (project, token))


def servers(connection: sqlite3.Connection, project: str, ask: Callable[[int], Owner | None]) -> list[int]:
    """As ``Agenda.servers``; ``ask`` tells the owner of a token."""
    found = connection.execute("select token from owners where serves = ? and serves <> '' order by token", (project,))
    owners = [ask(token) for (token,) in found.fetchall()]
    return [one.port for one in owners if one is not None and one.alive]


def _fire_row(one: FireRow) -> Row:
    return one.at, one.entry, one.decision, one.decided_at, one.reason, one.run_id, one.count, one.late_at, one.deadline


def _fire(row: Row) -> FireRow:
    at, entry, decision, decided_at, reason, run, count, late_at, deadline = row
    return FireRow(
        at=EpochMs(at),
        entry=entry,
        decision=decision,
        decided_at=EpochMs(decided_at),
        reason=reason,
        run_id=run,
        count=count,
        late_at=late_at,
        deadline=deadline,
    )


def _schedule(row: Row) -> ScheduleRow:
    project, flow, version, digest, cursor, since, paused_at, note = row
    return ScheduleRow(
        project=project,
        flow=flow,
        version=version,
        digest=digest,
        cursor=EpochMs(cursor),
        since=EpochMs(since),
        paused_at=paused_at,
        note=note,
    )
