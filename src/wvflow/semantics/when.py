"""``when``: an expression that decides, without a row, whether a stage runs (flow language, section 2)."""

from __future__ import annotations

from wvflow.lang.algebra import Expr
from wvflow.lang.evaluate import is_static
from wvflow.lang.relations import nodes
from wvflow.lang.types import BOOLEAN, NULL
from wvflow.semantics import expressions, mistakes
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.infer import type_of
from wvflow.semantics.names import NOTHING
from wvflow.semantics.properties import Read
from wvflow.semantics.scopes import Scope
from wvflow.syntax import nodes as n
from wvflow.syntax.walk import walk


def read_when(read: Read, scope: Scope) -> Expr | None:
    """A stage's ``when``, None where it has none or a wrong one, which is reported."""
    node = read.expressions.get("when")
    if node is None:
        return None
    if (cell := _cell(node, scope)) is not None:
        scope.session.report(mistakes.not_available(f"when: … {cell.span.text}", cell.span))
        return None
    if any(isinstance(one, n.Underscore | n.Subquery | n.ExistsExpr) for one in walk(node)):
        scope.session.report(flow_mistakes.condition_over_rows(node.span))
        return None
    found = expressions.elaborate(node, scope.over(None))
    return found if _decides(found, node, scope) else None


def _cell(node: n.Expr, scope: Scope) -> n.Dot | None:
    """``s.col``: a value in the row of a stage."""
    for one in walk(node):
        if isinstance(one, n.Dot) and isinstance(one.operand, n.NameRef):
            name = one.operand.name.text
            if name in scope.stages and name not in scope.values:
                return one
    return None


def _decides(found: Expr, node: n.Expr, scope: Scope) -> bool:
    type_ = type_of(found)
    if any(one is NOTHING for one in nodes(found)):
        return False  # reported already
    if not is_static(found):
        scope.session.report(flow_mistakes.condition_needs_engine(node.span))
    elif type_.is_known and type_ not in (BOOLEAN, NULL):
        scope.session.report(flow_mistakes.condition_wanted(type_, node.span))
    else:
        return True
    return False
