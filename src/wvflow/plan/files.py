"""Data files that a task reads, as inputs of it: for an engine to which somebody else brings them."""

from __future__ import annotations

from itertools import count
from typing import Any

from wvflow.lang.algebra import File, StageRows
from wvflow.lang.relations import rebuilt, stages_read
from wvflow.plan.tasks import QueryTask


def files_as_inputs(task: QueryTask) -> tuple[QueryTask, dict[str, str]]:
    """The task with its files in the place of stages, and their paths by the names that they have there.

    >>> task, files = files_as_inputs(QueryTask(File("shop.csv", "s")))
    >>> task.relation, files
    (StageRows(stage='/1', alias='s'), {'/1': 'shop.csv'})
    """
    taken = set(stages_read(task))
    free = (name for number in count(1) if (name := f"/{number}") not in taken)
    names: dict[str, str] = {}

    def change(node: Any, _: Any) -> Any:
        if not isinstance(node, File):
            return node
        if node.path not in names:
            names[node.path] = next(free)
        return StageRows(names[node.path], node.alias)

    changed: QueryTask = rebuilt(task, change)
    return changed, {name: path for path, name in names.items()}
