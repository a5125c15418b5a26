"""Row types: `type NAME = { column: type … }`, and stages that declare to have such columns."""

from __future__ import annotations

from wvflow.lang.rowtypes import fits, misfits
from wvflow.lang.types import NAMES, Type
from wvflow.semantics import mistakes
from wvflow.semantics import mistakes_of_properties as flow_mistakes
from wvflow.semantics.properties import Read
from wvflow.semantics.scopes import Col, Columns, Relation, column
from wvflow.semantics.session import Session
from wvflow.semantics.signatures import check_function
from wvflow.semantics.types import columns_of_type, lineage_of, resolve_type, types_named
from wvflow.syntax.nodes import Name, TypeDef


def row_type(name: str, session: Session) -> tuple[Col, ...]:
    """The columns of a row type, with those that it has of others. What is wrong is told at the definitions."""
    with session.apart():
        members = columns_of_type(name, session)
        variables = [one.name.text for node in types_named(name, session) for one in node.params]
        return tuple([Col(one.name.text, resolve_type(one.type, session, variables)) for one in members])


def check_type(node: TypeDef, session: Session) -> None:
    """Report what is wrong with a type's columns, methods' heads, parents and contexts."""
    columns: list[Col] = []
    variables = [one.name.text for one in node.params]
    for one in node.columns:
        if column(columns, one.name.text) is not None:
            session.report(mistakes.duplicate_column(one.name.text, one.name.span))
        columns.append(Col(one.name.text, resolve_type(one.type, session, variables)))
    for context in node.contexts:
        if len(context) > 2:  # a catalog and a schema
            session.report(mistakes.long_context(context[0].span.to(context[-1].span)))
    for method in node.methods:
        check_function(method, session, variables)
    _check_parents(node, session)


def _check_parents(node: TypeDef, session: Session) -> None:
    if len(node.parents) > 1:
        session.report(mistakes.one_parent(node.parents[1].span))
    for parent in node.parents[:1]:
        known = len(node.parents) > 1 or parent.text in NAMES
        if not known and parent.text not in session.definitions.types:
            session.report(mistakes.unknown_type(parent.text, parent.span, session.definitions.types))
        lineage = list(lineage_of(parent.text, session))
        if node.name.text in lineage:
            path = [node.name.text, *lineage[: lineage.index(node.name.text) + 1]]
            session.report(mistakes.recursive_type(path, parent.span))


def declared_rows(name: Name | None, found: Relation, session: Session) -> Relation:
    """Rows that are declared to be of a type: they have its methods, and its columns where nothing else is known."""
    if name is None:
        return found
    if not types_named(name.text, session):
        session.report(flow_mistakes.unknown_row_type(name.text, name.span, session.definitions.types))
        return found
    columns, declared = found.shape.columns, row_type(name.text, session)
    columns = (declared or None) if columns is None else tuple([_as_declared(col, declared) for col in columns])
    return Relation(found.rel, found.shape._replace(columns=columns, row_type=name.text))


def _as_declared(col: Col, declared: tuple[Col, ...]) -> Col:
    """A column with its declared type where nothing better is known, and under the program's name of it."""
    wanted = column(declared, col.name)
    if wanted is None or not fits(wanted.type, col.type):
        return col
    better = col.type if col.type.is_known else wanted.type
    return Col(col.name, Type(better.name, better.args, wanted.type.named))


def declared_columns(read: Read, found: Columns, session: Session) -> tuple[Col, ...] | None:
    """The columns that a stage's ``type`` declares, None without one or where it is wrong. What is known of the columns
    is held against it."""
    name = read.values.get("type")
    if name is None:
        return None
    use, nodes = read.spans["type"], types_named(str(name), session)
    if not nodes:
        session.report(flow_mistakes.unknown_row_type(str(name), use, session.definitions.types))
        return None
    declared = row_type(str(name), session)
    wrong = [] if found is None else list(misfits(declared, found))
    if wrong:
        session.report(flow_mistakes.other_columns(str(name), wrong, use, nodes[0].name.span))
        return None
    return declared


def is_certain(declared: tuple[Col, ...], found: Columns) -> bool:
    """Whether nothing is left to be seen at run time."""
    if found is None:
        return False
    known = {col.name.lower(): col.type for col in found}
    return all(known[col.name.lower()].is_known and fits(col.type, known[col.name.lower()]) for col in declared)
