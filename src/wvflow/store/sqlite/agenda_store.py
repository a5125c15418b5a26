"""The part of the store that keeps the agenda: each call a transaction of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wvflow.kernel.events import EpochMs
from wvflow.ports.agenda import FireRow, Occupant, Order, ScheduleRow, Verdict
from wvflow.store.sqlite import agenda, orders
from wvflow.store.sqlite.database import Database
from wvflow.store.sqlite.owners import Owners


class AgendaStore:
    """``wvflow.ports.agenda.Agenda`` over a database."""

    _database: Database
    _owners: Owners
    _serving: set[int]

    def order(self, order: Order) -> bool:
        with self._database.writing() as connection:
            return orders.order(connection, order)

    def in_turn(self, project: str, now: EpochMs, limit: int) -> list[Order]:
        with self._database.reading() as connection:
            return orders.in_turn(connection, project, limit, lambda one: self._owners.owner(connection, one, now))

    def ordered(self, run_id: str) -> Order | None:
        with self._database.reading() as connection:
            return orders.ordered(connection, run_id)

    def wait_for(self, run_id: str, token: int) -> bool:
        with self._database.writing() as connection:
            return orders.wait_for(connection, run_id, token)

    def withdraw(self, run_id: str, *, state: str, at: EpochMs, error: str | None = None) -> bool:
        with self._database.writing() as connection:
            return orders.withdraw(connection, run_id, state, at, error)

    def withdrawn(self, run_id: str) -> Order | None:
        with self._database.reading() as connection:
            return orders.withdrawn(connection, run_id)

    def mark_late(self, project: str, now: EpochMs) -> list[Order]:
        with self._database.reading() as connection:
            if not orders.late(connection, project, now):
                return []
        with self._database.writing() as connection:
            found = orders.late(connection, project, now)
            orders.note_late(connection, found, now)
        return found

    def occupants(self, groups: Collection[str]) -> dict[str, list[Occupant]]:
        with self._database.reading() as connection:
            return orders.occupants(connection, groups)

    def decide(self, verdicts: Sequence[Verdict]) -> list[bool]:
        with self._database.writing() as connection:
            return [agenda.decide(connection, verdict) for verdict in verdicts]

    def schedule(self, project: str, flow: str) -> ScheduleRow | None:
        with self._database.reading() as connection:
            return agenda.schedule(connection, project, flow)

    def schedules(self, project: str, flows: Collection[str] | None = None) -> list[ScheduleRow]:
        with self._database.reading() as connection:
            return agenda.schedules(connection, project, flows)

    def set_paused(self, project: str, flow: str, paused_at: EpochMs, note: str = "") -> bool:
        with self._database.writing() as connection:
            return agenda.set_paused(connection, project, flow, paused_at, note)

    def end_pause(self, project: str, flow: str, now: EpochMs) -> None:
        with self._database.writing() as connection:
            agenda.end_pause(connection, project, flow, now)

    def fires(self, project: str, flow: str, *, limit: int | None = None) -> list[FireRow]:
        with self._database.reading() as connection:
            return agenda.fires(connection, project, flow, limit)

    def mark_overdue(self, project: str, now: EpochMs) -> list[tuple[str, FireRow]]:
        with self._database.reading() as connection:
            if not agenda.is_overdue(connection, project, now):
                return []
        with self._database.writing() as connection:
            return agenda.mark_overdue(connection, project, now)

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
        with self._database.reading() as connection:
            found = agenda.forgotten_fires(connection, project, flow, until, now, gone)
        if not found or dry_run:
            return found
        with self._database.writing() as connection:
            return agenda.forget_fires(connection, project, flow, until, now)

    def serve(self, token: int, project: str) -> None:
        with self._database.writing() as connection:
            agenda.serve(connection, token, project)
        self._serving.add(token)

    def servers(self, project: str, now: EpochMs) -> Sequence[int]:
        with self._database.reading() as connection:
            return agenda.servers(connection, project, lambda token: self._owners.owner(connection, token, now))
