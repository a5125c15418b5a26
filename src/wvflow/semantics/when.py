"""``when``: an expression that decides whether a stage runs (flow language, section 2).

It is over values of the run, and those in the one row of another stage.
"""

from __future__ import annotations

from dataclasses import replace

from wvflow.lang.algebra import Expr
from wvflow.lang.evaluate import is_static
from wvflow.lang.relations import nodes
from wvflow.lang.types import BOOLEAN, NULL
from wvflow.semantics import expressions
from wvflow.semantics import mistakes_of_properties as flow_mistakes
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
    if any(isinstance(one, n.Underscore | n.Subquery | n.ExistsExpr) for one in walk(node)):
        scope.session.report(flow_mistakes.condition_over_rows(node.span))
        return None
    found = expressions.elaborate(node, replace(scope.over(None), for_when=True))
    return found if _decides(found, node, scope) else None


def _decides(found: Expr, node: n.Expr, scope: Scope) -> bool:
    type_ = type_of(found)
    if any(one is NOTHING for one in nodes(found)):
        return False  # reported already
    if not is_static(found, cells=True):
        scope.session.report(flow_mistakes.condition_needs_engine(node.span))
    elif type_.is_known and type_ not in (BOOLEAN, NULL):
        scope.session.report(flow_mistakes.condition_wanted(type_, node.span))
    else:
        return True
    return False
