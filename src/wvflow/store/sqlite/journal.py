"""Reading a journal back, and proving that it is whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

import msgspec

from wvflow import __version__
from wvflow.errors import JournalCorrupt, StateTooNew
from wvflow.kernel.events import Continued, Event
from wvflow.kernel.state import RunState
from wvflow.ports.store import Journal, Recorded
from wvflow.store.sqlite import rows
from wvflow.store.sqlite.failures import primary_code

CONTINUED = str(Continued.__struct_config__.tag).encode()


class Start(NamedTuple):
    """Where reading starts: behind ``position`` records, whose checksum is ``crc``."""

    position: int
    crc: int
    state: RunState | None = None


def whole(connection: sqlite3.Connection, run_id: str) -> Journal | None:
    """The run's journal from its snapshot on, None when there is no such run. Raises JournalCorrupt."""
    end = _end(connection, run_id)
    if end is None:
        return None
    start = _snapshot(connection, run_id, end[0]) or _start_at(connection, run_id, 0)
    records = tuple(_records(connection, run_id, start, end))
    return Journal(run_id, records, start=start.position, snapshot=start.state)


def behind(connection: sqlite3.Connection, run_id: str, after: int) -> tuple[Recorded, ...] | None:
    """The records behind position ``after``, None when there is no such run. Raises JournalCorrupt."""
    end = _end(connection, run_id)
    if end is None:
        return None
    if after >= end[0]:
        return ()
    return tuple(_records(connection, run_id, _start_at(connection, run_id, after), end))


def _end(connection: sqlite3.Connection, run_id: str) -> tuple[int, int] | None:
    """The position and checksum of the last record, as the list of runs has them."""
    row: tuple[int, int] | None = connection.execute(
        "select position, crc from runs where run = ?", (run_id,)
    ).fetchone()
    return row


def _start_at(connection: sqlite3.Connection, run_id: str, position: int) -> Start:
    if (anew := _begun_anew(connection, run_id)) is not None and position <= anew.position:
        return anew
    if position <= 0:
        return Start(0, rows.chain_start(run_id))
    row = connection.execute("select crc from events where run = ? and position = ?", (run_id, position)).fetchone()
    if row is None:
        raise JournalCorrupt(run_id, position, "it is missing")
    return Start(position, row[0])


def _begun_anew(connection: sqlite3.Connection, run_id: str) -> Start | None:
    """Where a journal begins that carries the state of what was let go of: behind the one record that is kept of it."""
    try:
        found = connection.execute(
            "select position, crc, cast(body as blob) from events where run = ? order by position limit 2", (run_id,)
        ).fetchall()
    except sqlite3.DatabaseError as error:
        if primary_code(error) != sqlite3.SQLITE_CORRUPT:
            raise
        return None  # who reads the records finds the place
    anew = len(found) == 2 and _tag(found[1][2]) == CONTINUED
    return Start(*found[0][:2]) if anew else None


def _tag(body: bytes) -> bytes:
    return body.partition(b'"event":"')[2].partition(b'"')[0]


def _snapshot(connection: sqlite3.Connection, run_id: str, end: int) -> Start | None:
    """The kept state, if this very version made it and it is undamaged: it is a cache, so any doubt drops it."""
    row = connection.execute(
        """
        select s.position, s.body, s.crc, e.crc from snapshots s
        join events e on e.run = s.run and e.position = s.position
        where s.run = ? and s.made_by = ? and s.position <= ?
        """,
        (run_id, __version__, end),
    ).fetchone()
    if row is None:
        return None
    position, body, checksum, crc = row
    if crc32(body, crc) != checksum:
        return None
    try:
        return Start(position, crc, rows.STATE.decode(body))
    except msgspec.DecodeError:
        return None


def _records(connection: sqlite3.Connection, run_id: str, start: Start, end: tuple[int, int]) -> Iterator[Recorded]:
    position, crc = start.position, start.crc
    for place, body, commands, checksum in _rows(connection, run_id, position):
        position += 1
        if place != position:
            raise JournalCorrupt(run_id, position, "it is missing")
        crc = rows.chained(crc, body, commands)
        if crc != checksum:
            raise JournalCorrupt(run_id, position, "its checksum does not match")
        yield Recorded(position, _event(run_id, position, body), commands)
    if (position, crc) != end:
        raise JournalCorrupt(run_id, position + 1, f"the journal should end with record {end[0]}")


def _rows(connection: sqlite3.Connection, run_id: str, after: int) -> Iterator[rows.Row]:
    """The stored records. The body is read as bytes, as damage may leave text that is none."""
    position = after
    try:
        for row in connection.execute(
            """
            select position, cast(body as blob), commands, crc from events
            where run = ? and position > ? order by position
            """,
            (run_id, after),
        ):
            yield row
            position = row[0]
    except sqlite3.DatabaseError as error:
        if primary_code(error) != sqlite3.SQLITE_CORRUPT:
            raise
        raise JournalCorrupt(run_id, position + 1, "its page of the database is damaged") from error


def _event(run_id: str, position: int, body: bytes) -> Event:
    try:
        return rows.EVENT.decode(body)
    except msgspec.DecodeError as error:
        # Its checksum is right, so this is what was written: by a version that knows more events.
        raise StateTooNew(
            f"record {position} of run {run_id} was written by a later version of wvflow ({error})",
            help="update wvflow",
        ) from error
