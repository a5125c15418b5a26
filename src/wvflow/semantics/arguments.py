"""Arguments of a call to the parameters that they are meant for: by position, then by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from wvflow.diagnostics import Diagnostic, nearest
from wvflow.lang.algebra import Expr, Literal
from wvflow.lang.types import DURATION, INTERVAL, NULL, STRING, UNKNOWN, Type
from wvflow.semantics import mistakes
from wvflow.semantics.session import Session
from wvflow.source import Span
from wvflow.syntax.nodes import CallArg
from wvflow.syntax.nodes import Expr as Written

_FROM_TEXT = frozenset({"date", "time", "timestamp", "interval", "duration", "uuid", "json", "decimal", "binary"})
_OPEN_ENDED = frozenset({"any", "sql", "struct", "array", "map"})


class Formal(NamedTuple):
    """A parameter as a caller sees it."""

    name: str
    type: Type = UNKNOWN
    required: bool = True
    nullable: bool = True
    choices: tuple[str | int, ...] = ()


class Callee(NamedTuple):
    """What is called. ``open``: it takes arguments of any name; ``rest``: it takes any number of further ones."""

    name: str
    formals: tuple[Formal, ...]
    open: bool = False
    rest: bool = False

    @property
    def signature(self) -> str:
        """As a declaration would write it; what has a default ends in ``?``."""
        parts = [f"{one.name}{'' if one.required else '?'}: {one.type}" for one in self.formals]
        return f"`{self.name}({', '.join([*parts, *(['…'] if self.open or self.rest else [])])})`"

    def formal(self, name: str) -> Formal | None:
        return next((one for one in self.formals if one.name == name), None)


Missing: TypeAlias = Callable[[str, str, Span, str], Diagnostic]
"""How it is told that a required parameter gets no argument: of what, its name, where, and how that is declared."""


def bind(
    callee: Callee,
    args: Sequence[CallArg],
    use: Span,
    session: Session,
    missing: Missing = mistakes.missing_argument,
) -> dict[str, CallArg]:
    """The argument of each parameter that gets one. What doesn't fit is reported and left out."""
    positional = [one for one in args if one.name is None]
    if len(positional) > len(callee.formals) and not callee.rest:
        extra = positional[len(callee.formals)]
        wanted = (len(callee.formals), "by position" if callee.open else "")
        given = len(positional) if callee.open else len(args)
        session.report(mistakes.too_many_arguments(callee.name, wanted, given, extra.span, callee.signature))
    bound = {formal.name: one for formal, one in zip(callee.formals, positional, strict=False)}
    for one in args:
        if one.name is not None:
            _bind_named(callee, one.name.text, one, bound, session)
    misspelt = set() if callee.open else _misspelt(callee, args)
    for formal in callee.formals:
        if formal.required and formal.name not in bound and formal.name not in misspelt:
            session.report(missing(callee.name, formal.name, use, callee.signature))
    return bound


def remaining(callee: Callee, args: Sequence[CallArg]) -> tuple[Written, ...]:
    """What is left for a parameter that takes all further arguments."""
    positional = [one.value for one in args if one.name is None]
    return tuple(positional[len(callee.formals) :])


def _bind_named(callee: Callee, name: str, one: CallArg, bound: dict[str, CallArg], session: Session) -> None:
    use = one.name.span if one.name else one.span
    if name in bound:
        session.report(mistakes.duplicate_argument(callee.name, name, use, callee.signature))
    elif callee.formal(name) is None and not callee.open:
        known = [formal.name for formal in callee.formals]
        session.report(mistakes.unknown_argument(callee.name, name, use, known, callee.signature))
    else:
        bound[name] = one


def _misspelt(callee: Callee, args: Sequence[CallArg]) -> set[str | None]:
    """The parameters that unknown names were probably meant for: one mistake is told once."""
    known = [formal.name for formal in callee.formals]
    return {nearest(one.name.text, known) for one in args if one.name is not None and one.name.text not in known}


def check_type(callee: Callee, name: str, found: Type, use: Span, session: Session) -> None:
    """Report an argument of another type than its parameter's."""
    formal = callee.formal(name)
    if formal is not None and not fits(formal, found):
        session.report(mistakes.mistyped_argument(callee.name, name, formal.type, found, use, callee.signature))


def check_choice(callee: Callee, name: str, value: Expr, use: Span, session: Session) -> None:
    """Report a constant that is none of the values its parameter takes."""
    formal = callee.formal(name)
    if formal is None or not formal.choices or not isinstance(value, Literal) or value.value is None:
        return
    if value.value not in formal.choices:
        session.report(mistakes.no_such_choice(callee.name, name, value.value, formal.choices, use))


def fits(formal: Formal, found: Type) -> bool:
    """Whether a value of a type can be given; texts may write dates and durations, numbers widen."""
    wanted = formal.type
    if found == NULL:
        return formal.nullable or not wanted.is_known
    if not found.is_known or wanted.name in _OPEN_ENDED or wanted.name == found.name:
        return True
    if wanted.is_integer:
        return found.is_integer
    if wanted.is_numeric:
        return found.is_numeric
    if {wanted, found} == {DURATION, INTERVAL}:
        return True
    return wanted.name in _FROM_TEXT and found == STRING
