"""SELECTs whose dates, times and intervals are texts: those of Python have no months, nanoseconds or infinity."""

from __future__ import annotations

from collections.abc import Sequence

from wvflow.data.rows import quoted
from wvflow.lang.kinds import Kind
from wvflow.lang.tables import Column

_TEXTS = ("DATE", "TIME", "INTERVAL")
_AS_IT_IS = frozenset({"UNION", "VARIANT"})
"""What has no type for all its rows."""


def times_as_texts(select: str, columns: Sequence[Column]) -> str:
    """The SELECT with each date, time and interval of its columns as the engine writes it; itself where it has none."""
    if not any(_has_times(column.kind) for column in columns):
        return select
    own = [f"c{index}" for index, _ in enumerate(columns)]
    items = [_item(name, column.kind) for name, column in zip(own, columns, strict=True)]
    return f"SELECT {', '.join(items)} FROM ({select}) AS _wvflow_rows({', '.join(own)})"


def _item(name: str, kind: Kind) -> str:
    return f"CAST({name} AS {_target(kind)})" if _has_times(kind) else name


def _has_times(kind: Kind) -> bool:
    if kind.name in _AS_IT_IS:
        return False
    return kind.name.startswith(_TEXTS) or any(_has_times(one) for one in kind.args if isinstance(one, Kind))


def _target(kind: Kind) -> str:
    """A kind as the type to cast to."""
    inner = [_target(one) if isinstance(one, Kind) else str(one) for one in kind.args]
    match kind.name:
        case "[]":
            return f"{inner[0]}[]"
        case "STRUCT" | "UNION":
            members = [f"{quoted(name)} {one}" for name, one in zip(kind.fields, inner, strict=True)]
            return f"{kind.name}({', '.join(members)})"
        case "ENUM":
            return "VARCHAR"
        case "NULL":
            return quoted(kind.name)
    if kind.name.startswith(_TEXTS):
        return "VARCHAR"
    return f"{kind.name}({', '.join(inner)})" if inner else kind.name
