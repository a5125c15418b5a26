"""Dot chains: columns of a relation, fields, methods of the standard library (query reference, sections 8 and 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from wvflow.lang import algebra as a
from wvflow.lang.algebra import Call, Cast, Column, Expr, Field, Literal, Star
from wvflow.lang.stdlib import CASTS, EXTRACTED_UNITS, METHODS, OVER_GROUP, PARAMETERS, RESULT_OF_FIRST, RESULTS, Method
from wvflow.lang.types import LONG
from wvflow.semantics import expressions, functions, infer, mistakes, names
from wvflow.semantics.infer import type_of
from wvflow.semantics.scopes import Row, Scope, column
from wvflow.semantics.stage_values import of_stage
from wvflow.semantics.types import columns_of_type
from wvflow.source import Span
from wvflow.syntax import nodes as n

Args = tuple[n.CallArg, ...]
COUNT_ROWS = Call("count", (Star(),), type=LONG)


class Use(NamedTuple):
    """``receiver.name(args)`` in the text."""

    receiver: Expr
    name: n.Name
    args: Args
    span: Span
    scope: Scope

    @property
    def values(self) -> tuple[n.Expr, ...]:
        return tuple(one.value for one in self.args)


def member(operand: n.Expr, name: n.Name, args: Args | None, span: Span, scope: Scope) -> Expr:
    """The meaning of ``operand.name`` (``args`` None) or ``operand.name(args)``."""
    if isinstance(operand, n.Underscore):
        return _of_input(name, args, scope)
    if args is None and isinstance(operand, n.NameRef) and (value := of_stage(operand.name, name, scope)) is not None:
        return value
    if (row := _row(operand, scope)) is not None:
        if (method := _method_of_row(name, row, scope)) is not None:
            return functions.call_method(method, args or (), name, scope, row)
        if args is None and isinstance(operand, n.This):
            return _of_receiver(name, row, scope)
        if args is None and isinstance(operand, n.NameRef) and _qualifies(operand.name, name, scope):
            return _qualified(operand.name, name, scope)
    receiver = expressions.elaborate(operand, scope)
    if args is None and type_of(receiver).name == "struct" and _is_field(name, receiver, scope):
        return Field(receiver, name.text)
    return _method(Use(receiver, name, args or (), span, scope), bare=args is None)


# --- columns --------------------------------------------------------------------------------------------------------


def _of_input(name: n.Name, args: Args | None, scope: Scope) -> Expr:
    """``_.name``: a column of the input or a value over the whole group."""
    if scope.for_argument:
        return _of_row(name, args, scope)
    if not args and name.text == "count" and scope.column("count") is None:
        return COUNT_ROWS
    row = None if scope.rows is None else Row(scope.rows)
    if row is not None and (method := _method_of_row(name, row, scope)) is not None:
        return functions.call_method(method, args or (), name, scope, row)
    if args is not None:
        return _over_group(name, args, scope)
    if scope.rows is None or (scope.is_known and scope.column(name.text) is None):
        scope.session.report(mistakes.unknown_column(name.text, name.span, scope.known))
        return Column(name.text)
    return names.column(name, scope)


def _row(operand: n.Expr, scope: Scope) -> Row | None:
    """The row that stands before a dot: by the name of its source, or as the receiver of the method around."""
    match operand:
        case n.This():
            return scope.this if isinstance(scope.this, Row) else None
        case n.NameRef(name=name) if name.quoted or name.text not in scope.locals:
            rows = scope.qualified(name.text)
            return None if rows is None else Row(rows, name.text)
        case _:
            return None


def _method_of_row(name: n.Name, row: Row, scope: Scope) -> functions.Method | None:
    """The method of the declared type of rows that a name means, where it is no column of theirs."""
    if not row.rows.row_type or column(row.rows.columns or (), name.text) is not None:
        return None
    return functions.method_of_row(name.text, row.rows.row_type, scope.session)


def _of_receiver(name: n.Name, row: Row, scope: Scope) -> Expr:
    """``this.name`` in a method of a row."""
    own = scope.over(row.rows)
    if row.rows.columns is not None and own.column(name.text) is None:
        scope.session.report(mistakes.unknown_column(name.text, name.span, row.rows.columns))
    return names.column(name, own, row.table)


def _is_field(name: n.Name, receiver: Expr, scope: Scope) -> bool:
    """Whether a name behind a struct is a field of it rather than a method."""
    if name.text in CASTS:
        return False
    type_ = type_of(receiver)
    declared = [one.name.text for one in columns_of_type(type_.named, scope.session)] if type_.named else []
    return name.text in declared or functions.method(name.text, type_, scope.session) is None


def _of_row(name: n.Name, args: Args | None, scope: Scope) -> Expr:
    """``_.name`` in an argument of an activity: the value in the one input row."""
    if args is not None:
        scope.session.report(mistakes.not_available(f"_.{name.text}(…)", name.span))
        return names.NOTHING
    if scope.rows and scope.rows.columns is not None and scope.column(name.text) is None:
        scope.session.report(mistakes.unknown_column(name.text, name.span, scope.known))
    scope.session.use(name.text, name.span)
    found = scope.column(name.text)
    return a.Cell(a.Piped(), name.text, found.type) if found else a.Cell(a.Piped(), name.text)


def _over_group(name: n.Name, args: Args, scope: Scope) -> Expr:
    """``_.f(args)`` with an aggregate of several arguments (8.3)."""
    called = expressions.function(OVER_GROUP.get(name.text, name.text), (), args, scope)
    if name.text == "count_distinct":
        return Call("count", called.args, distinct=True, type=LONG)
    return called


def _qualifies(qualifier: n.Name, name: n.Name, scope: Scope) -> bool:
    """Whether ``qualifier.name`` is a column of a relation, or can only be meant as one."""
    rows = scope.qualified(qualifier.text)
    if rows is None:
        return False
    return rows.columns is None or scope.over(rows).column(name.text) is not None or not _is_value(qualifier, scope)


def _is_value(name: n.Name, scope: Scope) -> bool:
    return scope.column(name.text) is not None or name.text in scope.values


def _qualified(qualifier: n.Name, name: n.Name, scope: Scope) -> Expr:
    rows = scope.qualified(qualifier.text)
    if rows and rows.columns is not None and scope.over(rows).column(name.text) is None:
        scope.session.report(mistakes.unknown_column(name.text, name.span, rows.columns))
        return Column(name.text)
    return names.column(name, scope, qualifier.text)


# --- methods --------------------------------------------------------------------------------------------------------


def _method(use: Use, *, bare: bool) -> Expr:
    name, session = use.name.text, use.scope.session
    if (defined := functions.method(name, type_of(use.receiver), session)) is not None:
        return functions.call_method(defined, use.args, use.name, use.scope, use.receiver)
    use = use._replace(args=_by_position(use))
    if (target := CASTS.get(name)) and _counted(use, 0, 0):
        return Cast(use.receiver, target)
    if (special := _SPECIAL.get(name)) is not None:
        return special(use)
    if (known := METHODS.get(name)) is not None:
        return _standard(known, use)
    if (defined := functions.method_of_any(name, type_of(use.receiver), session)) is not None:
        return functions.call_method(defined, use.args, use.name, use.scope, use.receiver)
    if bare and _may_have_fields(use.receiver) and name not in RESULTS and name not in RESULT_OF_FIRST:
        return Field(use.receiver, name)
    use.scope.session.use(name, use.name.span)
    return expressions.function(name, (use.receiver,), use.args, use.scope)


def _may_have_fields(receiver: Expr) -> bool:
    return isinstance(receiver, Column | Field | a.Index) and not receiver.type.is_known


def _by_position(use: Use) -> Args:
    """The arguments of a method of the standard library in the order of its parameters."""
    parameters = PARAMETERS.get(use.name.text, ())
    if not parameters or not any(one.name for one in use.args):
        return use.args
    found = dict(zip(parameters, [one for one in use.args if one.name is None], strict=False))
    for one in use.args:
        if one.name is not None and one.name.text not in parameters:
            found_ = mistakes.unknown_function_argument(use.name.text, one.name.text, one.name.span, parameters)
            use.scope.session.report(found_)
        elif one.name is not None:
            found[one.name.text] = n.CallArg(value=one.value, span=one.span)
    return tuple([found[name] for name in parameters if name in found])


def _standard(method: Method, use: Use) -> Expr:
    if method.dialects and use.scope.session.catalog.engine not in method.dialects:
        found = mistakes.not_in_dialect(use.name.text, use.scope.session.catalog.engine, method.dialects, use.name.span)
        use.scope.session.report(found)
    _counted(use, method.least, method.most)
    receiver = (use.receiver,) if method.receiver else ()
    called = expressions.function(method.function, receiver, use.args, use.scope)
    args = called.args
    if method.default is not None and not use.args:
        args = (*args, Literal(method.default, LONG))
    return Call(method.function, args, called.named, method.distinct, called.type)


def _counted(use: Use, least: int, most: int) -> bool:
    """Whether the number of arguments is right; else it is reported."""
    if least <= len(use.args) <= most:
        return True
    wanted = "no argument" if most == 0 else f"{least} arguments" if least == most else f"{least} to {most} arguments"
    wanted = "1 argument" if least == most == 1 else wanted
    use.scope.session.report(mistakes.wrong_argument_count(use.name.text, wanted, len(use.args), use.name.span))
    return False


def _count(use: Use) -> Expr:
    """``x.count`` counts rows, nulls too; with an argument it is the engine's."""
    return expressions.function("count", (), use.args, use.scope) if use.args else COUNT_ROWS


def _in(use: Use) -> Expr:
    return expressions.contained(use.receiver, use.values, use.scope, negated=use.name.text == "not_in")


def _between(use: Use) -> Expr:
    if not _counted(use, 2, 2):
        return names.NOTHING
    low, high = (expressions.elaborate(one, use.scope) for one in use.values)
    return a.Between(use.receiver, low, high)


def _like(use: Use) -> Expr:
    if not _counted(use, 1, 1):
        return names.NOTHING
    return a.Like(use.receiver, expressions.elaborate(use.values[0], use.scope))


def _get(use: Use) -> Expr:
    if not _counted(use, 1, 1):
        return names.NOTHING
    index = expressions.elaborate(use.values[0], use.scope)
    return a.Index(use.receiver, index, infer.member(type_of(use.receiver)))


def extracted(node: n.CallExpr, scope: Scope) -> Expr:
    """``extract('day', d)``, which SQL has no plain call for."""
    unit, operand = (one.value for one in node.args)
    receiver = expressions.elaborate(operand, scope)
    return _extract(Use(receiver, node.function, (n.CallArg(value=unit, span=unit.span),), node.span, scope))


def _extract(use: Use) -> Expr:
    match use.values:
        case (n.StringLiteral(value=unit),) if unit.lower() in EXTRACTED_UNITS:
            return a.Extract(unit.lower(), use.receiver)
        case (n.StringLiteral(value=unit, span=span),):
            help_ = mistakes.did_you_mean(unit, EXTRACTED_UNITS, "such as 'year', 'month' or 'hour'")
            use.scope.session.report(mistakes.unknown_unit(unit, span, help_))
        case _:
            use.scope.session.report(mistakes.unit_wanted(use.span))
    return names.NOTHING


def _exists(use: Use) -> Expr:
    if not isinstance(use.receiver, a.ScalarQuery):
        return expressions.function(use.name.text, (use.receiver,), use.args, use.scope)
    return a.Exists(use.receiver.query, negated=use.name.text == "not_exists")


def _exclude(use: Use) -> Expr:
    """The members of an array that aren't in another one."""
    if not _counted(use, 1, 1):
        return names.NOTHING
    other = expressions.elaborate(use.values[0], use.scope)
    return Call("array_except", (use.receiver, other), type=type_of(use.receiver))


_SPECIAL: Mapping[str, Callable[[Use], Expr]] = MappingProxyType(
    {
        "count": _count,
        "in": _in,
        "not_in": _in,
        "between": _between,
        "like": _like,
        "get": _get,
        "extract": _extract,
        "exists": _exists,
        "not_exists": _exists,
        "exclude": _exclude,
    }
)
