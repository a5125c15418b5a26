"""Models and CTEs that a task uses more than once: lowered once, as a ``WITH`` in front of its SELECT.

Which these are is known only when the whole task was lowered, so a task that has any is lowered twice: the first time
finds them, the second names them. Two stay where they are used: a mere scan, as each use asks for other columns and
rows of it, and rows in an order, which their name would lose.
"""

from __future__ import annotations

from collections.abc import Callable, Set

import msgspec
from sqlglot import exp

from wvflow.lang import algebra as a
from wvflow.sql.block import Block, Named, Source
from wvflow.sql.context import Context

Lower = Callable[[a.Rel], Block]

_encode = msgspec.json.Encoder().encode
_SOURCE = a.Table | a.File | a.Rows | a.StageRows | a.Piped | a.Single | a.TableFunction | a.NamedTable | a.SqlText
_PASSING = a.Alias | a.Filter | a.Select | a.Extend | a.Exclude | a.Rename | a.Shift


class Shared:
    """Those of one lowering. ``repeated``: what the one before it has found, by content."""

    def __init__(self, context: Context, repeated: Set[bytes] = frozenset()) -> None:
        self.repeated: set[bytes] = set()
        self._context = context
        self._wanted = repeated
        self._seen: set[bytes] = set()
        self._is_inside = False
        self._named: dict[bytes, Named] = {}
        self._clauses: list[exp.CTE] = []

    def use(self, relation: a.Rel, lower: Lower) -> Block:
        """One use of a relation that reads nothing of what is around it."""
        if _is_scan(relation):
            return lower(relation)
        key = _encode(relation)
        if key not in self._wanted:
            return self._counted(key, relation, lower)
        if key not in self._named:
            self._named[key] = self._name(lower(relation))
        named = self._named[key]
        return Block(self._context, [Source(named.table, named, named.table.name)])

    def clause(self) -> str:
        """What stands in front of the SELECT, ``""`` for nothing."""
        if not self._clauses:
            return ""
        return f"{self._context.text(exp.With(expressions=self._clauses))} "

    def _counted(self, key: bytes, relation: a.Rel, lower: Lower) -> Block:
        """What is inside of a second use isn't used again by that."""
        if self._is_inside:
            return lower(relation)
        self._is_inside = again = key in self._seen
        self._seen.add(key)
        block = lower(relation)
        self._is_inside = False
        if again and not block.order:
            self.repeated.add(key)
        return block

    def _name(self, block: Block) -> Named:
        table = self._context.table((f"_m{len(self._clauses) + 1}",))
        names = block.names()
        self._clauses.append(exp.CTE(this=block.render(), alias=exp.TableAlias(this=table.this.copy())))
        return Named(table, names)


def _is_scan(relation: a.Rel) -> bool:
    """Whether it does nothing but read one source row by row."""
    while isinstance(relation, _PASSING):
        if isinstance(relation, a.Select) and relation.distinct:
            return False
        relation = relation.input
    return isinstance(relation, _SOURCE)
