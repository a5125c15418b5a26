"""The store in one SQLite database: ``state.db`` of the state folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from sqlite3 import Connection
from types import MappingProxyType
from typing import TypeVar

from wvflow.errors import JournalCorrupt, NotPossible, Unavailable, WvflowError
from wvflow.kernel.events import EpochMs, Heartbeat
from wvflow.ports.backfills import window_of
from wvflow.ports.inbox import Answer, InboxRow
from wvflow.ports.ledger import Claimant, Claimed, KeyEntry, KeyScope, KeyWait, Wish
from wvflow.ports.rows import HeartbeatRow, LogRow, OutputRow, RunRow, StageRow
from wvflow.ports.store import ENDED_STATES, QUARANTINED, Committed, Journal, Owner, Recorded, RunBatch, Seats, Ticket
from wvflow.store.sqlite import agenda, backfills, dependencies, endings, journal, ledger, lists, owners, shares
from wvflow.store.sqlite.agenda_store import AgendaStore
from wvflow.store.sqlite.backfills import BackfillStore
from wvflow.store.sqlite.database import Database
from wvflow.store.sqlite.dependencies import DependenciesStore
from wvflow.store.sqlite.group import GroupCommit
from wvflow.store.sqlite.rows import LOG, answer_of, heartbeat_row, inbox_row, log_row
from wvflow.store.sqlite.schema import TABLES_OF_RUN

R = TypeVar("R")

_IS_OPEN = f"state not in ({', '.join(map(repr, sorted(ENDED_STATES)))})"


class SqliteStore(AgendaStore, BackfillStore, DependenciesStore):
    """``wvflow.ports.store.Store`` in a folder that is made, private, by the first write.

    For any number of threads and processes at once. Every call may raise UserError (the folder can't be used),
    StateTooNew and StoreUnavailable.
    """

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder)
        self._commits = GroupCommit(self._database)
        self._owners = owners.Owners(self._database.folder)
        self._serving: set[int] = set()

    async def commit(self, parts: Sequence[RunBatch]) -> Committed:
        return await self._commits.commit(parts)

    # --- ownership ---

    def register(self, *, port: int, at: EpochMs) -> int:
        token = 0
        try:
            with self._database.writing() as connection:
                token = self._owners.register(connection, port=port, at=at)
        except BaseException:  # the number was not taken after all, and comes again
            self._owners.release(token)
            raise
        return token

    def beat(self, token: int, at: EpochMs, held: Mapping[str, str] = MappingProxyType({})) -> None:
        self._owners.beat(token, at, held)

    def release(self, token: int) -> None:
        self._serve_no_more({token})
        self._owners.release(token)

    def _serve_no_more(self, tokens: set[int]) -> None:
        gone = self._serving & tokens
        self._serving -= gone
        for token in gone:
            with suppress(WvflowError), self._database.writing() as connection:  # a dead owner serves nothing anyway
                agenda.serve_no_more(connection, token)

    def owner(self, token: int, now: EpochMs) -> Owner | None:
        with self._database.reading() as connection:
            return self._owners.owner(connection, token, now)

    # --- what processes share ---

    def seat(
        self, token: int, now: EpochMs, sizes: Mapping[str, int], wanted: Sequence[Ticket], left: Sequence[int]
    ) -> Seats:
        with self._database.writing() as connection:
            return shares.seat(
                connection, token, sizes, wanted, left, lambda other: self._owners.owner(connection, other, now)
            )

    def reserve(self, name: str, interval_us: int, now: EpochMs) -> int:
        with self._database.writing() as connection:
            return shares.reserve(connection, name, interval_us, now)

    # --- idempotency keys ---

    def claim(self, scope: KeyScope, by: Claimant, wishes: Sequence[Wish], now: EpochMs) -> Claimed:
        with self._database.writing() as connection:
            return ledger.claim(
                connection, scope, by, wishes, now, lambda token: self._owners.owner(connection, token, now)
            )

    def key_waits(self, run_id: str) -> list[KeyWait]:
        with self._database.reading() as connection:
            return ledger.waits(connection, run_id)

    def record(self, scope: KeyScope, by: Claimant, entries: Sequence[KeyEntry]) -> bool:
        with self._database.writing() as connection:
            return ledger.record(connection, scope, by, entries)

    def give_up(self, scope: KeyScope, by: Claimant, keys: Sequence[str], unsure: Sequence[str] = ()) -> None:
        with self._database.writing() as connection:
            ledger.give_up(connection, scope, by, keys, unsure)

    def entries(self, scope: KeyScope, keys: Sequence[str]) -> list[KeyEntry]:
        with self._database.reading() as connection:
            return ledger.entries(connection, scope, keys)

    def run_of(self, flow: str, key: str, now: EpochMs) -> KeyEntry | None:
        with self._database.reading() as connection:
            return ledger.run_of(connection, flow, key, now)

    def kept_runs(self, now: EpochMs) -> frozenset[str]:
        with self._database.reading() as connection:
            kept = ledger.kept_runs(connection, now)
        return kept | self._wanted()

    def voided(self, run_id: str, stage: str, instance: int) -> list[KeyEntry]:
        with self._database.reading() as connection:
            return ledger.voided(connection, run_id, stage, instance)

    def expire(self, now: EpochMs) -> None:
        with self._database.writing() as connection:
            ledger.expire(connection, now)

    def claims(self) -> frozenset[str]:
        with self._database.reading() as connection:
            return ledger.claims(connection)

    # --- reading ---

    def journal(self, run_id: str) -> Journal:
        return self._recorded(run_id, lambda connection: journal.whole(connection, run_id))

    def events(self, run_id: str, after: int = 0) -> tuple[Recorded, ...]:
        return self._recorded(run_id, lambda connection: journal.behind(connection, run_id, after))

    def _recorded(self, run_id: str, read: Callable[[Connection], R | None]) -> R:
        """What is read of a run's journal; of one that is damaged, that is noted."""
        try:
            with self._database.reading() as connection:
                found = read(connection)
                if found is None:
                    raise lists.missing(connection, run_id)
                return found
        except JournalCorrupt as damage:
            self._quarantine(damage)
            raise

    def _quarantine(self, damage: JournalCorrupt) -> None:
        with suppress(WvflowError):  # what can't be marked is found again by the next reader
            self.mark(damage.run_id, state=QUARANTINED, problem=damage.message)

    def find(self, text: str) -> RunRow:
        with self._database.reading() as connection:
            return lists.find(connection, text)

    def runs(
        self, *, flow: str = "", state: str = "", parent: str = "", retry_of: str = "", limit: int | None = None
    ) -> list[RunRow]:
        with self._database.reading() as connection:
            return lists.runs(connection, flow=flow, state=state, parent=parent, retry_of=retry_of, limit=limit)

    def newest(self) -> list[RunRow]:
        with self._database.reading() as connection:
            return lists.newest(connection)

    def stages(self, run_id: str) -> list[StageRow]:
        with self._database.reading() as connection:
            return lists.stages(connection, run_id)

    def inline(self, ref: str) -> bytes:
        with self._database.reading() as connection:
            return lists.inline(connection, ref)

    def outputs(self, run_id: str) -> list[OutputRow]:
        with self._database.reading() as connection:
            return lists.outputs(connection, run_id)

    def reusable(self, key: str) -> OutputRow | None:
        with self._database.reading() as connection:
            return lists.reusable(connection, key)

    # --- messages ---

    def send(self, row: InboxRow) -> int:
        with self._database.writing() as connection:
            found = connection.execute("select state from runs where run = ?", (row.run_id,)).fetchone()
            if found is None:
                raise lists.missing(connection, row.run_id)
            if found[0] in ENDED_STATES:
                raise NotPossible(f"run `{row.run_id}` has already ended: {found[0]}")
            number = connection.execute(
                "insert into inbox (run, kind, body, at) values (?, ?, ?, ?)", inbox_row(row)
            ).lastrowid
        assert number is not None
        return number

    def inbox(self, run_ids: Sequence[str]) -> list[InboxRow]:
        with self._database.reading() as connection:
            return lists.inbox(connection, run_ids)

    def answer(self, message: int) -> Answer | None:
        with self._database.reading() as connection:
            found = connection.execute("select body from replies where message = ?", (message,)).fetchone()
        return None if found is None else answer_of(found[0])

    def version(self) -> int:
        return self._database.data_version()

    # --- bundles, logs, cleaning ---

    def put_bundles(self, bodies: Mapping[str, bytes]) -> None:
        with self._database.reading() as connection:
            missing = lists.missing_bundles(connection, tuple(bodies))
        if missing:
            with self._database.writing() as connection:
                connection.executemany(
                    "insert or ignore into bundles (digest, body) values (?, ?)",
                    [(one, bodies[one]) for one in missing],
                )

    def bundle(self, digest: str) -> bytes:
        with self._database.reading() as connection:
            return lists.bundle(connection, digest)

    def log(self, rows: Sequence[LogRow]) -> None:
        with suppress(Unavailable), self._database.writing() as connection:
            connection.executemany(f"insert into logs ({LOG}) values (?, ?, ?, ?, ?, ?)", map(log_row, rows))

    def logs(self, run_id: str, stage: str = "") -> list[LogRow]:
        with self._database.reading() as connection:
            return lists.logs(connection, run_id, stage)

    def keep_heartbeats(self, rows: Sequence[HeartbeatRow]) -> None:
        with self._database.writing() as connection:
            connection.executemany(
                "insert or replace into heartbeats (run, stage, instance, task, attempt, details, at, iteration)"
                " values (?, ?, ?, ?, ?, ?, ?, ?)",
                map(heartbeat_row, rows),
            )

    def heartbeats(self, run_id: str) -> tuple[Heartbeat, ...]:
        with self._database.reading() as connection:
            return lists.heartbeats(connection, run_id)

    def delete(self, run_id: str) -> bool:
        with self._database.writing() as connection:
            row = connection.execute("select state, cause from runs where run = ?", (run_id,)).fetchone()
            if row is None or row[0] not in ENDED_STATES:
                return False
            if tuple(row) == ("success", "backfill") and (window := window_of(run_id)) is not None:
                backfills.note_done(connection, *window, run_id)
            for table in TABLES_OF_RUN:
                connection.execute(f"delete from {table} where run = ?", (run_id,))
            dependencies.forget(connection, run_id)
        return True

    def mark(self, run_id: str, *, state: str, problem: str, ended_at: EpochMs | None = None) -> None:
        with self._database.writing() as connection:
            connection.execute(
                f"update runs set state = ?, problem = ?, finished_at = ? where run = ? and {_IS_OPEN}",
                (state, problem, ended_at, run_id),
            )
            endings.number(connection, [run_id])

    def close(self) -> None:
        """Write what waits, give up ownership and let go of the folder. Doing it again is free."""
        self._commits.close()
        self._serve_no_more(self._serving)
        self._owners.release_all()
        self._database.close()
