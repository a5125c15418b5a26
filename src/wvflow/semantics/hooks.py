"""Hooks of a flow: what is done when a run has ended, and is given its summary (flow language, section 3, "Flow")."""

from __future__ import annotations

from collections.abc import Iterator

from wvflow.lang.properties import HOOKS
from wvflow.lang.summaries import OF_HOOKS, SUMMARY
from wvflow.semantics import mistakes_of_calls as mistakes
from wvflow.semantics.activities import call_activity
from wvflow.semantics.checked import CallStep, CheckedHook, ChildStep
from wvflow.semantics.children import call_flow, is_flow
from wvflow.semantics.dependencies import check_has_ended
from wvflow.semantics.properties import Read
from wvflow.semantics.scopes import Col, Scope, Shape
from wvflow.semantics.sinks import activate
from wvflow.syntax import nodes as n

_ACTIVATE = "activate"


def check_hooks(read: Read, scope: Scope) -> tuple[CheckedHook, ...]:
    """The hooks among a flow's properties, in the order of the language reference."""
    return tuple(_hooks(read, scope))


def _hooks(read: Read, scope: Scope) -> Iterator[CheckedHook]:
    for name in HOOKS:
        node = read.expressions.get(name)
        if node is None:
            continue
        with scope.session.recording() as record:
            step = _step(name, node, scope)
        if step is not None:
            yield CheckedHook(name, step, tuple(record.uses))


def _step(name: str, node: n.Expr, scope: Scope) -> CallStep | ChildStep | None:
    """A call; a bare name is one without arguments."""
    match node:
        case n.NameRef(name=function):
            call = n.CallExpr(function=function, args=(), span=node.span)
        case n.CallExpr(receiver=None):
            call = node
        case _:
            scope.session.report(mistakes.no_hook(name, node.span))
            return None
    types = dict(SUMMARY)
    shape = Shape(tuple(Col(column, types[column]) for column in OF_HOOKS))
    if call.version is not None and not is_flow(call.function.text, scope.session):
        kind = "no flow" if call.function.text == _ACTIVATE else "an activity"
        scope.session.report(mistakes.version_of_no_flow(call.function.text, kind, call.span))
    if call.function.text == _ACTIVATE:
        return activate(n.ActivateOp(args=call.args, span=call.span), shape, scope)
    if is_flow(call.function.text, scope.session):
        started = call_flow(call, call.version, shape, scope, piped=True, apart=False)
        if started is not None:
            check_has_ended(started[0], call.span, scope.session)
        return None if started is None else started[0]
    called = call_activity(call, shape, scope, piped=True, apart=False)
    return None if called is None else called[0]
