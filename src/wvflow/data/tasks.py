"""What the engine must know of a task before its SQL is made."""

from __future__ import annotations

import msgspec

from wvflow.lang import algebra as a
from wvflow.lang.relations import nodes
from wvflow.plan.nodes import QueryTask, TableTarget

# Relations that may be large whatever the stages before have put out.
_SOURCES = frozenset({a.File, a.Table, a.TableFunction})


class Facts(msgspec.Struct, frozen=True):
    """``reads_sources``: more than the stages before and what the program itself holds."""

    merges: bool
    reads_tables: bool
    reads_sources: bool
    saves_table: bool

    @property
    def needs_warehouse(self) -> bool:
        return self.reads_tables or self.saves_table


def facts(task: QueryTask) -> Facts:
    kinds = {type(node) for node in nodes(task.relation)}
    return Facts(
        merges=a.FanIn in kinds,
        reads_tables=a.Table in kinds,
        reads_sources=not kinds.isdisjoint(_SOURCES),
        saves_table=task.save is not None and isinstance(task.save.target, TableTarget),
    )
