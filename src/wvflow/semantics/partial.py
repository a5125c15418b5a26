"""Partial queries: operators without a source, put in the place of ``| name(args)`` (query reference, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

from wvflow.semantics import mistakes
from wvflow.semantics.functions import chosen
from wvflow.semantics.models import MAX_DEPTH
from wvflow.semantics.session import Session
from wvflow.syntax.nodes import ApplyOp, CallArg, Expr, FunctionDef, Operator, PartialQuery
from wvflow.syntax.substitute import Replacements, substituted


def inlined(operators: tuple[Operator, ...], session: Session, path: tuple[str, ...] = ()) -> tuple[Operator, ...]:
    """The operators with all partial queries among them in place. What can't be put there is reported and left out."""
    if not any(isinstance(one, ApplyOp) for one in operators):
        return operators
    found: list[Operator] = []
    for operator in operators:
        definition = _definition(operator, session)
        if isinstance(operator, ApplyOp) and definition is not None:
            found += _body(operator, definition, session, path)
        else:
            found.append(operator)
    return tuple(found)


def _definition(operator: Operator, session: Session) -> FunctionDef | None:
    if not isinstance(operator, ApplyOp):
        return None
    definition = chosen(operator.call.function.text, session)
    return definition if definition is not None and isinstance(definition.body, PartialQuery) else None


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
    values = _values(definition, operator.call.args, operator, session)
    if values is None:
        return ()
    body = substituted(definition.body, values) if values else definition.body
    return inlined(body.operators, session, (*path, name))


def _values(
    definition: FunctionDef, args: Sequence[CallArg], operator: ApplyOp, session: Session
) -> Replacements | None:
    """The argument of each parameter; None where they don't fit exactly, which is reported."""
    params = definition.params or ()
    rest = params[-1] if params and params[-1].variadic else None
    fixed = params[:-1] if rest else params
    positional = [one.value for one in args if one.name is None]
    named = {one.name.text: one.value for one in args if one.name is not None}
    values: dict[str, tuple[Expr, ...]] = {}
    for param, value in zip(fixed, positional, strict=False):
        values[param.name.text] = (value,)
    known = {param.name.text for param in fixed}
    wrong = bool(named.keys() - (known - values.keys()))
    values |= {name: (value,) for name, value in named.items()}
    for param in fixed:
        if param.name.text not in values and param.default is not None:
            values[param.name.text] = (param.default,)
    left = tuple(positional[len(fixed) :])
    if rest is not None:
        values[rest.name.text] = left
    if wrong or known - values.keys() or (left and rest is None):
        wanted = "no arguments" if not params else f"{len(params)} argument{'s' if len(params) > 1 else ''}"
        session.report(
            mistakes.wrong_argument_count(definition.name.text, wanted, len(args), operator.call.function.span)
        )
        return None
    return values
