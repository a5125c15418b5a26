"""The key of a whole run, which is made of its parameters (flow language, section 3)."""

from __future__ import annotations

from collections.abc import Collection

from wvflow.diagnostics import Diagnostic
from wvflow.lang.algebra import Cast, Expr, Value
from wvflow.lang.evaluate import is_static
from wvflow.lang.keys import IDEMPOTENCY_KEY
from wvflow.lang.relations import nodes
from wvflow.lang.types import STRING
from wvflow.semantics import expressions
from wvflow.semantics import mistakes_of_keys as mistakes
from wvflow.semantics.keys import plain
from wvflow.semantics.names import NOTHING
from wvflow.semantics.properties import Read
from wvflow.semantics.scopes import Scope
from wvflow.syntax import nodes as n
from wvflow.syntax.walk import walk


def read_flow_key(read: Read, params: Collection[str], scope: Scope) -> Expr | None:
    """What a whole run is once for, None where nothing or a wrong thing is said, which is reported."""
    node = read.expressions.get(IDEMPOTENCY_KEY)
    return None if node is None else over_parameters(node, params, scope, mistakes.key_beyond_parameters(node.span))


def over_parameters(node: n.Expr, params: Collection[str], scope: Scope, beyond: Diagnostic) -> Expr | None:
    """A key that is made of parameters, as text; None where it isn't, which is reported, as ``beyond`` where it takes
    something else."""
    if any(isinstance(one, n.Underscore | n.Subquery | n.ExistsExpr) for one in walk(node)):
        scope.session.report(beyond)
        return None
    found = expressions.elaborate(node, scope)
    named = {one.name for one in nodes(found) if isinstance(one, Value)}
    if not any(one is NOTHING for one in nodes(found)) and not (is_static(found) and named <= {*params}):
        scope.session.report(beyond)
        return None
    key = plain(found, node.span, scope.session)
    return None if key is None else Cast(key, STRING)
