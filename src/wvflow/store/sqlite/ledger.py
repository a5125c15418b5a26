"""The ledger of idempotency keys. Whether a claim counts is asked inside the transaction that would take it over."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container, Sequence

import msgspec

from wvflow.kernel.events import EpochMs, Output
from wvflow.kernel.state import RunPhase
from wvflow.ports.ledger import Claimant, Claimed, KeyEntry, KeyScope, RunKey, Wish, claimed, has_its_key
from wvflow.ports.store import ENDED_STATES, Owner
from wvflow.store.sqlite.rows import Row, encoded

Ask = Callable[[int], Owner | None]

_ENTRY = "key, state, run, claim, input_hash, code, steps, output, inline, at, expires"
_HERE = "flow = ? and stage = ? and iteration = ?"
_MINE = f"{_HERE} and key = ? and state = 'running' and run = ? and token = ? and instance = ? and attempt = ?"
_OUTPUT = msgspec.json.Decoder(Output)


def claim(
    connection: sqlite3.Connection, scope: KeyScope, by: Claimant, wishes: Sequence[Wish], now: EpochMs, ask: Ask
) -> Claimed:
    """As ``Ledger.claim``; ``ask`` tells the owner of a token."""
    fence = connection.execute("select fence from runs where run = ?", (by.run_id,)).fetchone()
    if fence is None or fence[0] != by.token:
        return Claimed(lost=True)
    found: list[KeyEntry] = []
    for wish in wishes:
        entry, holder = _known(connection, scope, wish.key, by)
        if entry is not None and entry.state == "running" and holder and _counts(connection, entry.run_id, holder, ask):
            return Claimed(holder=entry.run_id)
        found.append(claimed(entry, wish, by, now))
    _write(connection, scope, by, [one for one in found if one.state == "running"])
    connection.executemany(
        "insert or ignore into keys_reused (run, flow, stage, iteration, key) values (?, ?, ?, ?, ?)",
        [(by.run_id, *_where(scope), one.key) for one in found if one.state == "done" and one.run_id != by.run_id],
    )
    return Claimed(tuple(found))


def _known(connection: sqlite3.Connection, scope: KeyScope, key: str, by: Claimant) -> tuple[KeyEntry | None, int]:
    """What is known of a key, and the token of whoever else is at it, 0 for nobody."""
    row = connection.execute(
        f"select {_ENTRY}, token, instance from ledger where {_HERE} and key = ?", (*_where(scope), key)
    ).fetchone()
    if row is None:
        return None, 0
    *rest, token, instance = row
    entry = _entry(tuple(rest))
    return entry, 0 if (entry.run_id, instance) == (by.run_id, by.instance) else token


def _counts(connection: sqlite3.Connection, run_id: str, token: int, ask: Ask) -> bool:
    """Whether a run is still driven by that process."""
    row = connection.execute("select state, fence from runs where run = ?", (run_id,)).fetchone()
    if row is None or row[0] in ENDED_STATES or row[1] != token:
        return False
    owner = ask(token)
    return owner is not None and owner.alive


def _write(connection: sqlite3.Connection, scope: KeyScope, by: Claimant, entries: Sequence[KeyEntry]) -> None:
    names = "flow, stage, iteration, token, instance, attempt"
    connection.executemany(
        f"insert or replace into ledger ({names}, {_ENTRY}) values ({', '.join('?' * 17)})",
        [(*_where(scope), by.token, by.instance, by.attempt, *_row(one)) for one in entries],
    )


def record(connection: sqlite3.Connection, scope: KeyScope, by: Claimant, entries: Sequence[KeyEntry]) -> bool:
    """As ``Ledger.record``."""
    written = connection.executemany(
        f"update ledger set state = ?, steps = ?, output = ?, inline = ?, at = ?, expires = ? where {_MINE}",
        [
            (one.state, one.steps, _output(one), one.inline, one.at, one.expires, *_mine(scope, one.key, by))
            for one in entries
        ],
    )
    return written.rowcount == len(entries)


def give_up(connection: sqlite3.Connection, scope: KeyScope, by: Claimant, keys: Sequence[str]) -> None:
    """As ``Ledger.give_up``."""
    connection.executemany(f"update ledger set token = 0 where {_MINE}", [_mine(scope, key, by) for key in keys])


def entries(connection: sqlite3.Connection, scope: KeyScope, keys: Sequence[str]) -> list[KeyEntry]:
    """As ``Ledger.entries``."""
    found = connection.execute(
        f"select {_ENTRY} from ledger where {_HERE} and key in (select value from json_each(?)) order by key",
        (*_where(scope), encoded(keys).decode()),
    )
    return [_entry(row) for row in found]


def begin(
    connection: sqlite3.Connection, flow: str, key: RunKey, by: Claimant, now: EpochMs, begun: Container[str] = ()
) -> bool:
    """Give a new run its key, unless another run has it. ``begun``: what this transaction begins, not written yet."""
    scope = KeyScope(flow, "")
    if any(_has(connection, one, now, begun) for one in entries(connection, scope, [key.key])):
        return False
    entry = KeyEntry(
        key=key.key,
        state="running",
        run_id=by.run_id,
        claim="",
        input_hash=key.input_hash,
        at=now,
        expires=key.expires,
    )
    _write(connection, scope, by, [entry])
    return True


def run_of(connection: sqlite3.Connection, flow: str, key: str, now: EpochMs) -> KeyEntry | None:
    """As ``Ledger.run_of``."""
    return next((one for one in entries(connection, KeyScope(flow, ""), [key]) if _has(connection, one, now)), None)


def _has(connection: sqlite3.Connection, entry: KeyEntry, now: EpochMs, begun: Container[str] = ()) -> bool:
    """Whether a run still has its key."""
    row = connection.execute("select state from runs where run = ?", (entry.run_id,)).fetchone()
    if row is None:
        return entry.run_id in begun
    return has_its_key(entry, row[0], now)


def kept_runs(connection: sqlite3.Connection, now: EpochMs) -> frozenset[str]:
    """As ``Ledger.kept_runs``."""
    found = connection.execute(
        "select runs.run from ledger join runs on runs.run = ledger.run"
        " where ledger.stage = '' and ledger.expires > ? and runs.state = ?",
        (now, RunPhase.SUCCESS.value),
    )
    return frozenset(run for (run,) in found)


def void(connection: sqlite3.Connection, scope: KeyScope, run_id: str) -> None:
    """As ``Ledger.void``."""
    reused = f"select key from keys_reused where run = ? and {_HERE}"
    here = _where(scope)
    connection.execute(
        f"delete from ledger where {_HERE} and (run = ? or key in ({reused}))", (*here, run_id, run_id, *here)
    )


def expire(connection: sqlite3.Connection, now: EpochMs) -> None:
    """As ``Ledger.expire``."""
    connection.execute("delete from ledger where state = 'done' and expires <= ?", (now,))
    connection.execute("delete from ledger where state = 'running' and run not in (select run from runs)")
    connection.execute("delete from keys_reused where run not in (select run from runs)")


def claims(connection: sqlite3.Connection) -> frozenset[str]:
    """As ``Ledger.claims``."""
    return frozenset(name for (name,) in connection.execute("select claim from ledger"))


def _where(scope: KeyScope) -> Row:
    return scope.flow, scope.stage, scope.iteration


def _mine(scope: KeyScope, key: str, by: Claimant) -> Row:
    return (*_where(scope), key, by.run_id, by.token, by.instance, by.attempt)


def _output(entry: KeyEntry) -> str | None:
    return None if entry.output is None else encoded(entry.output).decode()


def _row(entry: KeyEntry) -> Row:
    kept = (entry.steps, _output(entry), entry.inline, entry.at, entry.expires)
    return (entry.key, entry.state, entry.run_id, entry.claim, entry.input_hash, entry.code, *kept)


def _entry(row: Row) -> KeyEntry:
    key, state, run, claim, input_hash, code, steps, output, inline, at, expires = row
    return KeyEntry(
        key=key,
        state=state,
        run_id=run,
        claim=claim,
        input_hash=input_hash,
        code=code,
        steps=steps,
        output=None if output is None else _OUTPUT.decode(output),
        inline=inline,
        at=EpochMs(at),
        expires=EpochMs(expires),
    )
