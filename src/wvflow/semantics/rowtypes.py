"""Row types: `type NAME = { column: type … }`, and stages that declare to have such columns."""

from __future__ import annotations

from wvflow.lang.rowtypes import fits, misfits
from wvflow.semantics import mistakes
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.properties import Read
from wvflow.semantics.scopes import Col, Columns, Relation, column
from wvflow.semantics.session import Session
from wvflow.semantics.types import resolve_type
from wvflow.syntax.nodes import Name, TypeDef


def row_type(node: TypeDef, session: Session) -> tuple[Col, ...]:
    """The columns of a row type; what is wrong with them is reported."""
    columns: list[Col] = []
    for one in node.columns:
        if column(columns, one.name.text) is not None:
            session.report(mistakes.duplicate_column(one.name.text, one.name.span))
        else:
            columns.append(Col(one.name.text, resolve_type(one.type, session)))
    return tuple(columns)


def check_type(node: TypeDef, session: Session) -> None:
    """Report what is wrong with a type's columns, parents and contexts. Methods are read where they are used."""
    row_type(node, session)
    if len(node.parents) > 1:
        session.report(mistakes.one_parent(node.parents[1].span))
    for context in node.contexts:
        if len(context) > 2:  # a catalog and a schema
            session.report(mistakes.long_context(context[0].span.to(context[-1].span)))


def type_named(name: str, session: Session) -> TypeDef | None:
    """The first type of a name that has columns, else the first of that name."""
    defined = session.definitions.types.get(name, ())
    return next((one for one in defined if one.columns), defined[0] if defined else None)


def declared_rows(name: Name | None, found: Relation, session: Session) -> Relation:
    """Rows that are declared to be of a type: they have its methods, and its columns where nothing else is known."""
    if name is None:
        return found
    if (node := type_named(name.text, session)) is None:
        session.report(flow_mistakes.unknown_row_type(name.text, name.span, session.definitions.types))
        return found
    shape = found.shape
    columns = shape.columns
    if columns is None and node.columns:
        with session.apart():  # told at the definition
            columns = row_type(node, session)
    return Relation(found.rel, shape._replace(columns=columns, row_type=name.text))


def declared_columns(read: Read, found: Columns, session: Session) -> tuple[Col, ...] | None:
    """The columns that a stage's ``type`` declares, None without one or where it is wrong. What is known of the columns
    is held against it."""
    name = read.values.get("type")
    if name is None:
        return None
    use, node = read.spans["type"], type_named(str(name), session)
    if node is None:
        session.report(flow_mistakes.unknown_row_type(str(name), use, session.definitions.types))
        return None
    with session.apart():  # told at the definition
        declared = row_type(node, session)
    wrong = [] if found is None else list(misfits(declared, found))
    if wrong:
        session.report(flow_mistakes.other_columns(str(name), wrong, use, node.name.span))
        return None
    return declared


def is_certain(declared: tuple[Col, ...], found: Columns) -> bool:
    """Whether nothing is left to be seen at run time."""
    if found is None:
        return False
    known = {col.name.lower(): col.type for col in found}
    return all(known[col.name.lower()].is_known and fits(col.type, known[col.name.lower()]) for col in declared)
