"""What definitions say of their parameters and results, whether or not anybody calls them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wvflow.semantics import mistakes
from wvflow.semantics.session import Session
from wvflow.semantics.types import resolve_type
from wvflow.syntax.nodes import FunctionDef, Param


def check_function(node: FunctionDef, session: Session, variables: Collection[str] = ()) -> None:
    """Report what is wrong with a function's or method's parameters and types. The body is read where it is called."""
    check_parameters(node.params or (), session, variables)
    resolve_type(node.result, session, variables)


def check_parameters(params: Sequence[Param], session: Session, variables: Collection[str] = ()) -> None:
    """Names are distinct, types exist, and the one that takes all remaining arguments is the last."""
    named: dict[str, Param] = {}
    for param in params:
        first = named.setdefault(param.name.text, param)
        if first is not param:
            session.report(mistakes.duplicate_name(param.name.text, "list", param.name.span, first.name.span))
        if param.variadic and param is not params[-1]:
            session.report(mistakes.rest_not_last(param.name.text, param.span))
        resolve_type(param.type, session, variables)
