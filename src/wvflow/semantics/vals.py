"""``val`` definitions: constants that are put in the place of their names (query reference, section 2.5)."""

from __future__ import annotations

from wvflow.lang.algebra import Cast, Expr, Literal
from wvflow.lang.types import UNKNOWN
from wvflow.semantics import expressions, mistakes
from wvflow.semantics.scopes import Scope
from wvflow.semantics.types import resolve_type
from wvflow.syntax.nodes import Name, ValDef


def scalar_val(name: Name, scope: Scope) -> Expr:
    """The value of a constant, read where nothing but other constants is known; the same for all its uses."""
    session = scope.session
    definition = session.definitions.vals[name.text]
    if id(definition) not in session.vals:
        session.vals[id(definition)] = _read(definition, name, scope)
    return session.vals[id(definition)]


def _read(definition: ValDef, name: Name, scope: Scope) -> Expr:
    session = scope.session
    if definition.columns is not None:
        session.report(mistakes.table_as_value(name.text, name.span))
        return Literal(None, UNKNOWN)
    if any(one is definition for one in session.expanding):
        names = [one.name.text for one in session.expanding]
        path = [*names[names.index(name.text) :], name.text]
        session.report(mistakes.recursive("val", path, definition.name.span))
        return Literal(None, UNKNOWN)
    session.expanding.append(definition)
    with session.within(definition.span), session.numbering():
        value = expressions.elaborate(definition.value, Scope(session))
    session.expanding.pop()
    return value if definition.type is None else Cast(value, resolve_type(definition.type, session))
