"""Outputs of another run as a run's own: they last when the other is deleted."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from msgspec.structs import replace

from wvflow.kernel.events import Output, Retry
from wvflow.lang.relations import HANDED
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.engine import Engine, OutputName, Stored
from wvflow.ports.rows import OutputRow
from wvflow.ports.store import Store


def taken(output: Output, name: OutputName, store: Store, engine: Engine) -> Stored:
    """The rows under a name of the run's own: a file gets a second name, small rows are copied.

    Raises: OutputMissing, they aren't kept any more.
    """
    kind, _, _ = output.ref.partition(":")
    match kind:
        case "file":
            return Stored(engine.share(output, name))
        case "inline":
            rows = store.inline(output.ref)
            return Stored(replace(output, ref=name.inline), rows)
    return Stored(output)


def carrying(output: Output, before: Output | None) -> Output:
    """What a task put out, with what the tasks before it in its stage had of other runs. Rows that pass through have
    it already."""
    if before is None or not before.reused or before.ref == output.ref:
        return output
    counts = Counter(dict(before.reused))
    counts.update(dict(output.reused))
    return replace(output, reused=tuple(sorted(counts.items())))


class Retaken(NamedTuple):
    """What a retry begins with, and the rows to be recorded with its start. ``input``: what the run that it is a retry
    of was handed."""

    retry: Retry
    rows: tuple[OutputRow, ...]
    input: Output | None = None


def take_over(
    retry: Retry, handed: Output | None, plan: FlowPlan, run_id: str, token: int, store: Store, engine: Engine
) -> Retaken:
    """Make all that a retry takes over its own. Raises: OutputMissing."""

    def own(output: Output, stage: str, index: int, task: int, origin: str) -> OutputRow:
        name = OutputName(run_id=run_id, stage=stage, task=task, attempt=0, token=token)
        stored = taken(output, name, store, engine)
        return OutputRow(stage=index, task=task, attempt=0, output=stored.output, inline=stored.inline, origin=origin)

    rows: dict[int, OutputRow] = {}
    for one in retry.stages:
        here = plan.stages[one.stage]
        if not one.reason:
            rows[one.stage] = own(one.output, here.name, one.stage, len(here.tasks) - 1, one.origin)
    stages = [replace(one, output=rows[one.stage].output) if one.stage in rows else one for one in retry.stages]
    mine = replace(retry, stages=tuple(stages))
    if handed is None:
        return Retaken(mine, tuple(rows.values()))
    row = own(handed, HANDED, -1, 0, retry.run_id)
    return Retaken(mine, (*rows.values(), row), row.output)
