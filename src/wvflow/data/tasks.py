"""What the engine must know of a task before its SQL is made."""

from __future__ import annotations

import msgspec

from wvflow.lang import algebra as a
from wvflow.lang.relations import nodes
from wvflow.plan.nodes import QueryTask, TableTarget

# Operators that must have read all before they give the first row, so that starting over costs all of it.
_BLOCKING = frozenset({a.Aggregate, a.Sort, a.Count, a.Distinct, a.TableFunction})


class Facts(msgspec.Struct, frozen=True):
    """``restarts_cheaply``: the first rows come early, so the statement may be begun a second time."""

    merges: bool
    reads_tables: bool
    saves_table: bool
    restarts_cheaply: bool

    @property
    def needs_warehouse(self) -> bool:
        return self.reads_tables or self.saves_table


def facts(task: QueryTask) -> Facts:
    found = tuple(nodes(task.relation))
    kinds = {type(node) for node in found}
    distinct = any(isinstance(node, a.Select) and node.distinct for node in found)
    return Facts(
        merges=a.FanIn in kinds,
        reads_tables=a.Table in kinds,
        saves_table=task.save is not None and isinstance(task.save.target, TableTarget),
        restarts_cheaply=kinds.isdisjoint(_BLOCKING) and not distinct,
    )
