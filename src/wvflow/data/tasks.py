"""What the engine must know of a task before its SQL is made. Read off its JSON, where a node's tag can't be mistaken:
within strings, quotes are escaped."""

from __future__ import annotations

import msgspec

from wvflow.plan.nodes import QueryTask, TableTarget

_encode = msgspec.json.Encoder(order="deterministic").encode
_MERGE = b'"is":"fan_in"'
_TABLE = b'"is":"table"'
# Operators that must have read all before they give the first row, so that starting over costs all of it.
_BLOCKING = tuple(f'"is":"{tag}"'.encode() for tag in ("aggregate", "order", "count", "dedup", "table_function"))
_DISTINCT = b'"distinct":true'


class Facts(msgspec.Struct, frozen=True):
    """``body`` is the task as JSON, the same for equal tasks."""

    body: bytes
    merges: bool
    reads_tables: bool
    saves_table: bool
    restarts_cheaply: bool

    @property
    def needs_warehouse(self) -> bool:
        return self.reads_tables or self.saves_table


def facts(task: QueryTask) -> Facts:
    body = _encode(task)
    return Facts(
        body=body,
        merges=_MERGE in body,
        reads_tables=_TABLE in body,
        saves_table=task.save is not None and isinstance(task.save.target, TableTarget),
        restarts_cheaply=not any(tag in body for tag in (*_BLOCKING, _DISTINCT)),
    )
