"""When runs of a flow are to begin by themselves. Plain data; who computes the times from it comes elsewhere."""

from __future__ import annotations

import msgspec

from wvflow.lang.properties import Catchup, Overlap


class Cron(msgspec.Struct, frozen=True, omit_defaults=True):
    """``fields``: minute, hour, day of month, month, day of week. ``args``: the parameters of the runs, as JSON values
    by name."""

    fields: str
    args: dict[str, object] = {}


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """``crons`` or an ``interval`` (milliseconds), never both. ``start`` and ``end`` are ISO 8601, in the flow's zone
    where they name none. ``catchup_window`` and ``jitter`` are milliseconds.

    Source: flow language, section 3, "Flow".
    """

    crons: tuple[Cron, ...] = ()
    interval: int | None = None
    overlap: Overlap = "skip"
    catchup: Catchup = "none"
    catchup_window: int = 86_400_000
    jitter: int = 0
    start: str = ""
    end: str = ""
