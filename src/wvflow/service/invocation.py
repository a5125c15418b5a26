"""A flow with its arguments as one text: ``F(segment = 'a')``, as on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from wvflow.diagnostics import has_errors
from wvflow.errors import UserError
from wvflow.plan.nodes import FlowPlan
from wvflow.service.parameters import parse as parse_texts
from wvflow.source import Source

if TYPE_CHECKING:
    from wvflow.syntax.nodes import CallArg, CallExpr, Expr

_PREFIX = "run flow "


class Invocation(NamedTuple):
    """What names a flow. ``version``: None where none is named; ``call``: its arguments, None for a name alone."""

    name: str
    version: int | None = None
    call: CallExpr | None = None


def split(text: str) -> Invocation:
    """What a text names: ``F``, ``F @version(1)``, ``F@1`` as lists show it, ``F(segment = 'a') @version(1)``.

    Raises: UserError, the text is none of these.
    """
    if "(" not in text:
        name, at, number = text.rpartition("@")
        return Invocation(name.strip(), int(number)) if at and number.strip().isdecimal() else Invocation(text)
    from wvflow.syntax import parse
    from wvflow.syntax.nodes import RunFlowStatement

    module, found = parse(Source("argument", _PREFIX + text))
    match module.statements:
        case (RunFlowStatement(call=call, version=version, operators=()),) if not has_errors(found):
            return Invocation(call.function.text, version, call)
    raise UserError(
        f"`{text}` is no call of a flow", help="write it as F(name = 'value', count = 3), or F @version(1) (…)"
    )


def values(plan: FlowPlan, named: Invocation | None, texts: Mapping[str, str]) -> dict[str, object]:
    """The parameters' values from a call's arguments and from texts, each once.

    Raises: UserError, one is given twice, or is none of a parameter's type.
    """
    given = arguments(plan, named.call) if named is not None and named.call is not None else {}
    if both := sorted(given.keys() & texts.keys()):
        raise UserError(f"the parameter `{both[0]}` is given twice: in the call and with -p")
    return parse_texts(plan, given | dict(texts))


def arguments(plan: FlowPlan, call: CallExpr) -> dict[str, str | None]:
    """The call's arguments as texts by parameter, first those by position; None for `null`, which no text is.

    Raises: UserError, one is too many, given twice, or no literal.
    """
    from wvflow.syntax.nodes import NullLiteral

    found: dict[str, str | None] = {}
    for name, arg in _named(plan, call):
        if name in found:
            raise UserError(f"the parameter `{name}` is given twice")
        found[name] = None if isinstance(arg.value, NullLiteral) else literal_text(arg.value)
    return found


def _named(plan: FlowPlan, call: CallExpr) -> Iterator[tuple[str, CallArg]]:
    for place, arg in enumerate(call.args):
        if arg.name is not None:
            yield arg.name.text, arg
        elif place < len(plan.params):
            yield plan.params[place].name, arg
        else:
            raise UserError(f"flow {plan.flow} takes {len(plan.params)} parameters, but {len(call.args)} are given")


def literal_text(value: Expr) -> str:
    """A literal as the text that ``-p name=text`` takes. Raises: UserError, it is an expression."""
    from wvflow.syntax.nodes import ArrayExpr, StringLiteral, TypedLiteral

    match value:
        case StringLiteral(value=text) | TypedLiteral(value=text):
            return text
        case ArrayExpr(items=items):
            return json.dumps([_json(item) for item in items])
    return _plain(value)


def _plain(value: Expr) -> str:
    from wvflow.syntax.nodes import BooleanLiteral, DurationLiteral, NullLiteral, NumberLiteral, UnaryExpr

    match value:
        case NumberLiteral(text=text) | DurationLiteral(text=text):
            return text
        case BooleanLiteral(value=flag):
            return "true" if flag else "false"
        case NullLiteral():
            return "null"
        case UnaryExpr(op="-", operand=NumberLiteral(text=text)):
            return f"-{text}"
    raise UserError(f"`{value.span.text}` is no literal", help="an argument here is a text, number, date, list …")


def _json(value: Expr) -> object:
    from wvflow.syntax.nodes import StringLiteral

    if isinstance(value, StringLiteral):
        return value.value
    return json.loads(literal_text(value))
