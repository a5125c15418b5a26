"""``test`` and ``debug``: what looks at the rows in the middle of a pipeline (query reference, 6.15, 6.16, 12.3)."""

from __future__ import annotations

from wvflow.diagnostics import nearest
from wvflow.lang.algebra import Literal, Rel
from wvflow.lang.evaluate import is_static
from wvflow.lang.types import NULL
from wvflow.semantics import expressions, mistakes, partial, relations
from wvflow.semantics.checked import CheckedQuery, CheckedTest, CheckedTests, Constant, Inspector
from wvflow.semantics.scopes import Relation, Scope
from wvflow.syntax import nodes as n

_INSPECTORS: dict[str, Inspector] = {
    "size": "size",
    "columns": "columns",
    "rows": "rows",
    "json": "json",
    "output": "output",
}
_VERBS = {"is": "=", "is not": "!="}
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">=", "is", "is not"})


def observe(operator: n.Observer, found: Relation, scope: Scope) -> Relation:
    """Note what is to be looked at; the rows pass on as they are."""
    if scope.stage or scope.stages:
        word = "test" if isinstance(operator, n.TestOp) else "debug"
        scope.session.report(mistakes.not_available(word, operator.span, "tests stand in statements of a file"))
    elif isinstance(operator, n.TestOp):
        _note_test(_read(operator, scope), found.rel, scope)
    else:
        scope.session.record.observed.append(_debugged(operator, found, scope))
    return found


def _note_test(test: CheckedTest, rel: Rel, scope: Scope) -> None:
    """Tests right behind each other share the rows that they look at."""
    observed = scope.session.record.observed
    if observed and isinstance(observed[-1], CheckedTests) and observed[-1].relation is rel:
        observed[-1] = observed[-1]._replace(tests=(*observed[-1].tests, test))
    else:
        observed.append(CheckedTests(rel, (test,), inner=scope.outer is not None))


def _debugged(operator: n.DebugOp, found: Relation, scope: Scope) -> CheckedQuery:
    """The inner operators as a query of their own, maybe with an update at its end."""
    from wvflow.semantics.statements import ended

    session = scope.session
    with session.recording() as record:
        operators = partial.inlined(operator.operators, session)
        operators, last = ended(operators, session)
        result = relations.operate(found, operators, scope)
        update = last.read(result, scope) if last else None
    columns = result.shape.columns
    return CheckedQuery(
        span=operator.span,
        relation=result.rel,
        update=update,
        uses=tuple(record.uses),
        observed=tuple(record.observed),
        columns=None if columns is None else tuple(col.name for col in columns),
    )


# --- assertions -----------------------------------------------------------------------------------------------------


class _Unclear(Exception):
    """Why a test can't be judged."""


def _read(node: n.TestOp, scope: Scope) -> CheckedTest:
    try:
        left, verb, right = _parts(node)
        return CheckedTest(node.span, _operand(left, scope), verb, _operand(right, scope), node.negated)
    except _Unclear as reason:
        scope.session.report(mistakes.unclear_test(str(reason), node.span))
        nothing = Constant(Literal(None, NULL))
        return CheckedTest(node.span, nothing, "be", nothing, unclear=str(reason))


def _parts(node: n.TestOp) -> tuple[n.Expr, str, n.Expr]:
    """Both sides and what is said of them."""
    if node.verb is not None and node.right is not None:
        return node.left, node.verb, node.right
    match node.left:
        case n.BinaryExpr(op=op, left=left, right=right) if op in _COMPARISONS:
            return left, _VERBS.get(op, op), right
        case n.BinaryExpr(op=op):
            raise _Unclear(f"`{op}` is not one of `should be`, `should contain`, `=`, `!=`, `<`, `<=`, `>`, `>=`, `is`")
    raise _Unclear("it compares nothing")


def _operand(node: n.Expr, scope: Scope) -> Inspector | Constant:
    match node:
        case n.Dot(operand=n.Underscore(), name=name) | n.CallExpr(receiver=n.Underscore(), function=name, args=()):
            if name.text not in _INSPECTORS:
                near = nearest(name.text, _INSPECTORS)
                raise _Unclear(f"there is no `_.{name.text}`" + (f", but `_.{near}`" if near else ""))
            return _INSPECTORS[name.text]
        case n.Paren(inner=inner):
            return _operand(inner, scope)
    with scope.session.apart() as findings:
        value = expressions.elaborate(node, scope.over(None))
    if any(one.is_error for one in findings) or not is_static(value):
        raise _Unclear(f"`{node.span.text}` is not a constant")
    return Constant(value)
