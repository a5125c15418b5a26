"""The ledger of idempotency keys. Whether a claim counts is asked inside the transaction that would take it over."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container, Sequence

import msgspec

from wvflow.kernel.events import EpochMs, Output
from wvflow.kernel.state import RunPhase
from wvflow.ports.ledger import (
    Claimant,
    Claimed,
    KeyEntry,
    KeyScope,
    KeyWait,
    RunKey,
    Wish,
    claimed,
    has_its_key,
    waiting,
)
from wvflow.ports.store import ENDED_STATES, Owner, RunBatch
from wvflow.store.sqlite.rows import Row, encoded

Ask = Callable[[int], Owner | None]

_ENTRY = "key, state, run, claim, input_hash, code, steps, output, inline, at, expires, unsure"
_VOIDED = "claim, run, stage, instance, key, state, steps, output, inline, at, iteration"
_LEFT_SOMETHING = "(state = 'done' or steps > 0 or unsure or token <> 0)"
_HERE = "flow = ? and stage = ? and iteration = ?"
_MINE = f"{_HERE} and key = ? and state = 'running' and run = ? and token = ? and instance = ? and attempt = ?"
_WAIT = "stage, iteration, instance, attempt, key, holder"
_WAITS = "run = ? and stage = ? and instance = ?"
_OUTPUT = msgspec.json.Decoder(Output)


def claim(
    connection: sqlite3.Connection, scope: KeyScope, by: Claimant, wishes: Sequence[Wish], now: EpochMs, ask: Ask
) -> Claimed:
    """As ``Ledger.claim``; ``ask`` tells the owner of a token."""
    fence = connection.execute("select fence from runs where run = ?", (by.run_id,)).fetchone()
    if fence is None or fence[0] != by.token:
        return Claimed(lost=True)
    found: list[KeyEntry] = []
    anew: list[str] = []
    for wish in wishes:
        entry, holder = _known(connection, scope, wish.key, by)
        if entry is not None and entry.state == "running" and holder and _counts(connection, entry.run_id, holder, ask):
            _wait(connection, by.run_id, waiting(scope, by, entry))
            return Claimed(holder=entry.run_id)
        found.append(claimed(entry, wish, by, now))
        anew += [wish.key] if entry is not None and entry.claim != found[-1].claim else []
    if anew:
        _set_aside(connection, f"{_HERE} and key in (select value from json_each(?))", (*_where(scope), _listed(anew)))
    connection.execute(f"delete from key_waits where {_WAITS}", (by.run_id, scope.stage, by.instance))
    _write(connection, scope, by, [one for one in found if one.state == "running"])
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
    entry = msgspec.structs.replace(entry, unsure=entry.unsure or (entry.state == "running" and token != 0))
    return entry, 0 if (entry.run_id, instance) == (by.run_id, by.instance) else token


def _set_aside(connection: sqlite3.Connection, where: str, values: Row) -> None:
    """Keep what was done, or may have been, for the runs that may have to undo it; nothing of it counts any more."""
    connection.execute(
        f"insert or ignore into keys_voided ({_VOIDED})"
        f" select {_VOIDED} from ledger where {where} and stage <> '' and {_LEFT_SOMETHING}",
        values,
    )
    connection.execute(f"delete from ledger where {where} and stage <> '' and {_LEFT_SOMETHING}", values)


def _counts(connection: sqlite3.Connection, run_id: str, token: int, ask: Ask) -> bool:
    """Whether a run is still driven by that process."""
    row = connection.execute("select state, fence from runs where run = ?", (run_id,)).fetchone()
    if row is None or row[0] in ENDED_STATES or row[1] != token:
        return False
    owner = ask(token)
    return owner is not None and owner.alive


def _wait(connection: sqlite3.Connection, run_id: str, wait: KeyWait) -> None:
    connection.execute(
        f"insert or replace into key_waits (run, {_WAIT}) values (?, ?, ?, ?, ?, ?, ?)",
        (run_id, *msgspec.structs.astuple(wait)),
    )


def waits(connection: sqlite3.Connection, run_id: str) -> list[KeyWait]:
    """As ``Ledger.key_waits``."""
    found = connection.execute(f"select {_WAIT} from key_waits where run = ? order by stage, instance", (run_id,))
    return [KeyWait(*row) for row in found]


def _write(connection: sqlite3.Connection, scope: KeyScope, by: Claimant, entries: Sequence[KeyEntry]) -> None:
    names = "flow, stage, iteration, token, instance, attempt"
    connection.executemany(
        f"insert or replace into ledger ({names}, {_ENTRY}) values ({', '.join('?' * 18)})",
        [(*_where(scope), by.token, by.instance, by.attempt, *_row(one)) for one in entries],
    )


def record(connection: sqlite3.Connection, scope: KeyScope, by: Claimant, entries: Sequence[KeyEntry]) -> bool:
    """As ``Ledger.record``."""
    written = connection.executemany(
        "update ledger set state = ?, steps = ?, output = ?, inline = ?, at = ?, expires = ?, unsure = ?"
        f" where {_MINE}",
        [(one.state, *_so_far(one), *_mine(scope, one.key, by)) for one in entries],
    )
    return written.rowcount == len(entries)


def give_up(
    connection: sqlite3.Connection, scope: KeyScope, by: Claimant, keys: Sequence[str], unsure: Sequence[str]
) -> None:
    """As ``Ledger.give_up``."""
    connection.executemany(
        f"update ledger set token = 0, unsure = unsure or ? where {_MINE}",
        [(key in unsure, *_mine(scope, key, by)) for key in keys],
    )


def entries(connection: sqlite3.Connection, scope: KeyScope, keys: Sequence[str]) -> list[KeyEntry]:
    """As ``Ledger.entries``."""
    found = connection.execute(
        f"select {_ENTRY} from ledger where {_HERE} and key in (select value from json_each(?)) order by key",
        (*_where(scope), _listed(keys)),
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
        "select runs.run from ledger cross join runs on runs.run = ledger.run"  # most runs have no key
        " where ledger.stage = '' and ledger.expires > ? and runs.state = ?",
        (now, RunPhase.SUCCESS.value),
    )
    return frozenset(run for (run,) in found)


def void(connection: sqlite3.Connection, batch: RunBatch) -> None:
    """Forget for everybody else what a run did that it is to undo: under keys, and as work to be reused."""
    for one in batch.voided:
        where, values = "flow = ? and stage = ? and run = ? and instance = ?", (batch.run.flow.flow, one.name)
        _set_aside(connection, where, (*values, batch.run_id, one.instance))
        connection.execute(
            "delete from ledger where stage = '' and run in (select value from json_each(?))", (_listed(one.runs),)
        )
        connection.execute(
            "update outputs set key = '' where origin = ? and key in"
            " (select key from outputs where run = ? and stage = ? and key <> '')",
            (batch.run_id, batch.run_id, one.stage),
        )


def voided(connection: sqlite3.Connection, run_id: str, stage: str, instance: int) -> list[KeyEntry]:
    """As ``Ledger.voided``. What is not done was under way last."""
    found = connection.execute(
        f"select {_VOIDED} from keys_voided where run = ? and stage = ? and instance = ?"
        " order by state = 'done', at desc, iteration desc, key desc",
        (run_id, stage, instance),
    )
    return [
        KeyEntry(
            key=key, state=state, run_id=run, claim=claim, steps=steps, output=_decoded(output), inline=inline, at=at
        )
        for claim, run, _, _, key, state, steps, output, inline, at, _ in found
    ]


def expire(connection: sqlite3.Connection, now: EpochMs) -> None:
    """As ``Ledger.expire``."""
    connection.execute("delete from ledger where state = 'done' and expires <= ?", (now,))
    connection.execute("delete from ledger where state = 'running' and run not in (select run from runs)")


def claims(connection: sqlite3.Connection) -> frozenset[str]:
    """As ``Ledger.claims``."""
    return frozenset(
        name for (name,) in connection.execute("select claim from ledger union select claim from keys_voided")
    )


def _where(scope: KeyScope) -> Row:
    return scope.flow, scope.stage, scope.iteration


def _mine(scope: KeyScope, key: str, by: Claimant) -> Row:
    return (*_where(scope), key, by.run_id, by.token, by.instance, by.attempt)


def _listed(keys: Sequence[str]) -> str:
    return encoded(keys).decode()


def _decoded(output: str | None) -> Output | None:
    return None if output is None else _OUTPUT.decode(output)


def _output(entry: KeyEntry) -> str | None:
    return None if entry.output is None else encoded(entry.output).decode()


def _row(entry: KeyEntry) -> Row:
    return (entry.key, entry.state, entry.run_id, entry.claim, entry.input_hash, entry.code, *_so_far(entry))


def _so_far(entry: KeyEntry) -> Row:
    return entry.steps, _output(entry), entry.inline, entry.at, entry.expires, entry.unsure


def _entry(row: Row) -> KeyEntry:
    key, state, run, claim, input_hash, code, steps, output, inline, at, expires, unsure = row
    return KeyEntry(
        key=key,
        state=state,
        run_id=run,
        claim=claim,
        input_hash=input_hash,
        code=code,
        steps=steps,
        output=_decoded(output),
        inline=inline,
        at=EpochMs(at),
        expires=EpochMs(expires),
        unsure=bool(unsure),
    )
