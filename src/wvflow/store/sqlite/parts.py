"""A commit's parts: made ready by whoever commits, written by whoever holds the transaction.

Which parts conflict is known before the first of their rows is written, from the ends of all their journals as this
transaction sees them; so nothing has to be undone, and no part needs a savepoint of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple
from zlib import crc32

import msgspec

from wvflow import __version__
from wvflow.kernel.events import OwnerChanged, RunStarted
from wvflow.ports.ledger import Claimant
from wvflow.ports.store import PENDING, RunBatch
from wvflow.store.sqlite import dependencies, endings, ledger, orders, rows
from wvflow.store.sqlite.rows import Row

_PLACES = ", ".join("?" * (2 + rows.STAGE.count(",")))
Verdict = Literal["written", "conflict", "full"]


class End(NamedTuple):
    """Where a run's journal ends. ``fence``: the token that wrote last; ``is_pending``: it is to begin."""

    position: int
    crc: int
    fence: int
    is_pending: bool = False


class Part(msgspec.Struct, frozen=True):
    """One run's part with everything encoded that doesn't depend on what is stored."""

    batch: RunBatch
    bodies: tuple[bytes, ...]
    takes_over: bool
    run: dict[str, object]
    stages: tuple[Row, ...]
    outputs: tuple[Row, ...]
    sent: tuple[Row, ...]
    snapshot: bytes | None


def ready(batch: RunBatch) -> Part:
    """Encode a part. Raises TypeError for a value that JSON can't hold."""
    run = rows.moving_columns(batch.run) | {"run": batch.run_id, "fence": batch.token}
    if batch.new:
        run |= rows.pinned_columns(batch.new, batch.run)
    return Part(
        batch,
        bodies=tuple(map(rows.encoded, batch.events)),
        takes_over=any(isinstance(event, OwnerChanged | RunStarted) for event in batch.events),
        run=run,
        stages=tuple(rows.stage_row(batch.run_id, row) for row in batch.stages),
        outputs=tuple(rows.output_row(batch.run_id, row) for row in batch.outputs),
        sent=tuple(rows.inbox_row(row) for row in batch.sent),
        snapshot=None if batch.snapshot is None else rows.encoded(batch.snapshot),
    )


def write(connection: sqlite3.Connection, parts: Sequence[Part]) -> list[Verdict]:
    """Write the parts that follow on what is stored, and tell of each. A run may have several, in order."""
    parents = {part.batch.new.parent for part in parts if part.batch.new}
    ends = _ends(connection, {part.batch.run_id for part in parts} | parents)
    written: list[tuple[Part, End]] = []
    verdicts: list[Verdict] = []
    records: list[Row] = []
    slots = orders.Slots(connection)
    for part in parts:
        end = ends.get(part.batch.run_id)
        verdict: Verdict = "written"
        if not (_follows(part, end) and _may_begin(part, ends)):
            verdict = "conflict"
        elif part.batch.new is not None and not slots.has_one(part.batch.new.turn):
            verdict = "full"
        elif not _are_free(connection, part) or not _has_its_key(connection, part, ends):
            verdict = "conflict"
        verdicts.append(verdict)
        if verdict == "written":
            slots.take(part.batch.new)
            _take(connection, part)
            new_end = _extend(part, end, records)
            ends[part.batch.run_id] = new_end
            written.append((part, new_end))
    _write_journal(connection, records, written)
    _write_rest(connection, [part for part, _ in written])
    for part, _ in written:
        ledger.void(connection, part.batch)
    return verdicts


def _ends(connection: sqlite3.Connection, run_ids: Iterable[str]) -> dict[str, End]:
    found = connection.execute(
        "select run, position, crc, fence, state from runs where run in (select value from json_each(?))",
        (rows.encoded(sorted(run_ids)).decode(),),
    )
    return {run: End(position, crc, fence, state == PENDING) for run, position, crc, fence, state in found}


def _follows(part: Part, end: End | None) -> bool:
    batch = part.batch
    if batch.new is not None:
        is_there = end is not None and end.is_pending if batch.new.ordered else end is None
        return is_there and batch.after == 0
    if end is None or not end.position:  # a journal begins with the run
        return False
    return end.position == batch.after and (part.takes_over or end.fence == batch.token)


def _may_begin(part: Part, ends: Mapping[str, End]) -> bool:
    new = part.batch.new
    if new is None or not new.fence:
        return True
    return new.parent in ends and ends[new.parent].fence == new.fence


def _are_free(connection: sqlite3.Connection, part: Part) -> bool:
    """Whether a new run may use the runs that it comes after. One that was to begin has done so since."""
    new = part.batch.new
    return new is None or new.ordered or dependencies.are_free(connection, new.flow.flow, new.uses)


def _take(connection: sqlite3.Connection, part: Part) -> None:
    if (new := part.batch.new) is not None and not new.ordered:
        dependencies.take(connection, new.flow.flow, part.batch.run_id, new.uses)


def _has_its_key(connection: sqlite3.Connection, part: Part, ends: Mapping[str, End]) -> bool:
    """Whether no other run has the key that this one is begun under; it has it from here on."""
    new = part.batch.new
    if new is None or new.key is None or new.ordered:
        return True
    return ledger.begin(
        connection, new.flow.flow, new.key, Claimant(part.batch.run_id, part.batch.token), new.created_at, ends
    )


def _extend(part: Part, end: End | None, records: list[Row]) -> End:
    """Add the part's records and return where its journal ends with them."""
    batch = part.batch
    crc = end.crc if end else rows.chain_start(batch.run_id)
    position = batch.after
    last = batch.after + len(batch.events)
    for event, body in zip(batch.events, part.bodies, strict=True):
        position += 1
        commands = batch.commands if position == last else None
        crc = rows.chained(crc, body, commands)
        records.append((batch.run_id, position, event.at, body.decode(), commands, crc))
    return End(position, crc, batch.token)


_INSERT_RUN = """
    insert into runs (run, flow, version, bundle, parent, project, semantics, created_at, run_time, params, state,
                      problem, error, started_at, finished_at, owner, epoch, position, crc, fence, key, retry_of,
                      slots_of, cause)
    values (:run, :flow, :version, :bundle, :parent, :project, :semantics, :created_at, :run_time, :params, :state,
            :problem, :error, :started_at, :finished_at, :owner, :epoch, :position, :crc, :fence, :key, :retry_of,
            :slots_of, :cause)
"""
_UPDATE_RUN = """
    update runs set state = :state, problem = :problem, error = :error, started_at = :started_at,
                    finished_at = :finished_at, owner = :owner, epoch = :epoch, position = :position, crc = :crc,
                    fence = :fence, late = :late,
                    ended = case when finished_at is :finished_at and state = :state then ended end
    where run = :run
"""


def _write_journal(connection: sqlite3.Connection, records: list[Row], written: list[tuple[Part, End]]) -> None:
    connection.executemany(
        "insert into events (run, position, at, body, commands, crc) values (?, ?, ?, ?, ?, ?)", records
    )
    orders.forget(connection, [part.batch.run_id for part, _ in written if part.batch.new and part.batch.new.ordered])
    for sql, begins in ((_INSERT_RUN, True), (_UPDATE_RUN, False)):
        runs = [
            part.run | {"position": end.position, "crc": end.crc}
            for part, end in written
            if (part.batch.new is not None) is begins
        ]
        connection.executemany(sql, runs)
    endings.number(connection, _ended(written))
    connection.executemany(
        "delete from events where run = ? and position < ? - 1",  # the one before tells the checksum to go on from
        [(part.batch.run_id, end.position) for part, end in written if part.batch.begins_anew],
    )
    connection.executemany(
        "insert or replace into snapshots (run, position, made_by, body, crc) values (?, ?, ?, ?, ?)",
        [
            (part.batch.run_id, end.position, __version__, part.snapshot, crc32(part.snapshot, end.crc))
            for part, end in written
            if part.snapshot is not None
        ],
    )


def _ended(written: list[tuple[Part, End]]) -> list[str]:
    """The runs that have ended, those that did so first in front."""
    found = [part.batch for part, _ in written if part.batch.run.finished_at is not None and not part.batch.run.parent]
    return [batch.run_id for batch in sorted(found, key=lambda batch: batch.run.finished_at or 0)]


def _write_rest(connection: sqlite3.Connection, parts: list[Part]) -> None:
    for sql, values in (
        (
            f"insert or replace into stages (run, {rows.STAGE}) values ({_PLACES})",
            [row for part in parts for row in part.stages],
        ),
        (
            f"insert or replace into outputs (run, {rows.OUTPUT}, ref, inline)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [row for part in parts for row in part.outputs],
        ),
        (
            "delete from inbox where id = ? and run = ?",
            [(number, part.batch.run_id) for part in parts for number in part.batch.consumed],
        ),
        (
            "insert into inbox (run, kind, body, at) values (?, ?, ?, ?)",
            [row for part in parts for row in part.sent],
        ),
        (
            "insert or replace into replies (message, run, body) values (?, ?, ?)",
            [rows.reply_row(part.batch.run_id, reply) for part in parts for reply in part.batch.replies],
        ),
        (
            "delete from outputs where run = ? and stage = ? and ref = ?",
            [(part.batch.run_id, *one) for part in parts for one in part.batch.dropped],
        ),
    ):
        if values:
            connection.executemany(sql, values)
