"""What a bare name in an expression means (flow language, section 1, "Meaning of a name"; query reference, 2.4).

Parameter, known column, grouping key, implicit value, ``val``, function without parentheses, unknown column.
"""

from __future__ import annotations

from collections.abc import Iterable

from wvflow.diagnostics import Diagnostic
from wvflow.lang.algebra import Call, Column, Expr, Literal, Tuple, Value
from wvflow.lang.stdlib import BARE_FUNCTIONS, RESULTS
from wvflow.lang.types import STRING, UNKNOWN
from wvflow.lang.ulids import KEPT, NATIVE
from wvflow.semantics import functions, mistakes
from wvflow.semantics import mistakes_of_conversations as flow_mistakes
from wvflow.semantics.scopes import IMPLICIT, Col, Scope
from wvflow.semantics.session import Session
from wvflow.semantics.vals import scalar_val
from wvflow.syntax.nodes import Name, Native

NOTHING = Literal(None, UNKNOWN)
"""Stands for an expression that could not be understood; the finding is made."""


def resolve(name: Name, scope: Scope) -> Expr:
    """The expression that a name stands for; what is found nowhere is reported."""
    if not name.quoted and (own := scope.locals.get(name.text)) is not None:
        return Tuple(own) if isinstance(own, tuple) else own
    known = None if scope.for_argument else scope.column(name.text)
    if not name.quoted and (parameter := scope.values.get(name.text)) is not None:
        if known is not None:
            scope.session.report(mistakes.hides_column(name.text, name.span))
        return parameter
    if not name.quoted and scope.knows_state and (variable := scope.state.get(name.text)) is not None:
        return variable
    if known is not None:
        return column(name, scope)
    if (key := scope.keys.get(name.text)) is not None:
        return key
    return (None if name.quoted else _global(name, scope)) or _unknown(name, scope)


def column(name: Name, scope: Scope, table: str = "") -> Column:
    """A column as the text names it, and the place noted."""
    scope.session.use(name.text, name.span)
    table = table or _left_most(name.text, scope)
    rows = scope.qualified(table) if table else None
    found = scope.over(rows).column(name.text) if rows else scope.column(name.text)
    _warn_of_val(name, scope, is_column=found is not None and not table)
    return Column(name.text, table, found.type if found else UNKNOWN)


def _left_most(name: str, scope: Scope) -> str:
    """The source that an unqualified name of several columns means; ``""`` where there is but one, or none to tell."""
    wanted = name.lower()
    for one in scope.around():
        if one.rows is None or not one.rows.columns:
            continue
        count = sum(col.name.lower() == wanted for col in one.rows.columns)
        if count > 1:
            sides = one.rows.qualifiers.items()
            return next((side for side, columns in sides if columns and _among(columns, wanted)), "")
        if count:
            return ""
    return ""


def _among(columns: Iterable[Col], wanted: str) -> bool:
    return any(col.name.lower() == wanted for col in columns)


def native(session: Session) -> Value:
    """A new ULID: a value of the run or the statement, its own at each place where it is asked for."""
    session.natives += 1
    if session.expanding:
        val = session.expanding[-1]
        package = session.program.package(val.span.source.name).replace(".", "_")
        return Value(f"{KEPT}{package}_{val.name.text}_{session.natives}", STRING)
    found = Value(f"{NATIVE}_{session.natives}", STRING)
    session.record.natives.append(found)
    return found


def _global(name: Name, scope: Scope) -> Expr | None:
    """What a name means everywhere."""
    if (type_ := IMPLICIT.get(name.text)) is not None:
        return Value(name.text, type_)
    if name.text in scope.session.definitions.vals:
        return scalar_val(name, scope)
    defined = functions.chosen(name.text, scope.session)
    if defined is not None and not isinstance(defined.body, Native | None):
        return functions.call(defined, (), name, scope)
    if name.text == NATIVE:
        return native(scope.session)
    if name.text in BARE_FUNCTIONS:
        return Call(name.text, type=RESULTS.get(name.text, UNKNOWN))
    return None


def _warn_of_val(name: Name, scope: Scope, *, is_column: bool) -> None:
    val = scope.session.definitions.vals.get(name.text)
    if is_column and val is not None and val.columns is None and not name.quoted:
        scope.session.report(mistakes.hidden_by_column(name.text, name.span, val.name.span))


def _unknown(name: Name, scope: Scope) -> Expr:
    if scope.has_rows and not scope.is_known and not scope.for_argument:
        return column(name, scope)
    scope.session.report(_finding(name, scope))
    return Column(name.text) if scope.has_rows and not scope.for_argument else NOTHING


def _finding(name: Name, scope: Scope) -> Diagnostic:
    if name.text in scope.functions:
        return flow_mistakes.function_uncalled(name.text, name.span)
    if name.text in scope.state:
        return flow_mistakes.state_misplaced(name.text, name.span)
    if scope.for_argument and scope.has_rows:
        return mistakes.column_needs_row(name.text, name.span)
    if scope.has_rows:
        return mistakes.unknown_column(name.text, name.span, scope.known)
    state = scope.state if scope.knows_state else ()
    everything = [*scope.values, *state, *IMPLICIT, *scope.session.definitions.vals]
    return mistakes.unknown_name(name.text, name.span, everything)
