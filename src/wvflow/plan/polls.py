"""What one poll of a ``wait until`` asks (flow language, section 5, "wait").

First whether the condition has a row, which costs little where the answer is no. Then, where it has, the rows that go
on, and once more whether the condition holds, this time over these very rows: what they come from may have changed
meanwhile.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from wvflow.lang.algebra import Alias, FanIn, Limit, Piped, Rel, StageRows
from wvflow.lang.relations import nodes, rebuilt
from wvflow.plan.tasks import UntilTask


def awaited_rows(task: UntilTask, gone: Container[str] = ()) -> Rel:
    """The rows so far, those of purely relational stages computed anew; not those of stages that are ``gone``."""
    return _reread(task, task.relation, gone)


def met(task: UntilTask, rows: Rel, gone: Container[str] = ()) -> Rel:
    """What has a row when these rows meet the condition."""

    def change(node: Any, _: Any) -> Any:
        return rows if isinstance(node, Piped) else node

    found: Rel = rebuilt(_reread(task, task.condition, gone), change)
    return Limit(found, 1)


def is_about_its_rows(task: UntilTask) -> bool:
    """Whether the condition looks at the rows that go on."""
    return any(isinstance(node, Piped) for node in nodes(task.condition))


def _reread(task: UntilTask, rel: Rel, gone: Container[str]) -> Rel:
    sources = {one.stage: one.relation for one in task.sources if one.stage not in gone}

    def change(node: Any, before: Any) -> Any:
        match node:
            case StageRows(stage=stage, alias=alias) if stage in sources:
                return Alias(_reread(task, sources[stage], gone), alias)
            case FanIn():
                return before
            case _:
                return node

    found: Rel = rebuilt(rel, change)
    return found
