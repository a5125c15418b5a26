"""``while``: what its condition looks at, and whether the operators behind it can run again (flow language, section 5).

The condition is classified here: an activity that says true or false, an expression that needs no rows, or one over the
rows so far. The first two may change from one iteration to the next without the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wvflow.lang.algebra import (
    Aggregate,
    Call,
    Column,
    Expr,
    Filter,
    Item,
    Limit,
    Literal,
    Piped,
    Rel,
    Select,
    Value,
    Window,
)
from wvflow.lang.evaluate import is_static
from wvflow.lang.relations import nodes, own_nodes
from wvflow.lang.reuse import OF_THE_RUN
from wvflow.lang.stdlib import AGGREGATES
from wvflow.lang.types import BOOLEAN
from wvflow.semantics import expressions, mistakes
from wvflow.semantics import mistakes_of_loops as loop_mistakes
from wvflow.semantics.activities import call_activity, find, report_unknown
from wvflow.semantics.checked import CallStep, LoopStep, RouteStep, Step
from wvflow.semantics.names import NOTHING
from wvflow.semantics.scopes import Scope, Shape
from wvflow.semantics.waits import names_rows, state_in, warn_of_hidden_state
from wvflow.syntax import nodes as n

_HOLDS = "holds"


def loop_step(node: n.WhileOp, shape: Shape | None, scope: Scope) -> LoopStep:
    """``shape``: of the rows so far, None where there are none."""
    text = " ".join(node.condition.span.text.split())
    call, negated = _call(node.condition)
    if call is not None and scope.session.is_activity(call.function.text):
        return LoopStep(_answer(call, shape, scope), text, node.span, negated)
    over = scope.over(None if shape is None else Shape(shape.columns))
    if (variable := state_in(node.condition, shape, scope)) is not None:
        if names_rows(node.condition):
            scope.session.report(loop_mistakes.mixed_loop(variable.text, node.condition.span))
            return LoopStep(NOTHING, text, node.span)
        over = replace(scope.over(None), for_state=True)  # no row takes part
    else:
        warn_of_hidden_state(node.condition, shape, scope)
    found = expressions.condition(node.condition, over)
    if any(one is NOTHING for one in nodes(found)):
        return LoopStep(found, text, node.span)  # reported already
    if is_static(found):
        _check_change(found, node, scope)
        return LoopStep(found, text, node.span)
    if call is not None and not any(isinstance(one, Column) for one in nodes(found)):
        report_unknown(call.function, scope.session)  # it asks no rows, and nobody else knows it
    elif shape is None:
        scope.session.report(loop_mistakes.no_rows_to_test(node.condition.span))
    return LoopStep(_over_rows(found, node, scope), text, node.span)


def check_loop(step: LoopStep, before: Shape, behind: Shape, steps: Sequence[Step], scope: Scope) -> Shape:
    """The rows that are seen behind a loop: those of the last time, or those that it began with. ``steps``: what it
    repeats."""
    if all(isinstance(one, RouteStep) for one in steps):
        scope.session.report(loop_mistakes.empty_loop(step.span))
    if before.columns is None or behind.columns is None:
        return Shape()
    here, there = [one.name for one in before.columns], [one.name for one in behind.columns]
    if {one.lower() for one in here} != {one.lower() for one in there}:
        scope.session.report(loop_mistakes.loop_changes_columns(here, there, step.span))
    return behind


def _call(node: n.Expr) -> tuple[n.CallExpr | None, bool]:
    """The call that a condition is, and whether it is negated."""
    negated = False
    while isinstance(node, n.Paren | n.UnaryExpr):
        if isinstance(node, n.UnaryExpr) and node.op != "not":
            return None, False
        negated ^= isinstance(node, n.UnaryExpr)
        node = node.inner if isinstance(node, n.Paren) else node.operand
    return (node, negated) if isinstance(node, n.CallExpr) and node.receiver is None else (None, False)


def _answer(call: n.CallExpr, shape: Shape | None, scope: Scope) -> CallStep | Expr:
    """The call of an activity, which is given the rows so far and answers with true or false."""
    found = call_activity(call, shape or Shape(), scope, piped=shape is not None, apart=False)
    if found is None:
        return NOTHING
    if not _may_be_bool(call.function.text, found[1].shape, scope):
        scope.session.report(loop_mistakes.no_answer(call.function.text, call.span))
    return found[0]


def _may_be_bool(activity: str, behind: Shape, scope: Scope) -> bool:
    target = find(activity, scope.session)
    if target is None or target.signature is None or target.signature.returns == "unknown":
        return True
    types = [one.type for one in behind.columns or ()]
    return target.signature.returns == "scalar" and all(one == BOOLEAN or not one.is_known for one in types)


def _over_rows(condition: Expr, node: n.WhileOp, scope: Scope) -> Rel:
    """What has a row when one meets the condition; with an aggregate, when the whole input does."""
    own = list(own_nodes(condition))
    if any(isinstance(one, Window) for one in own):
        scope.session.report(mistakes.window_in_where(node.span, "while"))
    if any(isinstance(one, Call) and one.function in AGGREGATES for one in own):
        whole = Aggregate(Piped(), (), (Item(_HOLDS, condition),))
        return _found(Filter(whole, Column(_HOLDS, type=BOOLEAN)))
    return _found(Filter(Piped(), condition))


def _found(rows: Rel) -> Rel:
    return Select(Limit(rows, 1), (Item(_HOLDS, Literal(True, BOOLEAN)),))


def _check_change(condition: Expr, node: n.WhileOp, scope: Scope) -> None:
    """Parameters stay as they are as long as the run lasts."""
    named = {one.name for one in nodes(condition) if isinstance(one, Value)}
    if named <= {*scope.values, *OF_THE_RUN}:
        scope.session.report(loop_mistakes.unchanging_loop(node.condition.span))
