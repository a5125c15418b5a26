"""The part of the store that keeps the agenda: each call a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence

from wvflow.kernel.events import EpochMs
from wvflow.ports.agenda import FireRow, Occupant, Order, ScheduleRow, Verdict
from wvflow.store.sqlite import agenda
from wvflow.store.sqlite.database import Database
from wvflow.store.sqlite.owners import Owners


class AgendaStore:
    """``wvflow.ports.agenda.Agenda`` over a database."""

    _database: Database
    _owners: Owners
    _serving: set[int]

    def order(self, order: Order) -> bool:
        with self._database.writing() as connection:
            return agenda.order(connection, order)

    def orders(self, project: str) -> list[Order]:
        with self._database.reading() as connection:
            return agenda.orders(connection, project)

    def ordered(self, run_id: str) -> Order | None:
        with self._database.reading() as connection:
            return agenda.ordered(connection, run_id)

    def wait_for(self, run_id: str, token: int) -> bool:
        with self._database.writing() as connection:
            return agenda.wait_for(connection, run_id, token)

    def withdraw(self, run_id: str, *, state: str, at: EpochMs, error: str | None = None) -> bool:
        with self._database.writing() as connection:
            return agenda.withdraw(connection, run_id, state, at, error)

    def withdrawn(self, run_id: str) -> Order | None:
        with self._database.reading() as connection:
            return agenda.withdrawn(connection, run_id)

    def occupants(self, group: str) -> list[Occupant]:
        with self._database.reading() as connection:
            return agenda.occupants(connection, group)

    def decide(self, verdicts: Sequence[Verdict]) -> list[bool]:
        with self._database.writing() as connection:
            return [agenda.decide(connection, verdict) for verdict in verdicts]

    def schedule(self, project: str, flow: str) -> ScheduleRow | None:
        with self._database.reading() as connection:
            return agenda.schedule(connection, project, flow)

    def schedules(self, project: str) -> list[ScheduleRow]:
        with self._database.reading() as connection:
            return agenda.schedules(connection, project)

    def set_paused(self, project: str, flow: str, paused_at: EpochMs, note: str = "") -> bool:
        with self._database.writing() as connection:
            return agenda.set_paused(connection, project, flow, paused_at, note)

    def end_pause(self, project: str, flow: str, now: EpochMs) -> None:
        with self._database.writing() as connection:
            agenda.end_pause(connection, project, flow, now)

    def fires(self, project: str, flow: str, *, limit: int | None = None) -> list[FireRow]:
        with self._database.reading() as connection:
            return agenda.fires(connection, project, flow, limit)

    def mark_late(self, run_id: str, now: EpochMs) -> bool:
        with self._database.writing() as connection:
            return agenda.mark_late(connection, run_id, now)

    def mark_overdue(self, project: str, now: EpochMs) -> list[tuple[str, FireRow]]:
        with self._database.reading() as connection:
            if not agenda.is_overdue(connection, project, now):
                return []
        with self._database.writing() as connection:
            return agenda.mark_overdue(connection, project, now)

    def forget_fires(self, project: str, flow: str, until: EpochMs) -> None:
        with self._database.writing() as connection:
            agenda.forget_fires(connection, project, flow, until)

    def serve(self, token: int, project: str) -> None:
        with self._database.writing() as connection:
            agenda.serve(connection, token, project)
        self._serving.add(token)

    def servers(self, project: str, now: EpochMs) -> Sequence[int]:
        with self._database.reading() as connection:
            return agenda.servers(connection, project, lambda token: self._owners.owner(connection, token, now))
