"""``val`` definitions: constants that are put in the place of their names (query reference, section 2.5)."""

from __future__ import annotations

from wvflow.lang.algebra import Cast, Expr, Literal
from wvflow.lang.types import UNKNOWN
from wvflow.semantics import expressions, mistakes
from wvflow.semantics.scopes import Scope
from wvflow.semantics.types import resolve_type
from wvflow.syntax.nodes import Name


def scalar_val(name: Name, scope: Scope) -> Expr:
    """The value of a constant, read where nothing but other constants is known; the same for all its uses."""
    session = scope.session
    if name.text not in session.vals:
        session.vals[name.text] = _read(name, scope)
    return session.vals[name.text]


def _read(name: Name, scope: Scope) -> Expr:
    session = scope.session
    definition = session.definitions.vals[name.text]
    if definition.columns is not None:
        session.report(mistakes.table_as_value(name.text, name.span))
        return Literal(None, UNKNOWN)
    if name.text in session.expanding:
        path = [*session.expanding[session.expanding.index(name.text) :], name.text]
        session.report(mistakes.recursive("val", path, definition.name.span))
        return Literal(None, UNKNOWN)
    session.expanding.append(name.text)
    value = expressions.elaborate(definition.value, Scope(session))
    session.expanding.pop()
    return value if definition.type is None else Cast(value, resolve_type(definition.type, session))
