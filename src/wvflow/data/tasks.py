"""What the engine must know of a task before its SQL is made."""

from __future__ import annotations

import re

import msgspec

from wvflow.lang import algebra as a
from wvflow.lang.relations import nodes
from wvflow.plan.tasks import QueryTask, TableTarget

# Relations that may be large whatever the stages before have put out.
_SOURCES = frozenset({a.File, a.Table, a.NamedTable, a.TableFunction, a.SqlText})
_NAMES_TABLES = re.compile(r"\b(from|join|table)\b", re.IGNORECASE)


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
        reads_tables=reads_tables(task.relation),
        reads_sources=not kinds.isdisjoint(_SOURCES),
        saves_table=task.save is not None and isinstance(task.save.target, TableTarget),
    )


def reads_tables(relation: a.Rel) -> bool:
    return any(isinstance(node, a.Table | a.NamedTable) or names_tables(node) for node in nodes(relation))


def names_tables(node: object) -> bool:
    """Whether a node is SQL of the program's that may read tables."""
    if not isinstance(node, a.SqlText | a.RawSql):
        return False
    return any(isinstance(part, str) and _NAMES_TABLES.search(part) for part in node.parts)
