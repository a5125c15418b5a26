"""``activate(target, …)``: where rows are delivered to (flow language, section 5).

Targets are registered sinks, then built-in ones. One that is neither is no error: what would go there is logged.
"""

from __future__ import annotations

from dataclasses import replace

from wvflow.lang import builtins
from wvflow.lang.catalog import ActivitySignature
from wvflow.lang.keys import SINK
from wvflow.semantics import mistakes_of_calls as mistakes
from wvflow.semantics.activities import callee_of, read_arguments
from wvflow.semantics.checked import CallStep
from wvflow.semantics.properties import check_foreign
from wvflow.semantics.scopes import Scope, Shape
from wvflow.semantics.session import Session
from wvflow.syntax import nodes as n


def activate(operator: n.ActivateOp, shape: Shape, scope: Scope) -> CallStep | None:
    """The delivery of rows of a shape; None where no target is named."""
    target, session = _target(operator, scope), scope.session
    if target is None:
        session.report(mistakes.no_target(operator.span, _known(session)))
        return None
    name = target.text
    key, signature = _find(name, session)
    if signature is None:
        session.report(mistakes.unknown_sink(name, target.span, _known(session), strict=session.catalog.strict_sinks))
        signature = ActivitySignature(name, open=True)
    check_foreign(signature.properties, f"the decorator of `{name}`", "activity", target.span, session)
    call = n.CallExpr(function=target, args=operator.args[1:], span=operator.span)
    inside = replace(scope.over(shape), for_argument=True)
    arguments = read_arguments(call, callee_of(signature), {}, inside, piped=True)
    return CallStep(name, arguments, function=key)


def _target(operator: n.ActivateOp, scope: Scope) -> n.Name | None:
    """A text, or a bare word that is no parameter."""
    match operator.args:
        case (n.CallArg(name=None, value=n.StringLiteral(value=text, span=span)), *_) if text:
            return n.Name(text=text, span=span)
        case (n.CallArg(name=None, value=n.NameRef(name=name)), *_) if name.text not in scope.values:
            return name
    return None


def _find(name: str, session: Session) -> tuple[str, ActivitySignature | None]:
    key = f"{SINK}{name}"
    if (registered := session.catalog.activities.get(key)) is not None:
        return key, registered
    return builtins.SINKS.get(name, (key, None))


def _known(session: Session) -> list[str]:
    registered = [key.removeprefix(SINK) for key in session.catalog.activities if key.startswith(SINK)]
    return [*registered, *builtins.SINKS]
