"""What people and drivers look up: runs, their stages, outputs, messages and logs."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from wvflow.errors import OutputMissing, PlanMissing, RunNotFound
from wvflow.kernel.events import Heartbeat
from wvflow.ports.inbox import InboxRow
from wvflow.ports.rows import LogRow, OutputRow, RunRow, StageRow
from wvflow.store.finding import LAST, SHOWN, ambiguous, not_found
from wvflow.store.sqlite import rows

_NEAR = 200  # how many recent ids are searched for one that was meant
_LAST_CHARACTER = "\U0010ffff"


def find(connection: sqlite3.Connection, text: str) -> RunRow:
    """The run of that id, the only one that begins so, or the newest for ``last``. Raises RunNotFound."""
    found = _last(connection) if text == LAST else _beginning_with(connection, text)
    if len(found) == 1:
        return found[0]
    if found:
        raise ambiguous(text, [run.run_id for run in found])
    raise missing(connection, text)


def _last(connection: sqlite3.Connection) -> list[RunRow]:
    found = connection.execute(
        f"select {rows.RUN} from runs where parent = '' order by created_at desc, seq desc limit 1"
    )
    return [rows.run_of(row) for row in found]


def missing(connection: sqlite3.Connection, text: str) -> RunNotFound:
    newest = connection.execute("select run from runs order by created_at desc, seq desc limit ?", (_NEAR,))
    return not_found(text, [run for (run,) in newest])


def _beginning_with(connection: sqlite3.Connection, text: str) -> list[RunRow]:
    exact = connection.execute(f"select {rows.RUN} from runs where run = ?", (text,)).fetchall()
    if not text or exact:
        return [rows.run_of(row) for row in exact]
    found = connection.execute(
        f"select {rows.RUN} from runs where run >= ? and run < ? order by created_at desc, seq desc limit ?",
        (text, text + _LAST_CHARACTER, SHOWN + 1),
    )
    return [rows.run_of(row) for row in found]


def runs(
    connection: sqlite3.Connection,
    *,
    flow: str = "",
    state: str = "",
    parent: str = "",
    retry_of: str = "",
    limit: int | None = None,
) -> list[RunRow]:
    filters = {"flow": flow, "state": state, "parent": parent, "retry_of": retry_of}
    wanted = [name for name, value in filters.items() if value]
    where = " and ".join(f"{name} = :{name}" for name in wanted)
    found = connection.execute(
        f"select {rows.RUN} from runs {'where ' + where if where else ''}"
        " order by created_at desc, seq desc limit :limit",
        filters | {"limit": -1 if limit is None else limit},
    )
    return [rows.run_of(row) for row in found]


def newest(connection: sqlite3.Connection) -> list[RunRow]:
    found = connection.execute(
        f"select {rows.RUN} from runs where seq in (select max(seq) from runs group by flow, version, project)"
    )
    return [rows.run_of(row) for row in found]


def stages(connection: sqlite3.Connection, run_id: str) -> list[StageRow]:
    found = connection.execute(f"select {rows.STAGE} from stages where run = ? order by number", (run_id,))
    return [rows.stage_of(row) for row in found]


def outputs(connection: sqlite3.Connection, run_id: str) -> list[OutputRow]:
    found = connection.execute(
        f"select {rows.OUTPUT} from outputs where run = ? order by stage, task, iteration, instance, attempt",
        (run_id,),
    )
    return [rows.output_of(row) for row in found]


def reusable(connection: sqlite3.Connection, key: str) -> OutputRow | None:
    row = connection.execute(
        f"select {rows.OUTPUT} from outputs where key = ? and key <> '' order by rowid desc limit 1", (key,)
    ).fetchone()
    return rows.output_of(row) if row else None


def inline(connection: sqlite3.Connection, ref: str) -> bytes:
    row = connection.execute("select inline from outputs where ref = ? and inline is not null", (ref,)).fetchone()
    if row is None:
        raise OutputMissing(f"the rows of {ref} are not kept", help="the run may have been cleaned away")
    return bytes(row[0])


def inbox(connection: sqlite3.Connection, run_ids: Sequence[str]) -> list[InboxRow]:
    found = connection.execute(
        f"select {rows.INBOX} from inbox where run in (select value from json_each(?)) order by id",
        (rows.encoded(run_ids).decode(),),
    )
    return [rows.inbox_of(row) for row in found]


def missing_bundles(connection: sqlite3.Connection, digests: Sequence[str]) -> list[str]:
    found = connection.execute(
        "select value from json_each(?) where value not in (select digest from bundles)",
        (rows.encoded(digests).decode(),),
    )
    return [digest for (digest,) in found]


def bundle(connection: sqlite3.Connection, digest: str) -> bytes:
    row = connection.execute("select body from bundles where digest = ?", (digest,)).fetchone()
    if row is None:
        raise PlanMissing(f"the compiled program {digest} is not in the state folder", help="start a new run")
    return bytes(row[0])


def heartbeats(connection: sqlite3.Connection, run_id: str) -> tuple[Heartbeat, ...]:
    found = connection.execute(
        "select stage, task, attempt, details, instance, iteration from heartbeats where run = ?"
        " order by stage, instance",
        (run_id,),
    )
    return tuple(map(rows.heartbeat_of, found))


def logs(connection: sqlite3.Connection, run_id: str, stage: str) -> list[LogRow]:
    found = connection.execute(
        f"select {rows.LOG} from logs where run = :run and (:stage = '' or stage = :stage) order by id",
        {"run": run_id, "stage": stage},
    )
    return [rows.log_of(row) for row in found]
