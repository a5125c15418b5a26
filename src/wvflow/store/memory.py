"""The store in memory, for tests and the simulator: it forgets everything with its last holder.

``Shelf`` is what lasts; each ``MemoryStore`` over it is a process of its own, whose death is ``close``.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from types import MappingProxyType
from typing import Literal

import msgspec

from wvflow.errors import NotPossible, OutputMissing, PlanMissing, StoreUnavailable
from wvflow.kernel.events import EpochMs, Heartbeat, OwnerChanged, RunStarted
from wvflow.kernel.state import RunPhase, RunState
from wvflow.ports.inbox import Answer, InboxRow
from wvflow.ports.ledger import Claimant, Claimed, KeyEntry, KeyScope, KeyWait, Wish, has_its_key
from wvflow.ports.rows import HeartbeatRow, LogRow, OutputRow, RunRow, StageRow
from wvflow.ports.store import (
    ENDED_STATES,
    PENDING,
    SILENCE_MS,
    Committed,
    Journal,
    NewRun,
    Owner,
    Recorded,
    RunBatch,
    Seats,
    Ticket,
    Voided,
)
from wvflow.store import memory_dependencies as dependencies
from wvflow.store.finding import LAST, ambiguous, not_found
from wvflow.store.memory_agenda import AgendaOfShelf, AgendaStore, has_slot
from wvflow.store.memory_backfills import BackfillsOfShelf, BackfillStore, note_done
from wvflow.store.memory_dependencies import DependenciesStore, Used
from wvflow.store.memory_ledger import LedgerOfShelf
from wvflow.store.pacing import next_start

# What a run is begun with and keeps.
_PINNED = ("flow", "bundle", "parent", "project", "key", "cause", "run_time", "params", "retry_of")

OutputKey = tuple[int, int, int, int, int]


class StoredRun:
    """All that is kept of one run."""

    def __init__(self, row: RunRow, created_at: EpochMs) -> None:
        self.row = row
        self.created_at = created_at
        self.group = ""
        self.ended = 0
        self.fence = 0
        self.records: list[Recorded] = []
        self.snapshot: tuple[int, RunState] | None = None
        self.stages: dict[int, StageRow] = {}
        self.outputs: dict[OutputKey, OutputRow] = {}

    def behind(self, position: int) -> tuple[Recorded, ...]:
        """The records behind a position."""
        return tuple(one for one in self.records if one.position > position)


class _Slot:
    """A ticket in a pool, waiting or held."""

    def __init__(self, token: int, ticket: Ticket) -> None:
        self.token = token
        self.ticket = ticket
        self.held = False


class Shelf:
    """What outlives a process: share one between stores to have several processes on one state folder."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.runs: dict[str, StoredRun] = {}
        self.inbox: dict[int, InboxRow] = {}
        self.replies: dict[int, tuple[str, Answer]] = {}
        self.owners: dict[int, Owner] = {}
        self.bundles: dict[str, bytes] = {}
        self.logs: dict[str, list[LogRow]] = {}
        self.reusable: dict[str, list[tuple[str, OutputRow]]] = {}
        self.heartbeats: dict[str, dict[tuple[int, int], Heartbeat]] = {}
        self.slots: list[_Slot] = []
        self.ledger = LedgerOfShelf()
        self.agenda = AgendaOfShelf()
        self.backfills = BackfillsOfShelf()
        self.used: list[Used] = []
        self.attended: dict[tuple[str, str], dependencies.Attended] = {}
        self.paces: dict[str, tuple[int, int]] = {}
        self.writes = 0
        self.message_ids = count(1)
        self.ends = count(1)


class MemoryStore(AgendaStore, BackfillStore, DependenciesStore):
    """``wvflow.ports.store.Store`` over a ``Shelf``, its own or a shared one."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        self._shelf = shelf or Shelf()
        self._held: set[int] = set()
        self._closed = False

    async def commit(self, parts: Sequence[RunBatch]) -> Committed:
        with self._writing() as shelf:
            told = [(part.run_id, _write(shelf, part)) for part in parts]
        return Committed(
            conflicts=tuple(run for run, verdict in told if verdict == "conflict"),
            full=tuple(run for run, verdict in told if verdict == "full"),
        )

    # --- ownership ---

    def register(self, *, port: int, at: EpochMs) -> int:
        with self._writing() as shelf:
            token = len(shelf.owners) + 1
            shelf.owners[token] = Owner(
                token=token,
                pid=os.getpid(),
                host=socket.gethostname(),
                port=port,
                started_at=at,
                beat_at=at,
                alive=True,
            )
            self._held.add(token)
            return token

    def beat(self, token: int, at: EpochMs, held: Mapping[str, str] = MappingProxyType({})) -> None:
        with self._reading() as shelf:
            owner = shelf.owners[token]
            beat_at = max(owner.beat_at, at)
            shelf.owners[token] = msgspec.structs.replace(owner, beat_at=beat_at, held=dict(held))

    def release(self, token: int) -> None:
        with self._shelf.lock:
            self._held.discard(token)
            self._shelf.agenda.serving.pop(token, None)
            if owner := self._shelf.owners.get(token):
                self._shelf.owners[token] = msgspec.structs.replace(owner, alive=False)

    def owner(self, token: int, now: EpochMs) -> Owner | None:
        with self._reading() as shelf:
            owner = shelf.owners.get(token)
            if owner is None:
                return None
            return msgspec.structs.replace(owner, alive=owner.alive and now - owner.beat_at <= SILENCE_MS)

    # --- what processes share ---

    def seat(
        self, token: int, now: EpochMs, sizes: Mapping[str, int], wanted: Sequence[Ticket], left: Sequence[int]
    ) -> Seats:
        with self._writing() as shelf:
            known = {slot.ticket.number for slot in shelf.slots if slot.token == token}
            new = {one.number: one for one in wanted if one.number not in known}
            shelf.slots += [_Slot(token, one) for one in new.values()]
            pools = {slot.ticket.pool for slot in shelf.slots if slot.token == token}
            shelf.slots = [
                slot
                for slot in shelf.slots
                if (slot.ticket.number not in left if slot.token == token else self._lives(slot.token, now))
            ]
            seated = [slot.token for pool in pools for slot in _hand_out(shelf, pool, sizes.get(pool, 0))]
            held = tuple(slot.ticket.number for slot in shelf.slots if slot.token == token and slot.held)
            return Seats(held, tuple(sorted({shelf.owners[other].port for other in seated if other != token})))

    def _lives(self, token: int, now: EpochMs) -> bool:
        owner = self.owner(token, now)
        return owner is not None and owner.alive

    def reserve(self, name: str, interval_us: int, now: EpochMs) -> int:
        with self._writing() as shelf:
            due, following = next_start(shelf.paces.get(name), interval_us, now * 1_000)
            shelf.paces[name] = following, now * 1_000
            return due - now * 1_000

    # --- idempotency keys ---

    def claim(self, scope: KeyScope, by: Claimant, wishes: Sequence[Wish], now: EpochMs) -> Claimed:
        with self._writing() as shelf:
            run = shelf.runs.get(by.run_id)
            if run is None or run.fence != by.token:
                return Claimed(lost=True)
            return shelf.ledger.claim(scope, by, wishes, now, lambda other: self._drives(other, now))

    def key_waits(self, run_id: str) -> list[KeyWait]:
        with self._reading() as shelf:
            return shelf.ledger.waits(run_id)

    def _drives(self, claimant: Claimant, now: EpochMs) -> bool:
        run = self._shelf.runs.get(claimant.run_id)
        open_ = run is not None and run.row.state not in ENDED_STATES and run.fence == claimant.token
        return open_ and self._lives(claimant.token, now)

    def record(self, scope: KeyScope, by: Claimant, entries: Sequence[KeyEntry]) -> bool:
        with self._writing() as shelf:
            return shelf.ledger.record(scope, by, entries)

    def give_up(self, scope: KeyScope, by: Claimant, keys: Sequence[str], unsure: Sequence[str] = ()) -> None:
        with self._writing() as shelf:
            shelf.ledger.give_up(scope, by, keys, unsure)

    def entries(self, scope: KeyScope, keys: Sequence[str]) -> list[KeyEntry]:
        with self._reading() as shelf:
            return shelf.ledger.entries(scope, keys)

    def run_of(self, flow: str, key: str, now: EpochMs) -> KeyEntry | None:
        with self._reading() as shelf:
            return run_of(shelf, flow, key, now)

    def kept_runs(self, now: EpochMs) -> frozenset[str]:
        with self._reading() as shelf:
            under_keys = shelf.ledger.runs(now)
            done = {
                one for one in under_keys if one in shelf.runs and shelf.runs[one].row.state == RunPhase.SUCCESS.value
            }
            return frozenset(done | dependencies.wanted(shelf))

    def voided(self, run_id: str, stage: str, instance: int) -> list[KeyEntry]:
        with self._reading() as shelf:
            return shelf.ledger.voided(run_id, stage, instance)

    def expire(self, now: EpochMs) -> None:
        with self._writing() as shelf:
            shelf.ledger.expire(now, shelf.runs)

    def claims(self) -> frozenset[str]:
        with self._reading() as shelf:
            return shelf.ledger.claims()

    # --- reading ---

    def journal(self, run_id: str) -> Journal:
        with self._reading() as shelf:
            run = _stored(shelf, run_id)
            start, state = run.snapshot or (0, None)
            return Journal(run_id, run.behind(start), start=start, snapshot=state)

    def events(self, run_id: str, after: int = 0) -> tuple[Recorded, ...]:
        with self._reading() as shelf:
            return _stored(shelf, run_id).behind(after)

    def find(self, text: str) -> RunRow:
        with self._reading() as shelf:
            newest = [row.run_id for row in _newest_first(shelf)]
            started = [row for row in _newest_first(shelf) if not row.parent]
            if text == LAST and started:
                return started[0]
            if text in shelf.runs:
                return shelf.runs[text].row
            found = [run_id for run_id in newest if text and run_id.startswith(text)]
            if len(found) > 1:
                raise ambiguous(text, found)
            if not found:
                raise not_found(text, newest)
            return shelf.runs[found[0]].row

    def runs(
        self, *, flow: str = "", state: str = "", parent: str = "", retry_of: str = "", limit: int | None = None
    ) -> list[RunRow]:
        with self._reading() as shelf:
            found = [
                row
                for row in _newest_first(shelf)
                if (not flow or row.flow.flow == flow)
                and (not state or row.state == state)
                and (not parent or row.parent == parent)
                and (not retry_of or row.retry_of == retry_of)
            ]
            return found[:limit]

    def newest(self) -> list[RunRow]:
        with self._reading() as shelf:
            return list({(row.flow, row.project): row for row in reversed(_newest_first(shelf))}.values())

    def stages(self, run_id: str) -> list[StageRow]:
        with self._reading() as shelf:
            run = shelf.runs.get(run_id)
            return [run.stages[index] for index in sorted(run.stages)] if run else []

    def inline(self, ref: str) -> bytes:
        with self._reading() as shelf:
            for run in shelf.runs.values():
                for row in run.outputs.values():
                    if row.output.ref == ref and row.inline is not None:
                        return row.inline
        raise OutputMissing(f"the rows of {ref} are not kept", help="the run may have been cleaned away")

    def outputs(self, run_id: str) -> list[OutputRow]:
        with self._reading() as shelf:
            run = shelf.runs.get(run_id)
            rows = [run.outputs[key] for key in sorted(run.outputs)] if run else []
            return [msgspec.structs.replace(row, inline=None) for row in rows]

    def reusable(self, key: str) -> OutputRow | None:
        with self._reading() as shelf:
            found = [row for run_id, row in shelf.reusable.get(key, ()) if run_id in shelf.runs]
            return msgspec.structs.replace(found[-1], inline=None) if found else None

    # --- messages ---

    def send(self, row: InboxRow) -> int:
        with self._writing() as shelf:
            run = _stored(shelf, row.run_id)
            if run.row.state in ENDED_STATES:
                raise NotPossible(f"run `{row.run_id}` has already ended: {run.row.state}")
            return _deliver(shelf, row)

    def answer(self, message: int) -> Answer | None:
        with self._reading() as shelf:
            found = shelf.replies.get(message)
        return None if found is None else found[1]

    def inbox(self, run_ids: Sequence[str]) -> list[InboxRow]:
        wanted = frozenset(run_ids)
        with self._reading() as shelf:
            return [row for row in shelf.inbox.values() if row.run_id in wanted]

    def version(self) -> int:
        with self._reading() as shelf:
            return shelf.writes

    # --- bundles, logs, cleaning ---

    def put_bundles(self, bodies: Mapping[str, bytes]) -> None:
        with self._writing() as shelf:
            shelf.bundles = {**bodies, **shelf.bundles}

    def bundle(self, digest: str) -> bytes:
        with self._reading() as shelf:
            if digest not in shelf.bundles:
                raise PlanMissing(f"the compiled program {digest} is not in the store", help="start a new run")
            return shelf.bundles[digest]

    def log(self, rows: Sequence[LogRow]) -> None:
        with self._writing() as shelf:
            for row in rows:
                shelf.logs.setdefault(row.run_id, []).append(row)

    def logs(self, run_id: str, stage: str = "") -> list[LogRow]:
        with self._reading() as shelf:
            return [row for row in shelf.logs.get(run_id, []) if not stage or row.stage == stage]

    def keep_heartbeats(self, rows: Sequence[HeartbeatRow]) -> None:
        with self._writing() as shelf:
            for row in rows:
                said = row.heartbeat
                shelf.heartbeats.setdefault(row.run_id, {})[said.stage, said.instance] = said

    def heartbeats(self, run_id: str) -> tuple[Heartbeat, ...]:
        with self._reading() as shelf:
            kept = shelf.heartbeats.get(run_id, {})
            return tuple(kept[stage] for stage in sorted(kept))

    def delete(self, run_id: str) -> bool:
        with self._writing() as shelf:
            if run_id not in shelf.runs or shelf.runs[run_id].row.state not in ENDED_STATES:
                return False
            note_done(shelf, run_id)
            del shelf.runs[run_id]
            shelf.ledger.forget(run_id)
            shelf.agenda.withdrawn.pop(run_id, None)
            shelf.logs.pop(run_id, None)
            shelf.heartbeats.pop(run_id, None)
            shelf.inbox = {number: row for number, row in shelf.inbox.items() if row.run_id != run_id}
            shelf.replies = {number: told for number, told in shelf.replies.items() if told[0] != run_id}
            dependencies.forget(shelf)
            return True

    def mark(self, run_id: str, *, state: str, problem: str, ended_at: EpochMs | None = None) -> None:
        with self._writing() as shelf:
            run = shelf.runs.get(run_id)
            if run is not None and run.row.state not in ENDED_STATES:
                run.row = msgspec.structs.replace(run.row, state=state, problem=problem, finished_at=ended_at)

    def close(self) -> None:
        for token in tuple(self._held):
            self.release(token)
        self._closed = True

    @contextmanager
    def _reading(self) -> Iterator[Shelf]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        with self._shelf.lock:
            yield self._shelf

    @contextmanager
    def _writing(self) -> Iterator[Shelf]:
        with self._reading() as shelf:
            yield shelf
            shelf.writes += 1


def _hand_out(shelf: Shelf, pool: str, size: int) -> list[_Slot]:
    slots = [slot for slot in shelf.slots if slot.ticket.pool == pool]
    waiting = sorted((slot for slot in slots if not slot.held), key=lambda slot: -slot.ticket.priority)
    seated = waiting[: max(size - sum(slot.held for slot in slots), 0)]
    for slot in seated:
        slot.held = True
    return seated


def _stored(shelf: Shelf, run_id: str) -> StoredRun:
    run = shelf.runs.get(run_id)
    if run is None:
        raise not_found(run_id, [row.run_id for row in _newest_first(shelf)])
    return run


def _newest_first(shelf: Shelf) -> list[RunRow]:
    by_age = sorted(shelf.runs.values(), key=lambda run: run.created_at)
    return [run.row for run in reversed(by_age)]  # of those as old, too, the one written last comes first


def _deliver(shelf: Shelf, row: InboxRow) -> int:
    number = next(shelf.message_ids)
    shelf.inbox[number] = msgspec.structs.replace(row, id=number)
    return number


def _write(shelf: Shelf, part: RunBatch) -> Literal["written", "conflict", "full"]:
    """Write one run's part, if it follows on what is stored."""
    run = shelf.runs.get(part.run_id)
    if not _follows(part, run) or not _may_begin(part, shelf):
        return "conflict"
    if part.new is not None and not has_slot(part.new.turn, shelf):
        return "full"
    new = part.new
    if new is not None and not new.ordered and not dependencies.are_free(shelf, new.flow.flow, new.uses):
        return "conflict"
    if not _has_its_key(part, shelf):
        return "conflict"
    if new is not None and not new.ordered:
        dependencies.take(shelf, new.flow.flow, part.run_id, new.uses)
    if part.new is not None:
        run = StoredRun(_begun(part.new, part.run), part.new.created_at)
        run.group = part.new.turn.group
        shelf.runs.pop(part.run_id, None)
        shelf.runs[part.run_id] = run
        shelf.agenda.orders.pop(part.run_id, None)
    assert run is not None
    _extend(shelf, run, part)
    run.stages.update({row.index: row for row in part.stages})
    run.outputs.update({(row.stage, row.task, row.iteration, row.instance, row.attempt): row for row in part.outputs})
    run.outputs = {key: row for key, row in run.outputs.items() if (row.stage, row.output.ref) not in part.dropped}
    for row in part.outputs:
        if row.key:
            shelf.reusable.setdefault(row.key, []).append((part.run_id, row))
    for one in part.voided:
        _void(shelf, run, one)
    for number in part.consumed:
        if number in shelf.inbox and shelf.inbox[number].run_id == part.run_id:
            del shelf.inbox[number]
    for message in part.sent:
        _deliver(shelf, message)
    for reply in part.replies:
        shelf.replies[reply.message] = (part.run_id, reply.answer)
    return "written"


def _void(shelf: Shelf, run: StoredRun, what: Voided) -> None:
    shelf.ledger.void(run.row.flow.flow, what.name, run.row.run_id, what.instance)
    shelf.ledger.free(what.runs)
    for key in {row.key for row in run.outputs.values() if row.stage == what.stage and row.key}:
        shelf.reusable[key] = [one for one in shelf.reusable[key] if one[1].origin != run.row.run_id]


def _follows(part: RunBatch, run: StoredRun | None) -> bool:
    if part.new is not None:
        is_there = run is not None and run.row.state == PENDING if part.new.ordered else run is None
        return is_there and part.after == 0
    if run is None or not run.row.position:  # a journal begins with the run
        return False
    takes_over = any(isinstance(event, OwnerChanged | RunStarted) for event in part.events)
    return run.row.position == part.after and (takes_over or run.fence == part.token)


def _may_begin(part: RunBatch, shelf: Shelf) -> bool:
    if part.new is None or not part.new.fence:
        return True
    parent = shelf.runs.get(part.new.parent)
    return parent is not None and parent.fence == part.new.fence


def _has_its_key(part: RunBatch, shelf: Shelf) -> bool:
    """Whether no other run has the key that this one is begun under; it has it from here on."""
    new = part.new
    if new is None or new.key is None or new.ordered:
        return True
    if run_of(shelf, new.flow.flow, new.key.key, new.created_at) is not None:
        return False
    shelf.ledger.begin(new.flow.flow, new.key, Claimant(part.run_id, part.token), new.created_at)
    return True


def run_of(shelf: Shelf, flow: str, key: str, now: EpochMs) -> KeyEntry | None:
    """The entry of the run that has a key."""
    entry = next(iter(shelf.ledger.entries(KeyScope(flow, ""), [key])), None)
    run = None if entry is None else shelf.runs.get(entry.run_id)
    if entry is None or run is None:
        return None
    return entry if has_its_key(entry, run.row.state, now) else None


def _begun(new: NewRun, row: RunRow) -> RunRow:
    key = "" if new.key is None else new.key.key
    return msgspec.structs.replace(
        row, flow=new.flow, bundle=new.bundle, parent=new.parent, project=new.project, key=key, cause=new.turn.cause
    )


def _extend(shelf: Shelf, run: StoredRun, part: RunBatch) -> None:
    last = part.after + len(part.events)
    for position, event in enumerate(part.events, part.after + 1):
        run.records.append(Recorded(position, event, part.commands if position == last else None))
    pinned = {name: getattr(run.row, name) for name in _PINNED}
    if (part.run.state, part.run.finished_at) != (run.row.state, run.row.finished_at):
        run.ended = next(shelf.ends)
    run.row = msgspec.structs.replace(part.run, run_id=part.run_id, position=last, **pinned)
    run.fence = part.token
    if part.begins_anew:
        run.records, run.snapshot = run.records[-1:], None
    if part.snapshot is not None:
        run.snapshot = (last, part.snapshot)
