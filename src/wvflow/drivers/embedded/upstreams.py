"""What a run reads of the runs that it comes after: brought over when it starts, as its own, so that it has it whatever
becomes of those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from wvflow.drivers.embedded.taken import taken
from wvflow.errors import OutputMissing, TaskError
from wvflow.kernel.events import NOTHING, Output, Upstream
from wvflow.kernel.state import RunState
from wvflow.lang.missing import Shape
from wvflow.lang.relations import of_upstream, upstream_named
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.engine import Engine, OutputName
from wvflow.ports.rows import OutputRow
from wvflow.ports.store import Store

FIRST_TASK = 1
"""Outputs of no stage are numbered: 0 is what the run was handed."""


class Brought(NamedTuple):
    """``upstream`` with the outputs that are the run's own, and the rows to be recorded with its start."""

    upstream: tuple[Upstream, ...]
    rows: tuple[OutputRow, ...]


def bring_over(upstream: Sequence[Upstream], run_id: str, token: int, store: Store, engine: Engine) -> Brought:
    """Make all that is read of them the run's own. What isn't kept any more is missed by who reads it."""
    brought: list[Upstream] = []
    rows: list[OutputRow] = []
    for one in upstream:
        found, lacking = list[tuple[str, Output]](), list(one.lacking)
        for stage, output in one.outputs:
            if output.ref == NOTHING:
                found.append((stage, output))
                continue
            number = FIRST_TASK + len(rows)
            name = OutputName(run_id=run_id, stage=of_upstream(one.flow, stage), task=number, attempt=0, token=token)
            try:
                stored = taken(output, name, store, engine)
            except OutputMissing as missing:
                lacking.append((stage, missing.message))
                continue
            found.append((stage, stored.output))
            rows.append(
                OutputRow(
                    stage=-1, task=number, attempt=0, output=stored.output, inline=stored.inline, origin=one.run_id
                )
            )
        brought.append(replace(one, outputs=tuple(found), lacking=tuple(lacking)))
    return Brought(tuple(brought), tuple(rows))


def read_of_upstreams(
    read: Iterable[str], plan: FlowPlan, run: RunState
) -> Iterator[tuple[str, Output | Shape | None]]:
    """Of the names that stand for rows of other flows: the rows, or the columns of a stage that put nothing out.

    Raises: TaskError, what was to be read isn't there any more.
    """
    shapes = {(one.flow, one.stage): one.shape for one in plan.reads}
    for name in read:
        if (pair := upstream_named(name)) is None:
            continue
        flow, stage = pair
        if not run.upstream:
            raise TaskError("UpstreamMissing", f"the run came after no run of `{flow}`", retryable=False)
        used = next((one for one in run.upstream if one.flow == flow), Upstream(flow, ""))
        if (why := dict(used.lacking).get(stage)) is not None:
            raise TaskError(
                "UpstreamMissing", f"`{flow}.{stage}` of run {used.run_id} can't be read: {why}", retryable=False
            )
        output = dict(used.outputs).get(stage, Output(NOTHING))
        yield name, shapes.get(pair) if output.ref == NOTHING else output
