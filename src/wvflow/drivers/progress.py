"""What a driver tells those who watch it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from wvflow.ports.rows import RunRow, StageRow


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Something moved in a run that this process drives. ``stages``: the rows that changed. ``note``: a remark for
    people, such as what a task is waiting for, about ``noted`` (a stage, or ``""`` for the run). ``is_late``: it says
    that the deadline of that is over."""

    run: RunRow
    stages: tuple[StageRow, ...] = ()
    note: str = ""
    noted: str = ""
    is_late: bool = False


Watch = Callable[[Progress], None]
