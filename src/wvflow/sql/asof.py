"""``asof join`` as Snowflake says it: the inequality apart, and every left row kept."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from wvflow.lang import algebra as a
from wvflow.lang.relations import own_nodes
from wvflow.sql import DialectCannot
from wvflow.sql.block import Block
from wvflow.sql.scalars import Scalars

_TURNED: dict[str, a.BinaryOp] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def match(join: a.Join, block: Block, scalars: Scalars) -> None:
    """Complete the join with the last source of a block. An inner join leaves out the left rows without a match."""
    conditions = list(_conjuncts(join.on)) if join.on is not None else []
    nearest = [one for one in conditions if isinstance(one, a.Binary) and one.op in _TURNED]
    source = block.sources[-1]
    if len(nearest) != 1 or join.kind not in {"inner", "left"} or source.join is None:
        raise DialectCannot("asof join", scalars.context.dialect, help="write `on l.key = r.key and l.at >= r.at`")
    found = _right_last(nearest[0], source.alias)
    source.join.set("side", None)
    source.join.set("match_condition", scalars.lower(found))
    equal = [scalars.lower(one) for one in conditions if one is not nearest[0]]
    source.join.set("on", exp.and_(*equal, copy=False) if equal else None)
    if join.kind == "inner":
        block.where.append(scalars.lower(a.IsNull(found.right, negated=True)))


def _conjuncts(condition: a.Expr) -> Iterator[a.Expr]:
    match condition:
        case a.Binary(op="and", left=left, right=right):
            yield from _conjuncts(left)
            yield from _conjuncts(right)
        case _:
            yield condition


def _right_last(comparison: a.Binary, right: str) -> a.Binary:
    """The comparison with the right table's value on its right."""
    tables = {node.table.lower() for node in own_nodes(comparison.left) if isinstance(node, a.Column)}
    if right.lower() not in tables:
        return comparison
    return a.Binary(_TURNED[comparison.op], comparison.right, comparison.left, comparison.type)
