"""Partial queries: operators without a source, put in the place of ``| name(args)`` (query reference, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

from wvflow.diagnostics import has_errors
from wvflow.semantics import mistakes
from wvflow.semantics.arguments import Callee, Formal, bind, remaining
from wvflow.semantics.functions import chosen, split_params
from wvflow.semantics.models import MAX_DEPTH
from wvflow.semantics.session import Session
from wvflow.source import Span
from wvflow.syntax.nodes import ApplyOp, CallArg, Expr, FunctionDef, Operator, PartialQuery, Update
from wvflow.syntax.substitute import Replacements, substituted


def inlined(operators: tuple[Operator, ...], session: Session, path: tuple[str, ...] = ()) -> tuple[Operator, ...]:
    """The operators with all partial queries among them in place. What can't be put there is reported and left out."""
    if not any(isinstance(one, ApplyOp) for one in operators):
        return operators
    found: list[Operator] = []
    for operator in operators:
        definition = chosen(operator.call.function.text, session) if isinstance(operator, ApplyOp) else None
        match definition:
            case FunctionDef(body=PartialQuery()):
                assert isinstance(operator, ApplyOp)
                found += _body(operator, definition, session, path)
            case FunctionDef(name=name) if not _is_activity(name.text, session):
                assert isinstance(operator, ApplyOp)
                session.report(mistakes.not_a_partial_query(name.text, operator.call.function.span))
            case _:
                found.append(operator)
    return tuple(found)


def _is_activity(name: str, session: Session) -> bool:
    return name in session.definitions.activities or name in session.catalog.activities


def _body(operator: ApplyOp, definition: FunctionDef, session: Session, path: tuple[str, ...]) -> tuple[Operator, ...]:
    name, use = definition.name.text, operator.call.function.span
    assert isinstance(definition.body, PartialQuery)
    if name in path:
        cycle = [*path[path.index(name) :], name]
        session.report(mistakes.recursive_partial_query(cycle, definition.name.span))
        return ()
    if len(path) >= MAX_DEPTH:
        session.report(mistakes.inlined_too_deep(MAX_DEPTH, use))
        return ()
    values = _values(definition, operator.call.args, use, session)
    if values is None:
        return ()
    session.applied.setdefault(definition.body.span, []).append(operator.call.function)
    body = substituted(definition.body, values) if values else definition.body
    with session.within(definition.span):
        return inlined(_without_updates(body.operators, name, session), session, (*path, name))


def _without_updates(operators: tuple[Operator, ...], name: str, session: Session) -> tuple[Operator, ...]:
    """An update ends a statement or a stage, and is no part of a query."""
    for one in operators:
        if isinstance(one, Update):
            session.report(mistakes.update_in_partial_query(name, one.span.text.split(maxsplit=1)[0], one.span))
    return tuple([one for one in operators if not isinstance(one, Update)])


def _values(definition: FunctionDef, args: Sequence[CallArg], use: Span, session: Session) -> Replacements | None:
    """The argument of each parameter; None where they don't fit, which is reported. A default may name the parameters
    before it."""
    fixed, rest = split_params(definition)
    formals = tuple(Formal(one.name.text, required=one.default is None) for one in fixed)
    callee = Callee(definition.name.text, formals, rest=rest is not None)
    with session.apart() as found:
        bound = bind(callee, args, use, session)
    session.report(*found)
    values: dict[str, tuple[Expr, ...]] = {name: (arg.value,) for name, arg in bound.items()}
    for param in fixed:
        if param.name.text not in values and param.default is not None:
            values[param.name.text] = (substituted(param.default, values),)
    if rest is not None:
        values[rest.name.text] = remaining(callee, args)
    return None if has_errors(tuple(found)) else values
