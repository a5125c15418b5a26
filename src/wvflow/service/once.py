"""One run for each idempotency key: whose result a further call is given.

The key is that of the flow, over its parameters, or one that the caller gives. While a run under it is open, or its
success counts, a further call starts none: it waits for that one, carries it on where nobody drives it, and is given
what it came to. A run that ended otherwise leaves the key free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from wvflow.drivers.progress import Watch
from wvflow.drivers.run_keys import check_same
from wvflow.errors import NotPossible
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.ledger import KeyEntry, RunKey
from wvflow.service.cleaning import TERMINAL
from wvflow.service.summary import RunSummary

if TYPE_CHECKING:
    from wvflow.service.steering import Steering


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
        watch(msgspec.structs.replace(known, note=f"an earlier call has started it, for the key `{key.key}`"))
    changes = runs.changes(run_id)
    while True:
        row = await asyncio.to_thread(next, changes)
        if watch is not None:
            watch(runs.progress(row))
        if row.state in TERMINAL:
            break
        if not runs.is_driven(row):
            with suppress(NotPossible):  # somebody was quicker
                await runs.resume(run_id, watch=watch)
    return msgspec.structs.replace(runs.summary(run_id), by_key=key.key)
