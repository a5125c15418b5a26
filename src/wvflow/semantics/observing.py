"""``test`` and ``debug``: what looks at the rows in the middle of a pipeline (query reference, 6.15, 6.16, 12.3)."""

from __future__ import annotations

from wvflow.lang.algebra import Literal, Rel
from wvflow.lang.evaluate import is_static
from wvflow.lang.types import NULL
from wvflow.semantics import expressions, mistakes, partial, relations
from wvflow.semantics.checked import CheckedQuery, CheckedTest, CheckedTests, Constant, Inspector
from wvflow.semantics.scopes import Relation, Scope
from wvflow.semantics.session import Session
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


def observe(operator: n.TestOp | n.DebugOp, found: Relation, scope: Scope) -> Relation:
    """Note what is to be looked at; the rows pass on as they are."""
    if scope.stage or scope.stages:
        word = "test" if isinstance(operator, n.TestOp) else "debug"
        scope.session.report(mistakes.not_available(word, operator.span, "tests stand in statements of a file"))
    elif isinstance(operator, n.TestOp):
        _note_test(_read(operator, scope), found.rel, scope.session)
    else:
        scope.session.record.observed.append(_debugged(operator, found, scope))
    return found


def _note_test(test: CheckedTest, rel: Rel, session: Session) -> None:
    """Tests right behind each other share the rows that they look at."""
    observed = session.record.observed
    if observed and isinstance(observed[-1], CheckedTests) and observed[-1].relation is rel:
        observed[-1] = CheckedTests(rel, (*observed[-1].tests, test))
    else:
        observed.append(CheckedTests(rel, (test,)))


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


def _read(node: n.TestOp, scope: Scope) -> CheckedTest:
    if node.verb is not None and node.right is not None:
        return _assertion(node, node.left, node.verb, node.right, scope, negated=node.negated)
    match node.left:
        case n.BinaryExpr(op=op, left=left, right=right) if op in _COMPARISONS:
            return _assertion(node, left, _VERBS.get(op, op), right, scope)
    return _unsupported(node, scope)


def _assertion(
    node: n.TestOp, left: n.Expr, verb: str, right: n.Expr, scope: Scope, *, negated: bool = False
) -> CheckedTest:
    sides = _operand(left, scope), _operand(right, scope)
    if sides[0] is None or sides[1] is None:
        return _unsupported(node, scope)
    return CheckedTest(node.span, sides[0], verb, sides[1], negated)


def _unsupported(node: n.TestOp, scope: Scope) -> CheckedTest:
    scope.session.report(mistakes.unsupported_test(node.span))
    nothing = Constant(Literal(None, NULL))
    return CheckedTest(node.span, nothing, "be", nothing, supported=False)


def _operand(node: n.Expr, scope: Scope) -> Inspector | Constant | None:
    match node:
        case n.Dot(operand=n.Underscore(), name=name) | n.CallExpr(receiver=n.Underscore(), function=name, args=()):
            return _INSPECTORS.get(name.text)
        case n.Paren(inner=inner):
            return _operand(inner, scope)
    with scope.session.apart() as findings:
        value = expressions.elaborate(node, scope.over(None))
    return None if any(one.is_error for one in findings) or not is_static(value) else Constant(value)
