"""``test`` and ``debug``: what looks at the rows in the middle of a pipeline (query reference, 6.15, 6.16, 12.3)."""

from __future__ import annotations

from dataclasses import replace

from wvflow.diagnostics import nearest
from wvflow.lang.algebra import Alias, Call, Filter, Literal, Piped, Rel, Unary
from wvflow.lang.assertions import Assertion, Constant, Inspector
from wvflow.lang.evaluate import is_static
from wvflow.lang.types import BOOLEAN, NULL
from wvflow.plan.tasks import RowTest, Test
from wvflow.semantics import expressions, mistakes, partial, relations
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.checked import CheckedQuery, CheckedTest, CheckedTests
from wvflow.semantics.scopes import Relation, Scope, Shape, column
from wvflow.syntax import nodes as n
from wvflow.syntax.walk import walk

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
        scope.session.report(flow_mistakes.observer_misplaced(word, operator.span))
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


# --- in stages ------------------------------------------------------------------------------------------------------


def stage_test(node: n.TestOp, shape: Shape, scope: Scope) -> Test | None:
    """What a stage's rows are tested for: something about them all, or a condition that is true for each. None for one
    that can't be judged."""
    if node.verb is None and not any(_inspects(one, shape) for one in walk(node.left)):
        return _row_test(node, shape, scope)
    try:
        return _assertion(node, scope)
    except _Unclear as reason:
        scope.session.report(flow_mistakes.unclear_test(str(reason), node.span))
        return None


def _inspects(node: n.SyntaxNode, shape: Shape) -> bool:
    match node:
        case n.Dot(operand=n.Underscore(), name=name) | n.CallExpr(receiver=n.Underscore(), function=name, args=()):
            return name.text in _INSPECTORS and column(shape.columns or (), name.text) is None
    return False


def _row_test(node: n.TestOp, shape: Shape, scope: Scope) -> RowTest | None:
    """It is a ``where`` that no row may fail."""
    found = relations.operate(handed(shape), (n.WhereOp(condition=node.left, span=node.left.span),), scope)
    if not isinstance(found.rel, Filter):
        return None
    true = Call("coalesce", (found.rel.condition, Literal(False, BOOLEAN)), type=BOOLEAN)
    return RowTest(Filter(found.rel.input, Unary("not", true, BOOLEAN)), _text(node))


def handed(shape: Shape) -> Relation:
    """The rows that were handed over, under the name of their source where there is but one."""
    match tuple(shape.qualifiers):
        case (alias,):
            return Relation(Alias(Piped(), alias), shape.named(alias))
    return Relation(Piped(), shape.named(""))


def _text(node: n.TestOp) -> str:
    return " ".join(node.span.text.split()).removeprefix("test ")


def stage_debug(node: n.DebugOp, shape: Shape, scope: Scope) -> Rel:
    """The rows that a ``debug`` prints; what its own tests are about is looked at in statements only."""
    debugged = _debugged(node, handed(shape), replace(scope, stage="", stages={}))
    if debugged.update is not None:
        scope.session.report(flow_mistakes.update_in_debug(node.span))
    return debugged.relation


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
        return CheckedTest(node.span, _assertion(node, scope))
    except _Unclear as reason:
        scope.session.report(mistakes.unclear_test(str(reason), node.span))
        nothing = Constant(Literal(None, NULL))
        return CheckedTest(node.span, Assertion(nothing, "be", nothing), unclear=str(reason))


def _assertion(node: n.TestOp, scope: Scope) -> Assertion:
    left, verb, right = _parts(node)
    return Assertion(_operand(left, scope), verb, _operand(right, scope), node.negated, _text(node))


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
