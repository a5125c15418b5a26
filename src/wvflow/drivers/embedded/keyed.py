"""What a stage does once for each key: its rows by key, and what comes of them, done now or taken from the ledger.

rows ──by key──▶ groups, in sorted order ──batches──▶ the ledger ──in the order of the rows──▶ the stage's output
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from wvflow.drivers.embedded.batches import KEYS_AT_ONCE, Batch, Group, World, digest, scope_of
from wvflow.drivers.embedded.errand import Errand
from wvflow.drivers.embedded.mapped import is_kept, put_together
from wvflow.errors import TaskError
from wvflow.kernel.events import Output
from wvflow.lang.algebra import Extend, Item, Piped
from wvflow.lang.keys import IDEMPOTENCY_KEY
from wvflow.lang.reuse import values as values_named
from wvflow.plan.tasks import KeyedTask, QueryTask
from wvflow.ports.engine import InlineRows, Located, OutputName, Stored
from wvflow.ports.ledger import KeyEntry, KeyScope
from wvflow.ports.stop import Stop

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = "_wvflow_key"
_SHOWN = 3


class Keyed:
    """Used by many threads at once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._queries, self._outputs, self._store, self._engine = (
            world.queries,
            world.outputs,
            world.store,
            world.engine,
        )

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
        given = self._queries.given(task, errand, stop)
        named = {name: errand.params[name] for name in values_named(task.tasks) if name in errand.params}
        if task.by_row:
            return self._by_row(task, given, named, errand, stop)
        key = self._world.arguments.value(task.key, IDEMPOTENCY_KEY, errand, stop)
        if key is None:
            raise TaskError("NullKey", "the idempotency key is null", help=_NULL_HELP, retryable=False)
        rows = iter(()) if given is None or not given.ref else self._read(given, errand)
        return [Group(str(key), _hash_of(rows, named), given)]

    def _read(self, output: Output, errand: Errand) -> Iterator[pa.RecordBatch]:
        return iter(self._engine.read(self._outputs.locate(output, errand.name.stage)))

    def _by_row(
        self, task: KeyedTask, given: Output | None, named: Mapping[str, object], errand: Errand, stop: Stop
    ) -> list[Group]:
        import pyarrow as pa

        asked = replace(errand, piped=given, begun=lambda: None)
        stored = self._queries.rows(QueryTask(Extend(Piped(), (Item(_KEY, task.key),))), asked, stop)
        where = self._outputs.locate(stored.output, "") if stored.inline is None else InlineRows(stored.inline)
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
                yield self._outputs.locate(entry.output, "") if entry.inline is None else InlineRows(entry.inline)

        pieces = self._queries.pieces(errand, stop)
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
    return digest((str(total), {name: repr(value) for name, value in named.items()}))


# --- rows without a key ---------------------------------------------------------------------------------------------

_NULL_HELP = "every row needs a key: filter such rows out, or make the key of columns that are never null"


def _null_keys(rows: pa.Table, places: Sequence[int]) -> TaskError:
    shown = ", ".join(_shown(one) for one in rows.take(places[:_SHOWN]).to_pylist())
    count = "a row has" if len(places) == 1 else f"{len(places):,} rows have"
    more = ", …" if len(places) > _SHOWN else ""
    return TaskError("NullKey", f"{count} no idempotency key: {shown}{more}", help=_NULL_HELP, retryable=False)


def _shown(row: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {'null' if value is None else value}" for name, value in row.items()) + "}"
