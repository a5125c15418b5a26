"""The tables of backfills: each call a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wvflow.ports.backfills import BackfillRow, WindowRow
from wvflow.store.sqlite.database import Database
from wvflow.store.sqlite.rows import encoded

_BACKFILL = msgspec.json.Decoder(BackfillRow)
_WINDOW = msgspec.json.Decoder(WindowRow)


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
            found = connection.execute("select body from backfills where project = ? order by seq desc", (project,))
            return [_BACKFILL.decode(body) for (body,) in found]

    def windows(self, backfill: str) -> list[WindowRow]:
        with self._database.reading() as connection:
            found = connection.execute("select body, run from windows where backfill = ? order by number", (backfill,))
            return [msgspec.structs.replace(_WINDOW.decode(body), run=run) for body, run in found]

    def window_done(self, backfill: str, number: int, run: str) -> None:
        with self._database.writing() as connection:
            connection.execute(
                "update windows set run = ? where backfill = ? and number = ? and run = ''", (run, backfill, number)
            )
