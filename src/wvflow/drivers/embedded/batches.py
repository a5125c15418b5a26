"""The work for keys: claimed, done one after the other, and noted in the ledger.

A batch claims all of its keys or none before any work begins, so that no two runs ever wait for each other, and whoever
finds one taken lets go of its worker until it looks again. What is done under a key is written at once, or where that
took no time together with what is done within the next moment: only in between can a death make somebody do it again,
with the same key.

A key whose work fails keeps none of the others from being done; the attempt then fails with what went wrong first.

Where the stage can be undone, the ledger also keeps what the work of a key began with, and whether nobody knows what
came of it: ``undone_keys`` goes by that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from wvflow.drivers.embedded.arguments import Arguments
from wvflow.drivers.embedded.errand import Errand
from wvflow.drivers.embedded.keybook import Keybook, pause, taken_over
from wvflow.drivers.embedded.mapped import is_kept
from wvflow.drivers.embedded.outputs import Outputs
from wvflow.drivers.embedded.queries import Queries
from wvflow.errors import TaskError
from wvflow.kernel.events import EpochMs, Output
from wvflow.lang.missing import PIPED
from wvflow.plan.refs import Millis
from wvflow.plan.tasks import DEFAULT_KEY_TTL, ActivityTask, ByKey, KeyConflict, Policy
from wvflow.ports.clock import Clock
from wvflow.ports.engine import Engine, InlineRows, Stored
from wvflow.ports.ledger import Claimant, KeyEntry, KeyScope, Wish
from wvflow.ports.stop import Stop
from wvflow.ports.store import Store

KEYS_AT_ONCE = 100
_SMALL = 64 * 1024
"""Bytes of rows that the ledger keeps itself."""


class KeysTaken(Exception):
    """Another run is at one of the keys. Nobody's failure: what comes of it is looked for again."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


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
    """What an attempt works with. ``perform``: does one step of the work for a key."""

    queries: Queries
    arguments: Arguments
    outputs: Outputs
    store: Store
    engine: Engine
    clock: Clock
    perform: Callable[[Errand, Stop], Stored]


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
        self._world, self._store, self._engine, self._clock = world, world.store, world.engine, world.clock
        self._task = task
        self._ttl, self._by_row, self._conflict = ttl, by_row, conflict
        self._errand = errand
        self._stop = stop
        self._scope = scope_of(errand)
        self._by = Claimant(name.run_id, name.token, name.instance, name.attempt)
        self._code = digest(tuple(replace(one, policy=Policy()) for one in task.tasks))
        self._book = Keybook(self._store, self._scope, self._by, self._clock, stop)
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
            raise taken_over()
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
        pause(delay_us / 1_000_000, self._stop)
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
                    held.enter_context(self._world.outputs.holding(output.ref, data))
            self._at = entry.key
            kept = self._kept(self._world.perform(step, self._stop), step)
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
        where = self._world.outputs.locate(output, name.stage)
        if not isinstance(where, InlineRows):
            own = where.path.startswith(f"{name.folder}/")
            return output if own else self._engine.share(output, name), None
        if len(where.data) <= _SMALL:
            return output, where.data
        kept = self._engine.keep(self._engine.read(where), name, self._stop)
        return replace(output, ref=kept.output.ref, bytes=kept.output.bytes), kept.inline


def scope_of(errand: Errand) -> KeyScope:
    """Within what the keys of a stage mean one thing."""
    return KeyScope(errand.plan.flow, errand.name.stage, errand.name.iteration)


def digest(value: object) -> str:
    """The same for the same value, in every process."""
    return sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def _claim_name(scope: KeyScope, by: Claimant, key: str) -> str:
    return digest((scope, by, key))[:32]


# --- what may go wrong ---------------------------------------------------------------------------------------------


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
