"""One run for each idempotency key: what a run is once for, and whose result a further call is given.

The key is that of the flow, over its parameters, or one that the caller gives. While a run under it is open, or its
success counts, a further call starts none: it waits for that one, carries it on where nobody drives it, and is given
what it came to. A run that ended otherwise leaves the key free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from wvflow.drivers.progress import Watch
from wvflow.errors import EvaluationError, NotPossible, UserError
from wvflow.kernel.events import EpochMs
from wvflow.lang.evaluate import evaluate
from wvflow.lang.values import to_python
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.ledger import KeyEntry, RunKey
from wvflow.service.cleaning import TERMINAL
from wvflow.service.summary import RunSummary

if TYPE_CHECKING:
    from wvflow.service.steering import Steering


def run_key(plan: FlowPlan, params: Mapping[str, object], given: str | None, now: EpochMs) -> RunKey | None:
    """What a run with these parameters is once for, None where nothing says so.

    Raises: UserError, the key is null or empty.
    """
    if given is None and plan.key is None:
        return None
    key = given if given is not None else _evaluated(plan, params)
    if not key:
        raise UserError(
            f"the idempotency key of this run of flow {plan.flow} is {'empty' if key == '' else 'null'}",
            help="give it a value: it tells which calls mean the same run",
        )
    whole = msgspec.json.encode(dict(params), order="deterministic", enc_hook=repr)
    return RunKey(str(key), sha256(whole).hexdigest(), EpochMs(now + plan.key_ttl))


def _evaluated(plan: FlowPlan, params: Mapping[str, object]) -> object:
    assert plan.key is not None
    types = {one.name: one.type for one in plan.params}
    try:
        return evaluate(plan.key, {name: to_python(value, types[name]) for name, value in params.items()})
    except EvaluationError as error:
        raise UserError(f"the idempotency key of flow {plan.flow}: {error.message}", help=error.help) from None


async def attach(
    runs: Steering,
    plan: FlowPlan,
    key: RunKey,
    entry: KeyEntry,
    watch: Watch | None,
    begun: Callable[[str], None] | None,
) -> RunSummary:
    """What came, or will come, of the run that has a key; it is carried on where nobody drives it.

    Raises: UserError, it has other parameters, and that matters.
    """
    check_same(plan, key, entry)
    run_id = entry.run_id
    if begun is not None:
        begun(run_id)
    if watch is not None:
        known = runs.progress(runs.find(run_id))
        watch(msgspec.structs.replace(known, note=f"run {run_id} has the key {key.key}"))
    changes = runs.changes(run_id)
    while (row := await asyncio.to_thread(next, changes)).state not in TERMINAL:
        if not runs.is_driven(row):
            with suppress(NotPossible):  # somebody was quicker
                await runs.resume(run_id, watch=watch)
    return msgspec.structs.replace(runs.summary(run_id), by_key=key.key)


def check_same(plan: FlowPlan, key: RunKey, entry: KeyEntry) -> None:
    """That the run with the key has the same parameters. Raises: UserError, it hasn't and that matters."""
    if entry.input_hash != key.input_hash and plan.key_conflict == "error":
        raise UserError(
            f"run {entry.run_id} of flow {plan.flow} has the key `{key.key}`, and other parameters",
            help=f"use another key, or look at it: wvflow runs show {entry.run_id}",
        )
