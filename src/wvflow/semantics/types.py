"""Types as written to types as meant: built-in names and those that the program defines (query reference, sections 3.1
and 3.2)."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from wvflow.lang.types import DECIMAL, NAMES, UNKNOWN, Type
from wvflow.semantics import mistakes
from wvflow.semantics.dialects import rank
from wvflow.semantics.session import Session
from wvflow.syntax.nodes import TypeDef, TypeMember, TypeName

_WITHOUT_ARGUMENTS = frozenset(NAMES.values()) - {"decimal", "array", "map", "struct"}


def resolve_type(written: TypeName | None, session: Session, variables: Collection[str] = ()) -> Type:
    """The type that a name stands for; UNKNOWN without one, and for one that is none, which is reported.

    ``variables``: the parameters of the type around, which stand for any.
    """
    if written is None or written.name in variables:
        return UNKNOWN
    name = NAMES.get(written.name)
    if name is None:
        return _defined(written, session)
    if name in _WITHOUT_ARGUMENTS:
        return Type(name)
    if name == "decimal" and not written.args:
        return DECIMAL
    args = [one if isinstance(one, int) else resolve_type(one, session, variables) for one in written.args]
    return Type(name, tuple(args))


def _defined(written: TypeName, session: Session) -> Type:
    """A type of the program: what the engine has for it is what it extends, a struct where it has columns."""
    lineage = list(lineage_of(written.name, session))
    if not any(types_named(one, session) for one in lineage[:1]):
        session.report(mistakes.unknown_type(written.name, written.span, session.definitions.types))
        return UNKNOWN
    built_in = next((NAMES[one] for one in lineage if one in NAMES), "any")
    if built_in == "any" and any(node.columns for one in lineage for node in types_named(one, session)):
        built_in = "struct"
    return Type(built_in, DECIMAL.args if built_in == "decimal" else (), written.name)


def types_named(name: str, session: Session) -> tuple[TypeDef, ...]:
    """All definitions of a type that count for the engine at hand, under any spelling of its name."""
    defined = session.definitions.types
    spelt = [several for written, several in defined.items() if written == name or NAMES.get(written) == name]
    return tuple(node for several in spelt for node in several if not _is_of_others(node, session))


def _is_of_others(node: TypeDef, session: Session) -> bool:
    """Whether a type is for other dialects only."""
    return rank(node.contexts, session.catalog.engine) is None


def lineage_of(name: str, session: Session) -> Iterator[str]:
    """The type of that name, what it extends, and so on; a cycle, which its definition tells, ends it."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            yield current
            waiting += [parent.text for node in types_named(current, session) for parent in node.parents]


def columns_of_type(name: str, session: Session) -> tuple[TypeMember, ...]:
    """The columns of a row type: those of what it extends, then its own, which take the place of those of their name.
    Of several definitions of a name the first with columns counts."""
    found: dict[str, TypeMember] = {}
    for one in reversed(list(lineage_of(name, session))):
        node = next((node for node in types_named(one, session) if node.columns), None)
        found |= {column.name.text: column for column in node.columns} if node else {}
    return tuple(found.values())
