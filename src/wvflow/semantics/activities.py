"""Activities: what is declared against what is registered, and calls of them (flow language, section 4)."""

from __future__ import annotations

from dataclasses import replace

from wvflow.lang.algebra import Column, Expr
from wvflow.lang.catalog import SCALAR_COLUMN, ActivitySignature
from wvflow.lang.evaluate import is_static
from wvflow.lang.relations import nodes
from wvflow.lang.types import UNKNOWN, Type
from wvflow.plan.nodes import Argument
from wvflow.semantics import expressions, mistakes
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.arguments import Callee, Formal, bind, check_choice, check_type, fits
from wvflow.semantics.checked import CallStep, Settings
from wvflow.semantics.infer import type_of
from wvflow.semantics.models import read_params
from wvflow.semantics.properties import check_foreign, read_settings
from wvflow.semantics.scopes import Col, Columns, Scope, Shape
from wvflow.semantics.session import Session
from wvflow.semantics.types import resolve_type
from wvflow.syntax.nodes import ActivityDef, CallArg, CallExpr


def check_declaration(node: ActivityDef, session: Session) -> Settings:
    """A declared activity's settings. That it has an implementation, and one with its parameters, is checked."""
    name = node.name
    registered = session.catalog.activities.get(name.text)
    if node.implementation is not None:
        what = f"activity … = {node.implementation.function.text}(…)"
        session.report(mistakes.not_available(what, node.implementation.span, "write a Python function for it"))
    elif registered is None:
        session.report(flow_mistakes.activity_undefined(name.text, name.span, session.catalog.modules))
    else:
        _check_params(node, registered, session)
        _check_result(node, registered, session)
    return read_settings(node.configs, "activity", session).values


def _check_params(node: ActivityDef, registered: ActivitySignature, session: Session) -> None:
    """The declared parameters are the function's; one that the function needs isn't left out."""
    declared, known = {one.name.text for one in node.params}, {one.name for one in registered.parameters}
    for param in node.params:
        if not registered.open and param.name.text not in known:
            session.report(flow_mistakes.unused_parameter(node.name.text, param.name.text, param.name.span))
    for one in registered.parameters if node.params else ():
        if one.required and one.name not in declared:
            session.report(flow_mistakes.parameter_left_out(node.name.text, one.name, node.name.span))


def _check_result(node: ActivityDef, registered: ActivitySignature, session: Session) -> None:
    """The declared type is that of the one value which the function gives."""
    declared = resolve_type(node.result, session)
    if node.result is None or not declared.is_known or registered.returns == "unknown":
        return
    found = registered.result if registered.returns == "scalar" else registered.returns
    if not isinstance(found, Type) or not fits(Formal("", declared), found):
        session.report(flow_mistakes.other_result(node.name.text, declared, found, node.result.span))


def call_activity(
    call: CallExpr, shape: Shape, scope: Scope, *, piped: bool, apart: bool
) -> tuple[CallStep, Columns] | None:
    """A call of an activity over rows of a shape, and what it makes of the columns; None when there is no such.

    ``piped`` is false for ``call f(…)`` as an input, which has no rows. ``apart``: in a pipe, but not given the rows.
    """
    session, name = scope.session, call.function
    declared = session.definitions.activities.get(name.text)
    registered = session.catalog.activities.get(name.text)
    if declared is None and registered is None:
        if any(name.text == flow for flow, _ in session.definitions.flows):
            refused = mistakes.not_available(
                f"call {name.text}(…)", name.span, "activities can be called, flows not yet"
            )
            session.report(refused)
            return None
        known = [*session.definitions.activities, *session.catalog.activities]
        modules = session.catalog.modules
        session.report(flow_mistakes.unknown_activity(name.text, name.span, known, modules))
        return None
    if registered is not None:
        check_foreign(registered.properties, f"the decorator of `{name.text}`", "activity", name.span, session)
        if registered.takes_rows and (apart or not piped):
            session.report(flow_mistakes.needs_rows(name.text, name.span))
    arguments = _arguments(call, declared, registered, replace(scope.over(shape), for_argument=True), piped=piped)
    return CallStep(name.text, arguments, piped, apart), _result(declared, registered, shape, session)


def _result(
    declared: ActivityDef | None, registered: ActivitySignature | None, shape: Shape, session: Session
) -> Columns:
    """The columns behind a call: those of its input when it returns nothing, one for a single value."""
    if registered is None or registered.returns not in ("nothing", "scalar"):
        return None
    if registered.returns == "nothing":
        return shape.columns
    written = resolve_type(declared.result, session) if declared is not None else UNKNOWN
    return (Col(SCALAR_COLUMN, written if written.is_known else registered.result),)


def _arguments(
    call: CallExpr,
    declared: ActivityDef | None,
    registered: ActivitySignature | None,
    scope: Scope,
    *,
    piped: bool,
) -> tuple[Argument, ...]:
    """The arguments in the order of the parameters; defaults of the declaration stand for those left out."""
    name, session = call.function.text, scope.session
    callee, defaults = _callee(name, declared, registered, session)
    bound = bind(callee, call.args, call.function.span, session)
    values = {formal.name: defaults[formal.name] for formal in callee.formals if formal.name in defaults}
    for parameter, arg in bound.items():
        values[parameter] = _value(arg, scope, piped=piped)
        check_type(callee, parameter, type_of(values[parameter]), arg.value.span, session)
        check_choice(callee, parameter, values[parameter], arg.value.span, session)
    order = [formal.name for formal in callee.formals if formal.name in values]
    order += [parameter for parameter in values if callee.formal(parameter) is None]
    return tuple(Argument(parameter, values[parameter]) for parameter in order)


def _callee(
    name: str, declared: ActivityDef | None, registered: ActivitySignature | None, session: Session
) -> tuple[Callee, dict[str, Expr]]:
    """What can be called, from the declaration if it has parameters, else from the annotations."""
    if declared is not None and declared.params:
        params = read_params(declared.params, session)
        choices = {one.name: one.choices for one in registered.parameters} if registered else {}
        formals = tuple(
            Formal(one.name, one.type, required=one.default is None, choices=choices.get(one.name, ()))
            for one in params
        )
        return Callee(name, formals), {one.name: one.default for one in params if one.default is not None}
    if registered is None:
        return Callee(name, (), open=True), {}
    formals = tuple(
        Formal(one.name, one.type, one.required, one.nullable, one.choices) for one in registered.parameters
    )
    return Callee(name, formals, registered.open), {}


def _value(arg: CallArg, scope: Scope, *, piped: bool) -> Expr:
    """An argument: a value without rows, or ``_.col``, the one in the one input row."""
    value = expressions.elaborate(arg.value, scope)
    of_row = any(isinstance(node, Column) for node in nodes(value))
    if isinstance(value, Column) and value.table == "_":
        if not piped:
            scope.session.report(flow_mistakes.no_input_row(arg.value.span))
    elif not is_static(value):
        refused = flow_mistakes.argument_over_rows if of_row else flow_mistakes.argument_needs_engine
        scope.session.report(refused(arg.value.span))
    return value
