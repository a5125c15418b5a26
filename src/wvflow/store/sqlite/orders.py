"""The table of runs that are to begin, and the slots that they wait for.

Whose turn it is is read by indexes, group by group, as far as there are free slots: a group without costs few look-ups,
however many runs wait in it, and what waits is decoded only when its turn has come.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

import msgspec

from wvflow.kernel.events import EpochMs
from wvflow.ports.agenda import Occupant, Order, Turn
from wvflow.ports.ledger import Claimant
from wvflow.ports.store import ENDED_STATES, PENDING, NewRun, Owner
from wvflow.store.sqlite import dependencies, ledger
from wvflow.store.sqlite.rows import Row, chain_start, encoded

_ORDER = msgspec.json.Decoder(Order)
_IS_OPEN = f"state not in ({', '.join(map(repr, sorted(ENDED_STATES)))})"
_IS_PENDING = f"state = {PENDING!r}"
_TAKES_A_SLOT = f"slots_of <> '' and finished_at is null and {_IS_OPEN}"  # by the index ``runs_open``
# Those that wait are passed over, not counted: there may be many.
TAKEN: Final = (
    f"(select count(*) from runs where slots_of = :slots_of and {_TAKES_A_SLOT} and state < {PENDING!r})"
    f" + (select count(*) from runs where slots_of = :slots_of and {_TAKES_A_SLOT} and state > {PENDING!r})"
)
OCCUPANTS: Final = f"""
    select slots_of, run, cause, not {_IS_PENDING} from runs
    where slots_of in (select value from json_each(?)) and {_TAKES_A_SLOT} order by {_IS_PENDING}, created_at, seq
"""
GROUPS: Final = f"""
    with recursive waiting(slots_of) as (
        select min(slots_of) from orders where project = :project and most > 0
        union all
        select (select min(slots_of) from orders where project = :project and most > 0 and slots_of > waiting.slots_of)
        from waiting where slots_of is not null
    ),
    turns as materialized (
        select slots_of, {TAKEN.replace(":slots_of", "waiting.slots_of")} as taken,
            (select max(most) from orders where project = :project and most > 0 and slots_of = waiting.slots_of) as most
        from waiting where slots_of is not null
    )
    select slots_of, taken, most - taken from turns where taken < most
"""
FIRST: Final = """
    select seq, body, most, waiter from orders indexed by orders_in_turn
    where project = ? and slots_of = ? and most > 0 order by seq limit ?
"""
OF_ANY_NUMBER: Final = """
    select seq, body from orders where project = ? and most = 0
    and waiter not in (select value from json_each(?)) order by seq limit ?
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
        (taken,) = self._connection.execute(f"select {TAKEN}", {"slots_of": turn.group}).fetchone()
        return int(taken) + self._taken[turn.group] < turn.limit

    def take(self, new: NewRun | None) -> None:
        if new is not None and new.turn.group:
            self._taken[new.turn.group] += 1


def forget(connection: sqlite3.Connection, run_ids: Sequence[str]) -> None:
    """Orders that are carried out: the rows of runs that take their place are written next."""
    for table in ("orders", "runs"):
        connection.executemany(f"delete from {table} where run = ?", [(run,) for run in run_ids])


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
        "insert into orders (run, project, body, slots_of, most, waiter, begin_by) values (?, ?, ?, ?, ?, ?, ?)",
        (
            new.run_id,
            new.project,
            encoded(new).decode(),
            new.group,
            new.limit if new.group else 0,
            new.waiter,
            new.begin_by,
        ),
    )


def in_turn(
    connection: sqlite3.Connection, project: str, limit: int, ask: Callable[[int], Owner | None]
) -> list[Order]:
    """As ``Agenda.in_turn``; ``ask`` tells the owner of a token."""
    waiters = connection.execute("select distinct waiter from orders where waiter > 0").fetchall()
    alive = {token for (token,) in waiters if (owner := ask(token)) is not None and owner.alive}
    found = connection.execute(OF_ANY_NUMBER, (project, encoded(sorted(alive)).decode(), limit)).fetchall()
    for slots_of, taken, free in connection.execute(GROUPS, {"project": project}).fetchall():
        found += _first(connection, project, slots_of, taken, free, alive)
    return [_ORDER.decode(body) for _, body in sorted(found)[:limit]]


def _first(
    connection: sqlite3.Connection, project: str, slots_of: str, taken: int, free: int, alive: Collection[int]
) -> Iterator[Row]:
    """Those of a group that there are slots for: each counts against its own limit, with all that come before it."""
    rows = connection.execute(FIRST, (project, slots_of, free))
    for place, (seq, body, most, waiter) in enumerate(rows, taken + 1):
        if place <= most and waiter not in alive:
            yield seq, body


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
    connection.execute("update orders set body = ?, waiter = ? where run = ?", (body, token, run_id))
    return True


def withdraw(connection: sqlite3.Connection, run_id: str, state: str, at: EpochMs, error: str | None) -> bool:
    """As ``Agenda.withdraw``."""
    connection.execute("insert into withdrawn (run, body) select run, body from orders where run = ?", (run_id,))
    connection.execute("delete from orders where run = ?", (run_id,))
    ended = connection.execute(
        f"update runs set state = ?, finished_at = ?, error = ? where run = ? and {_IS_PENDING}",
        (state, at, error, run_id),
    )
    return ended.rowcount > 0


def withdrawn(connection: sqlite3.Connection, run_id: str) -> Order | None:
    """As ``Agenda.withdrawn``."""
    found = connection.execute("select body from withdrawn where run = ?", (run_id,)).fetchone()
    return None if found is None else _ORDER.decode(found[0])


def cancel(connection: sqlite3.Connection, run_id: str, at: EpochMs) -> None:
    """Have a run make room: end one that has not begun, and ask one that has to stop."""
    if withdraw(connection, run_id, "cancelled", at, None):
        dependencies.let_go(connection, run_id)
    else:
        connection.execute(
            "insert into inbox (run, kind, body, at)"
            f" select run, 'cancel', '{{}}', ? from runs where run = ? and {_IS_OPEN}",
            (at, run_id),
        )


def occupants(connection: sqlite3.Connection, groups: Collection[str]) -> dict[str, list[Occupant]]:
    """As ``Agenda.occupants``."""
    found: dict[str, list[Occupant]] = {group: [] for group in groups}
    for group, run, cause, has_begun in connection.execute(OCCUPANTS, (encoded(tuple(found)).decode(),)):
        found[group].append(Occupant(run, cause, bool(has_begun)))
    return found


def late(connection: sqlite3.Connection, project: str, now: EpochMs) -> list[Order]:
    """Those that are late and not noted as such."""
    found = connection.execute(
        "select body from orders where project = ? and begin_by <= ? order by begin_by, seq", (project, now)
    )
    return [_ORDER.decode(body) for (body,) in found]


def note_late(connection: sqlite3.Connection, orders: Sequence[Order], now: EpochMs) -> None:
    """Note that these are late."""
    runs = [(now, one.run_id) for one in orders]
    connection.executemany(f"update runs set late = ? where run = ? and {_IS_PENDING}", runs)
    connection.executemany("update fires set late_at = ? where run = ? and run <> '' and late_at is null", runs)
    connection.executemany("update orders set begin_by = null where run = ?", [(run,) for _, run in runs])
