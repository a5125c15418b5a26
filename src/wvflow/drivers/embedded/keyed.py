"""What a stage does once for each key: claims, the work itself, and what is taken from the ledger instead.

The keys of an attempt are worked off in batches, in sorted order. A batch claims all of its keys or none before any
work begins, so that no two runs ever wait for each other, and whoever finds one taken lets go of its worker until it
looks again. What is done under a key is written at once, or where that took no time together with what is done within
the next moment: only in between can a death make somebody do it again, with the same key.

A key whose work fails keeps none of the others from being done; the attempt then fails with what went wrong first.

Where the stage can be undone, the ledger also keeps what the work of a key began with, and whether nobody knows what
came of it: ``undone_keys`` goes by that.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from hashlib import blake2b, sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from wvflow.drivers.embedded.mapped import Pieces, is_kept, put_together
from wvflow.drivers.embedded.patience import pauses
from wvflow.errors import TaskError, Unavailable
from wvflow.kernel.events import EpochMs, Output
from wvflow.lang.algebra import Expr, Extend, Item, Piped
from wvflow.lang.missing import PIPED
from wvflow.lang.reuse import values as values_named
from wvflow.plan.nodes import (
    DEFAULT_KEY_TTL,
    ActivityTask,
    ByKey,
    KeyConflict,
    KeyedTask,
    Millis,
    Policy,
    QueryTask,
)
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine, InlineRows, Located, OutputName, Stored
from wvflow.ports.ledger import Claimant, KeyEntry, KeyScope, Wish
from wvflow.ports.stop import Stop
from wvflow.ports.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from wvflow.drivers.embedded.effects import Errand

KEYS_AT_ONCE = 100
LONGEST_UNWRITTEN_S = 0.002
_KEY = "_wvflow_key"
_SHOWN = 3
_SMALL = 64 * 1024
"""Bytes of rows that the ledger keeps itself."""


class KeysTaken(Exception):
    """Another run is at one of the keys. Nobody's failure: what comes of it is looked for again."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


class Work(NamedTuple):
    """What is needed of everybody else. ``given``: the rows that go in; ``rows``: those of a query over them;
    ``evaluate``: a value that needs none; ``holding``: for as long as the block lasts, rows can be found by that
    reference; ``perform``: does one step."""

    given: Callable[[KeyedTask, Errand, Stop], Output | None]
    rows: Callable[[QueryTask, Errand, Stop], Stored]
    evaluate: Callable[[Expr, Errand, Stop], object]
    locate: Callable[[Output, str], Located]
    holding: Callable[[str, bytes], AbstractContextManager[None]]
    perform: Callable[[Errand, Stop], Stored]
    pieces: Callable[[Errand, Stop], Pieces]


class Group(NamedTuple):
    """The rows of one key: ``at_hand`` themselves, or an output (``rows``) of which they are all, None for none.
    ``named``: what its steps find these rows by, ``""`` where the first is handed them. ``shown``: what people know the
    key by, where it is another."""

    key: str
    input_hash: str
    rows: Output | None = None
    at_hand: bytes | None = None
    named: str = ""
    shown: str = ""


class World(NamedTuple):
    """What an attempt works with."""

    work: Work
    store: Store
    engine: Engine
    clock: Clock


class Keyed:
    """Used by many threads at once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._work, self._store, self._engine, _ = world

    def perform(self, task: KeyedTask, errand: Errand, stop: Stop) -> Stored:
        """What the stage puts out, all of whose keys are done.

        Raises:
            KeysTaken: another run is at one of them.
            TaskError: the work for one of them failed; ``NullKey``, a row has none; ``IdempotencyConflict``, it was
                done with other input.
        """
        groups = self._groups(task, errand, stop)
        batch = Batch(self._world, task, errand, stop, ttl=task.ttl, by_row=task.by_row, conflict=task.conflict)
        batch.work_off(sorted(groups, key=lambda one: one.key))
        return self._collected(task, groups, errand, stop)

    # --- the rows, by key ---

    def _groups(self, task: KeyedTask, errand: Errand, stop: Stop) -> list[Group]:
        """In the order in which the keys come."""
        given = self._work.given(task, errand, stop)
        named = {name: errand.params[name] for name in values_named(task.tasks) if name in errand.params}
        if task.by_row:
            return self._by_row(task, given, named, errand, stop)
        key = self._work.evaluate(task.key, errand, stop)
        if key is None:
            raise TaskError("NullKey", "the idempotency key is null", help=_NULL_HELP, retryable=False)
        rows = iter(()) if given is None or not given.ref else self._read(given, errand)
        return [Group(str(key), _hash_of(rows, named), given)]

    def _read(self, output: Output, errand: Errand) -> Iterator[pa.RecordBatch]:
        return iter(self._engine.read(self._work.locate(output, errand.name.stage)))

    def _by_row(
        self, task: KeyedTask, given: Output | None, named: Mapping[str, object], errand: Errand, stop: Stop
    ) -> list[Group]:
        import pyarrow as pa

        asked = replace(errand, piped=given, begun=lambda: None)
        stored = self._work.rows(QueryTask(Extend(Piped(), (Item(_KEY, task.key),))), asked, stop)
        where = self._work.locate(stored.output, "") if stored.inline is None else InlineRows(stored.inline)
        whole = self._engine.read(where).read_all().combine_chunks()
        keys, rows = whole[_KEY].to_pylist(), whole.drop_columns([_KEY])
        if nulls := [place for place, key in enumerate(keys) if key is None]:
            raise _null_keys(rows, nulls)
        places: dict[str, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key, []).append(place)
        return [_group(key, rows.take(pa.array(own)), named, errand.name) for key, own in places.items()]

    # --- what came of it ---

    def _collected(self, task: KeyedTask, groups: Sequence[Group], errand: Errand, stop: Stop) -> Stored:
        scope, keys = scope_of(errand), [one.key for one in groups]
        outputs: dict[str, Output] = {}
        reused: Counter[str] = Counter()
        for entry in self._entries(scope, keys):
            outputs[entry.key] = entry.output or Output()
            if entry.run_id != errand.name.run_id:
                reused[entry.run_id] += 1
        kept = [key for key, one in outputs.items() if is_kept(one)]

        def parts() -> Iterator[Located]:
            for entry in self._entries(scope, kept):
                assert entry.output is not None
                yield self._work.locate(entry.output, "") if entry.inline is None else InlineRows(entry.inline)

        pieces = self._work.pieces(errand, stop)
        stored = put_together(list(outputs.values()), task.shape, parts, errand.columns, pieces)
        warnings = tuple(dict.fromkeys(one for output in outputs.values() for one in output.warnings))
        whole = replace(stored.output, reused=tuple(sorted(reused.items())), warnings=warnings)
        return Stored(whole, stored.inline)

    def _entries(self, scope: KeyScope, keys: Sequence[str]) -> Iterator[KeyEntry]:
        """In the order of the keys; so many at a time that the rows of all need not be at hand."""
        waiting = iter(keys)
        while some := list(islice(waiting, KEYS_AT_ONCE)):
            found = {one.key: one for one in self._store.entries(scope, some)}
            yield from (found[key] for key in some)


class Batch:
    """The work for an attempt's keys, one after the other. ``ttl``, ``by_row``, ``conflict``: as in ``KeyedTask``."""

    def __init__(
        self,
        world: World,
        task: ByKey,
        errand: Errand,
        stop: Stop,
        *,
        ttl: Millis = DEFAULT_KEY_TTL,
        by_row: bool = True,
        conflict: KeyConflict = "reuse",
    ) -> None:
        name = errand.name
        self._work, self._store, self._engine, self._clock = world
        self._task = task
        self._ttl, self._by_row, self._conflict = ttl, by_row, conflict
        self._errand = errand
        self._stop = stop
        self._scope = scope_of(errand)
        self._by = Claimant(name.run_id, name.token, name.instance, name.attempt)
        self._code = _digest(tuple(replace(one, policy=Policy()) for one in task.tasks))
        self._book = _Book(self._store, self._scope, self._by, self._clock, stop)
        self._starts = 0
        self._at = ""

    def work_off(self, groups: Sequence[Group]) -> None:
        """Have the work of these keys done, in this order, whoever does it. Raises as ``Keyed.perform``."""
        failures: list[tuple[Group, TaskError]] = []
        waiting = iter(groups)
        forget = self._stop.on_request(self._book.write_now)
        try:
            while some := tuple(islice(waiting, KEYS_AT_ONCE)):
                failures += self._work_off(some)
        finally:
            forget()
        if failures:
            raise _first_of(failures, len(groups))

    def _work_off(self, groups: Sequence[Group]) -> list[tuple[Group, TaskError]]:
        """Some of them, claimed at once; what failed, by key."""
        claimed = self._store.claim(self._scope, self._by, list(map(self._wish, groups)), self._clock.now())
        if claimed.lost:
            raise _taken_over()
        if claimed.holder:
            raise KeysTaken(claimed.holder)
        failures: list[tuple[Group, TaskError]] = []
        left = {one.key for one in claimed.entries if one.state == "running"}
        try:
            for group, entry in zip(groups, claimed.entries, strict=True):
                try:
                    self._settle(group, entry)
                    left.discard(group.key)
                except TaskError as error:
                    if self._stop.requested:
                        raise
                    failures.append((group, error))
                    self._at = ""
        finally:
            self._book.write()
            if left:
                failed = [group.key for group, _ in failures if self._errand.undo_errors]
                self._store.give_up(self._scope, self._by, sorted(left), [*failed, self._at])
        return failures

    def _wish(self, group: Group) -> Wish:
        """For the rows of a key to be kept with its claim they must be small, or an output of the run."""
        kept = self._errand.undoable and (group.at_hand is None or len(group.at_hand) <= _SMALL)
        rows, inline = (group.rows, group.at_hand) if kept else (None, None)
        claim = _claim_name(self._scope, self._by, group.key)
        return Wish(group.key, claim, group.input_hash, self._code, rows, inline)

    def _settle(self, group: Group, entry: KeyEntry) -> None:
        if entry.state == "running":
            self._pace()
            self._do(group, entry)
        elif entry.input_hash != group.input_hash and self._conflict == "error":
            raise _conflict(entry)

    def _pace(self) -> None:
        """A rate counts the starts of keys; the first one's was the attempt's."""
        self._errand.begun()  # the time of an attempt is that of one key
        rate, self._starts = self._task.policy.rate, self._starts + 1
        if rate is None or self._starts == 1:
            return
        delay_us = self._store.reserve(rate.name, -(-rate.per * 1_000 // rate.starts), self._clock.now())
        _pause(delay_us / 1_000_000, self._stop)
        self._errand.begun()

    def _do(self, group: Group, entry: KeyEntry) -> None:
        """The steps that are not done, from the rows that the one before has put out."""
        rows, at_hand = (entry.output, entry.inline) if entry.steps else (group.rows, group.at_hand)
        if not entry.steps and self._errand.undoable and entry.output is None and at_hand is not None:
            entry = self._keep_first(entry, at_hand)
        for number in range(entry.steps, len(self._task.tasks)):
            rows, at_hand = self._step(number, entry, group, rows, at_hand)
            last, now = number + 1 == len(self._task.tasks), self._clock.now()
            entry = replace(
                entry,
                steps=number + 1,
                output=rows,
                inline=at_hand,
                state="done" if last else "running",
                at=now,
                expires=EpochMs(now + self._ttl),
            )
            self._book.note(entry)

    def _keep_first(self, entry: KeyEntry, at_hand: bytes) -> KeyEntry:
        """Rows that are too large to go with the claim."""
        name = replace(self._errand.name, claim=entry.claim, task=0)
        kept = self._engine.keep(self._engine.read(InlineRows(at_hand)), name, self._stop)
        whole = replace(entry, output=kept.output, inline=kept.inline)
        self._book.note(whole)
        self._book.write()
        return whole

    def _step(
        self, number: int, entry: KeyEntry, group: Group, rows: Output | None, at_hand: bytes | None
    ) -> tuple[Output, bytes | None]:
        if self._stop.requested:
            raise _stopped()
        name, inputs = replace(self._errand.name, claim=entry.claim, task=number), self._inputs(group)
        step = replace(
            self._errand,
            task=self._task.tasks[number],
            name=name,
            asks=None,
            probe=None,
            columns=(),
            piped=rows,
            inputs=inputs,
            missing={
                stage: shape for stage, shape in self._errand.missing.items() if stage != PIPED and stage not in inputs
            },
            last_heartbeat=None if self._by_row else self._errand.last_heartbeat,
            idempotency_key=self._key_of(number, entry.key),
        )
        with ExitStack() as held:
            for output, data in ((rows, at_hand), (group.rows, group.at_hand)):
                if output is not None and data is not None:
                    held.enter_context(self._work.holding(output.ref, data))
            self._at = entry.key
            kept = self._kept(self._work.perform(step, self._stop), step)
        self._at = ""
        return kept

    def _inputs(self, group: Group) -> Mapping[str, Output]:
        if not group.named or group.rows is None:
            return self._errand.inputs
        return {**self._errand.inputs, group.named: group.rows}

    def _key_of(self, number: int, key: str) -> str:
        """The key as it is for the first call, and another for each further one: who is called may be the same."""
        before = sum(isinstance(one, ActivityTask) for one in self._task.tasks[:number])
        return f"{key}/{before + 1}" if before else key

    def _kept(self, stored: Stored, step: Errand) -> tuple[Output, bytes | None]:
        """What the step has put out, kept for as long as the key is."""
        name, output = step.name, stored.output
        if stored.inline is not None or not is_kept(output):
            return output, stored.inline
        where = self._work.locate(output, name.stage)
        if not isinstance(where, InlineRows):
            own = where.path.startswith(f"{name.folder}/")
            return output if own else self._engine.share(output, name), None
        if len(where.data) <= _SMALL:
            return output, where.data
        kept = self._engine.keep(self._engine.read(where), name, self._stop)
        return replace(output, ref=kept.output.ref, bytes=kept.output.bytes), kept.inline


class _Book:
    """What is done and not yet written. It is written by the worker, and by whoever tells it to stop: else what was
    done would count for nothing while the worker is busy with the next key, and nobody waits for it any more."""

    def __init__(self, store: Store, scope: KeyScope, by: Claimant, clock: Clock, stop: Stop) -> None:
        self._store = store
        self._scope = scope
        self._by = by
        self._clock = clock
        self._stop = stop
        self._unwritten: dict[str, KeyEntry] = {}
        self._written_at = clock.monotonic()
        self._lock = threading.Lock()

    def note(self, entry: KeyEntry) -> None:
        with self._lock:
            self._unwritten[entry.key] = entry
        if self._clock.monotonic() - self._written_at >= LONGEST_UNWRITTEN_S:
            self.write()

    def write(self) -> None:
        """However long it takes: what is done must not be done again for want of space."""
        waits = pauses()
        while self._unwritten:
            try:
                with self._lock:
                    self._write()
            except Unavailable:
                if self._stop.requested:
                    raise
                _pause(next(waits), self._stop)
        self._written_at = self._clock.monotonic()

    def write_now(self) -> None:
        """If that can be done at once; else the worker does, or the work is done again."""
        if self._lock.acquire(blocking=False):
            try:
                with suppress(Unavailable, TaskError):
                    self._write()
            finally:
                self._lock.release()

    def _write(self) -> None:
        if not self._unwritten:
            return
        whole = self._store.record(self._scope, self._by, tuple(self._unwritten.values()))
        self._unwritten.clear()
        if not whole:
            raise _taken_over()


def scope_of(errand: Errand) -> KeyScope:
    """Within what the keys of a stage mean one thing."""
    return KeyScope(errand.plan.flow, errand.name.stage, errand.name.iteration)


def _claim_name(scope: KeyScope, by: Claimant, key: str) -> str:
    return _digest((scope, by, key))[:32]


def _digest(value: object) -> str:
    return sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


# --- rows -----------------------------------------------------------------------------------------------------------


def _group(key: str, rows: pa.Table, named: Mapping[str, object], name: OutputName) -> Group:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    data = sink.getvalue().to_pybytes()
    output = Output(f"{name.inline}/{key}", rows=rows.num_rows, bytes=len(data))
    return Group(key, _hash_of(iter(rows.to_batches()), named), output, data)


def _hash_of(batches: Iterator[pa.RecordBatch], named: Mapping[str, object]) -> str:
    """The same for the same rows in any order, and the same parameters."""
    total = 0
    for batch in batches:
        for row in batch.to_pylist():
            encoded = msgspec.json.encode(row, enc_hook=repr, order="deterministic")
            total += int.from_bytes(blake2b(encoded, digest_size=16).digest(), "big")
    return _digest((str(total), {name: repr(value) for name, value in named.items()}))


# --- what may go wrong ----------------------------------------------------------------------------------------------

_NULL_HELP = "every row needs a key: filter such rows out, or make the key of columns that are never null"


def _null_keys(rows: pa.Table, places: Sequence[int]) -> TaskError:
    shown = ", ".join(_shown(one) for one in rows.take(places[:_SHOWN]).to_pylist())
    count = "a row has" if len(places) == 1 else f"{len(places):,} rows have"
    more = ", …" if len(places) > _SHOWN else ""
    return TaskError("NullKey", f"{count} no idempotency key: {shown}{more}", help=_NULL_HELP, retryable=False)


def _shown(row: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {'null' if value is None else value}" for name, value in row.items()) + "}"


def _conflict(entry: KeyEntry) -> TaskError:
    return TaskError(
        "IdempotencyConflict",
        f"run {entry.run_id} has done it with other input",
        help="use another key for other work, or set `idempotency_conflict: reuse` to take what came of it",
        retryable=False,
    )


def _first_of(failures: Sequence[tuple[Group, TaskError]], count: int) -> TaskError:
    """What the attempt fails with: what no further attempt would mend, else what came first."""
    group, error = next((one for one in failures if not one[1].retryable), failures[0])
    others = f" ({len(failures):,} of {count:,} keys failed)" if count > 1 else ""
    return TaskError(
        error.kind,
        f"key `{group.shown or group.key}`: {error.message}{others}",
        help=error.help,
        detail=error.detail,
        place=error.place,
        retryable=error.retryable,
        after=max((one.after for _, one in failures if one.after is not None), default=None),
    )


def _stopped() -> TaskError:
    return TaskError("Interrupted", "stopped between two keys")


def _taken_over() -> TaskError:
    return TaskError("Interrupted", "a further attempt or another process has taken the keys over")


def _pause(seconds: float, stop: Stop) -> None:
    """For so long, or until the work should stop."""
    woken = threading.Event()
    undo = stop.on_request(woken.set)
    woken.wait(seconds)
    undo()
