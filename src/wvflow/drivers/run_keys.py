"""What a whole run is once for: its key, made of the flow's parameters or given by its caller."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from wvflow.errors import EvaluationError, UserError
from wvflow.kernel.events import EpochMs
from wvflow.lang.evaluate import evaluate
from wvflow.lang.values import to_python
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.ledger import KeyEntry, RunKey


def run_key(plan: FlowPlan, params: Mapping[str, object], now: EpochMs, given: str | None = None) -> RunKey | None:
    """What a run with these parameters (JSON values) is once for, None where nothing says so.

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


def check_same(plan: FlowPlan, key: RunKey, entry: KeyEntry) -> None:
    """That the run with the key has the same parameters. Raises: UserError, it hasn't and that matters."""
    if entry.input_hash != key.input_hash and plan.key_conflict == "error":
        raise UserError(
            f"run {entry.run_id} of flow {plan.flow} has the key `{key.key}`, and other parameters",
            help=f"use another key, or look at it: wvflow runs show {entry.run_id}",
        )
