"""What all processes of a project share while tasks run: slots of pools, and starts per time.

A ticket waits or holds a slot. Every change ends with the same question, asked inside its transaction: which tickets
are the first now? So slots go by priority and then by order of arrival, whichever process waits. Tickets of owners that
are gone count for nothing and are removed by whoever meets them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

from wvflow.kernel.events import EpochMs
from wvflow.ports.store import Owner, Seats, Ticket
from wvflow.store.pacing import next_start

Ask = Callable[[int], Owner | None]
"""The owner of a token, None for one that is gone or was never there."""


def seat(
    connection: sqlite3.Connection,
    token: int,
    sizes: Mapping[str, int],
    wanted: Sequence[Ticket],
    left: Sequence[int],
    ask: Ask,
) -> Seats:
    """Take tickets and give them back, then hand out what is free."""
    connection.executemany(
        "insert or ignore into slots (pool, token, ticket, priority, held) values (?, ?, ?, ?, 0)",
        [(one.pool, token, one.number, one.priority) for one in wanted],
    )
    pools = {pool for (pool,) in connection.execute("select distinct pool from slots where token = ?", (token,))}
    connection.executemany("delete from slots where token = ? and ticket = ?", [(token, one) for one in left])
    ports: set[int] = set()
    for pool in sorted(pools):
        owners = _living(connection, pool, token, ask)
        seated = _hand_out(connection, pool, sizes.get(pool, 0))
        ports |= {owners[other] for other in seated if other != token}
    held = connection.execute("select ticket from slots where token = ? and held order by ticket", (token,))
    return Seats(tuple(number for (number,) in held), tuple(sorted(ports)))


def _living(connection: sqlite3.Connection, pool: str, token: int, ask: Ask) -> dict[int, int]:
    """The ports of the other owners with tickets, without those of the dead, whose tickets are removed."""
    ports: dict[int, int] = {}
    others = connection.execute("select distinct token from slots where pool = ? and token <> ?", (pool, token))
    for (other,) in others.fetchall():
        owner = ask(other)
        if owner is None or not owner.alive:
            connection.execute("delete from slots where token = ?", (other,))
        else:
            ports[other] = owner.port
    return ports


def _hand_out(connection: sqlite3.Connection, pool: str, size: int) -> set[int]:
    """Fill the slots that are free; whose tickets got one."""
    (held,) = connection.execute("select count(*) from slots where pool = ? and held", (pool,)).fetchone()
    first = connection.execute(
        "select id, token from slots where pool = ? and not held order by priority desc, id limit ?",
        (pool, max(size - held, 0)),
    ).fetchall()
    connection.executemany("update slots set held = 1 where id = ?", [(number,) for number, _ in first])
    return {token for _, token in first}


def reserve(connection: sqlite3.Connection, name: str, interval_us: int, now: EpochMs) -> int:
    """Take the next free instant of a pace; how long it is until then, in microseconds."""
    row = connection.execute("select next, at from paces where name = ?", (name,)).fetchone()
    due, following = next_start(row, interval_us, now * 1_000)
    connection.execute("insert or replace into paces (name, next, at) values (?, ?, ?)", (name, following, now * 1_000))
    return due - now * 1_000
