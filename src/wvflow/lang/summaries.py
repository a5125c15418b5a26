"""What a run came to, as rows: one for each stage (flow language, sections 3 and 5)."""

from __future__ import annotations

from wvflow.lang.types import LONG, STRING, TIMESTAMP, Type

SUMMARY: tuple[tuple[str, Type], ...] = (
    ("stage", STRING),
    ("state", STRING),
    ("attempts", LONG),
    ("error", STRING),
    ("reason", STRING),
    ("row_count", LONG),
    ("started_at", TIMESTAMP),
    ("finished_at", TIMESTAMP),
    ("flow", STRING),
    ("run_id", STRING),
    ("run_state", STRING),
    ("compensation", STRING),
)
"""The columns of ``run flow F()``."""

OF_HOOKS: tuple[str, ...] = ("flow", "run_id", "stage", "state", "attempts", "error", "started_at", "finished_at")
"""The columns that hooks are given."""
