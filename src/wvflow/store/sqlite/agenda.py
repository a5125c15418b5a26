"""The agenda's tables of schedules: what was decided about their times, and who sees to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence

import msgspec

from wvflow.kernel.events import EpochMs
from wvflow.ports.agenda import FireRow, Order, ScheduleRow, Verdict
from wvflow.ports.store import Owner
from wvflow.store.sqlite import orders
from wvflow.store.sqlite.rows import Row, encoded

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


def decide(connection: sqlite3.Connection, verdict: Verdict) -> bool:
    """One verdict of ``Agenda.decide``."""
    row = verdict.row
    stored = schedule(connection, row.project, row.flow)
    if (None if stored is None else stored.cursor) != verdict.read:
        return False
    if not _all_ordered(connection, verdict.orders):
        return False
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
        orders.cancel(connection, run_id, verdict.at)
    return True


def _all_ordered(connection: sqlite3.Connection, wanted: Sequence[Order]) -> bool:
    """Whether all could be ordered; else none is."""
    if len(wanted) <= 1:
        return all(orders.order(connection, new) for new in wanted)
    connection.execute("savepoint orders")
    done = all(orders.order(connection, new) for new in wanted)
    if not done:
        connection.execute("rollback to orders")
    connection.execute("release orders")
    return done


def schedule(connection: sqlite3.Connection, project: str, flow: str) -> ScheduleRow | None:
    """As ``Agenda.schedule``."""
    row = connection.execute(
        f"select {_SCHEDULE} from schedules where project = ? and flow = ?", (project, flow)
    ).fetchone()
    return None if row is None else _schedule(row)


def schedules(connection: sqlite3.Connection, project: str, flows: Collection[str] | None) -> list[ScheduleRow]:
    """As ``Agenda.schedules``."""
    chosen = "" if flows is None else "and flow in (select value from json_each(:flows))"
    found = connection.execute(
        f"select {_SCHEDULE} from schedules where project = :project {chosen} order by flow",
        {"project": project, "flows": encoded(tuple(flows or ())).decode()},
    )
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


_FORGOTTEN = """
    project = :project and flow = :flow and at <= :until
    and (deadline is null or late_at is not null or deadline <= :now)
    and (run not in (select run from runs) or run in (select value from json_each(:gone)))
"""


def forgotten_fires(
    connection: sqlite3.Connection, project: str, flow: str, until: EpochMs, now: EpochMs, gone: Collection[str]
) -> int:
    """As ``Agenda.forget_fires`` with ``dry_run``."""
    (found,) = connection.execute(
        f"select count(*) from fires where {_FORGOTTEN}", _which(project, flow, until, now, gone)
    ).fetchone()
    return int(found)


def forget_fires(connection: sqlite3.Connection, project: str, flow: str, until: EpochMs, now: EpochMs) -> int:
    """As ``Agenda.forget_fires``."""
    return connection.execute(f"delete from fires where {_FORGOTTEN}", _which(project, flow, until, now, ())).rowcount


def _which(project: str, flow: str, until: EpochMs, now: EpochMs, gone: Collection[str]) -> dict[str, object]:
    names = encoded(tuple(gone)).decode()
    return {"project": project, "flow": flow, "until": until, "now": now, "gone": names}


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
