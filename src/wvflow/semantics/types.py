"""Types as written to types as meant (query reference, section 3.1)."""

from __future__ import annotations

from wvflow.lang.types import DECIMAL, NAMES, UNKNOWN, Type
from wvflow.semantics import mistakes
from wvflow.semantics.session import Session
from wvflow.syntax.nodes import TypeName

_WITHOUT_ARGUMENTS = frozenset(NAMES.values()) - {"decimal", "array", "map", "struct"}


def resolve_type(written: TypeName | None, session: Session) -> Type:
    """The type that a name stands for; UNKNOWN without one, and for one that is none, which is reported."""
    if written is None:
        return UNKNOWN
    name = NAMES.get(written.name)
    if name is None:
        session.report(mistakes.unknown_type(written.name, written.span))
        return UNKNOWN
    if name in _WITHOUT_ARGUMENTS:
        return Type(name)
    if name == "decimal" and not written.args:
        return DECIMAL
    return Type(name, tuple(one if isinstance(one, int) else resolve_type(one, session) for one in written.args))
