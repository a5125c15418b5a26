"""The tables of backfills: each call a transaction of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

import msgspec

from wvflow.ports.backfills import BackfillRow, WindowRow, superseded
from wvflow.store.sqlite.database import Database
from wvflow.store.sqlite.rows import encoded

_BACKFILL = msgspec.json.Decoder(BackfillRow)
_WINDOW = msgspec.json.Decoder(WindowRow)
_FORGOTTEN = """
    select id from backfills where project = :project
    and not exists (
        select 1 from runs where run > id || '.' and run < id || '/' and run not in (select value from json_each(:gone))
    )
    and (
        id in (select value from json_each(:superseded))
        or not exists (select 1 from windows where backfill = id and windows.run = '')
    )
    and not exists (
        select 1 from windows join runs on runs.run = windows.run
        where backfill = id and runs.run not in (select value from json_each(:gone))
    )
    order by seq
"""


class BackfillStore:
    """``wvflow.ports.backfills.Backfills`` over a database."""

    _database: Database

    def put_backfill(self, backfill: BackfillRow, windows: Sequence[WindowRow]) -> None:
        with self._database.writing() as connection:
            connection.execute(
                "insert into backfills (id, project, body) values (?, ?, ?)",
                (backfill.id, backfill.project, encoded(backfill).decode()),
            )
            connection.executemany(
                "insert into windows (backfill, number, body, run) values (?, ?, ?, '')",
                [(backfill.id, one.number, encoded(one).decode()) for one in windows],
            )

    def backfills(self, project: str) -> list[BackfillRow]:
        with self._database.reading() as connection:
            return _backfills(connection, project)

    def windows(self, backfill: str) -> list[WindowRow]:
        with self._database.reading() as connection:
            found = connection.execute("select body, run from windows where backfill = ? order by number", (backfill,))
            return [msgspec.structs.replace(_WINDOW.decode(body), run=run) for body, run in found]

    def window_done(self, backfill: str, number: int, run: str) -> None:
        with self._database.writing() as connection:
            note_done(connection, backfill, number, run)

    def forget_backfills(self, project: str, *, gone: Collection[str] = (), dry_run: bool = False) -> list[str]:
        with self._database.reading() as connection:
            found = _forgotten(connection, project, gone)
        if not found or dry_run:
            return found
        with self._database.writing() as connection:
            found = _forgotten(connection, project, ())
            for table, name in (("windows", "backfill"), ("backfills", "id")):
                connection.executemany(f"delete from {table} where {name} = ?", [(one,) for one in found])
        return found


def note_done(connection: sqlite3.Connection, backfill: str, number: int, run: str) -> None:
    """As ``Backfills.window_done``."""
    connection.execute(
        "update windows set run = ? where backfill = ? and number = ? and run = ''", (run, backfill, number)
    )


def _backfills(connection: sqlite3.Connection, project: str) -> list[BackfillRow]:
    found = connection.execute("select body from backfills where project = ? order by seq desc", (project,))
    return [_BACKFILL.decode(body) for (body,) in found]


def _forgotten(connection: sqlite3.Connection, project: str, gone: Collection[str]) -> list[str]:
    old = sorted(superseded(_backfills(connection, project)))
    where = {"project": project, "gone": encoded(tuple(gone)).decode(), "superseded": encoded(old).decode()}
    return [one for (one,) in connection.execute(_FORGOTTEN, where)]
