"""``log(…)``: a line for the run's log, or the rows as lines; and what is logged in the place of a delivery."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from wvflow.activities.builtin.plain import json_line, peek
from wvflow.activities.context import ActivityContext

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_ROWS = 100
Level = Literal["debug", "info", "warning", "error"]


def log(
    rows: pa.RecordBatchReader | None = None,
    *,
    message: str | None = None,
    level: Level = "info",
    max_rows: int = SHOWN_ROWS,
    ctx: ActivityContext,
) -> None:
    """Write ``message`` to the run's log; without one the first ``max_rows`` rows, each as JSON."""
    write_at = logging.getLevelNamesMapping()[level.upper()]
    if message is not None:
        ctx.logger.log(write_at, "%s", message)
    elif rows is not None:
        log_rows(rows, ctx, write_at, max_rows)


def log_rows(rows: pa.RecordBatchReader, ctx: ActivityContext, level: int, most: int = SHOWN_ROWS) -> None:
    """The first rows, a line each, and how many more there are."""
    first, count = peek(rows, most)
    for row in first:
        ctx.logger.log(level, "%s", json_line(row))
    if count > len(first):
        ctx.logger.log(level, "… and %s more rows", f"{count - len(first):,}")
    if not count:
        ctx.logger.log(level, "no rows")
