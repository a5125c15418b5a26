"""What a run came to, as a table: a row for each stage, in order of declaration."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wvflow.drivers.embedded.live import LiveRun
from wvflow.drivers.projection import stage_row
from wvflow.kernel.events import EpochMs
from wvflow.lang.summaries import SUMMARY
from wvflow.lang.types import LONG, STRING, TIMESTAMP
from wvflow.ports.store import StageRow

if TYPE_CHECKING:
    import pyarrow as pa


def summary_of(run: LiveRun) -> list[Mapping[str, object]]:
    """The rows for a run that this process drives."""
    stages = (stage_row(run.plan, index, run.state.stages[index]) for index in run.plan.declared)
    state = run.state.ending or run.state.phase
    return [summary_row(one, flow=run.plan.flow, run_id=run.run_id, run_state=state.value) for one in stages]


def summary_row(stage: StageRow, *, flow: str, run_id: str, run_state: str) -> Mapping[str, object]:
    """The row of one stage."""
    return {
        "stage": stage.stage,
        "state": stage.state,
        "attempts": stage.attempts,
        "error": None if stage.error is None else f"{stage.error['kind']}: {stage.error['message']}",
        "reason": stage.reason,
        "row_count": stage.rows,
        "started_at": _moment(stage.started_at),
        "finished_at": _moment(stage.finished_at),
        "flow": flow,
        "run_id": run_id,
        "run_state": run_state,
    }


def summary_table(rows: Sequence[Mapping[str, object]], columns: Collection[str] = ()) -> pa.Table:
    """Rows with all columns of a summary, or these, in their order."""
    import pyarrow

    kinds = {LONG: pyarrow.int64(), STRING: pyarrow.string(), TIMESTAMP: pyarrow.timestamp("ms")}
    schema = pyarrow.schema([(name, kinds[type_]) for name, type_ in SUMMARY])
    table = pyarrow.Table.from_pylist(list(rows), schema=schema)
    return table.select(list(columns)) if columns else table


def _moment(at: EpochMs | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC).replace(tzinfo=None)
