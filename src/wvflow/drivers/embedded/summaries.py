"""What a run came to, as a table: a row for each stage, in order of declaration."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wvflow.drivers.embedded.live import LiveRun
from wvflow.drivers.projection import compensation_state, stage_row
from wvflow.kernel.events import EpochMs
from wvflow.lang.summaries import SUMMARY
from wvflow.lang.types import LONG, STRING, TIMESTAMP, Type
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.rows import StageRow

if TYPE_CHECKING:
    import pyarrow as pa


def summary_of(run: LiveRun) -> list[Mapping[str, object]]:
    """The rows for a run that this process drives."""
    rows = {index: stage_row(run.plan, index, one) for index, one in enumerate(run.state.stages)}
    state = run.state.ending or run.state.phase
    return summary_rows(run.plan, rows, run_id=run.run_id, run_state=state.value)


def summary_rows(
    plan: FlowPlan, stages: Mapping[int, StageRow], *, run_id: str, run_state: str
) -> list[Mapping[str, object]]:
    """The rows of all stages that the flow declares."""
    undoing = plan.compensations
    return [
        {
            **_summary_row(stages[index], flow=plan.flow, run_id=run_id, run_state=run_state),
            "compensation": compensation_state(stages[undoing[index]], run_state, stages[index])
            if index in undoing
            else None,
        }
        for index in plan.declared
    ]


def _summary_row(stage: StageRow, *, flow: str, run_id: str, run_state: str) -> Mapping[str, object]:
    return {
        "stage": stage.stage,
        "state": stage.state,
        "attempts": stage.attempts,
        "error": None if stage.error is None else f"{stage.error['kind']}: {stage.error['message']}",
        "reason": stage.reason,
        "row_count": stage.rows,
        "started_at": moment(stage.started_at),
        "finished_at": moment(stage.finished_at),
        "flow": flow,
        "run_id": run_id,
        "run_state": run_state,
    }


def summary_table(rows: Sequence[Mapping[str, object]], columns: Collection[str] = ()) -> pa.Table:
    """Rows with all columns of a summary, or these, in their order."""
    table = table_of(SUMMARY, rows)
    return table.select(list(columns)) if columns else table


def table_of(columns: Sequence[tuple[str, Type]], rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Rows with these columns: numbers, texts, times."""
    import pyarrow

    kinds = {LONG: pyarrow.int64(), STRING: pyarrow.string(), TIMESTAMP: pyarrow.timestamp("ms")}
    schema = pyarrow.schema([(name, kinds[type_]) for name, type_ in columns])
    return pyarrow.Table.from_pylist(list(rows), schema=schema)


def moment(at: EpochMs | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC).replace(tzinfo=None)
