"""Activities: what a name behind a pipe means, what is declared of it, and calls of it (flow language, section 4).

A call is carried out by a function: a registered one, or a built-in one, whose key stands in the step. Where a
declaration says ``= http(url: …)``, the call's arguments are values of the declared parameters, and the function's
arguments are made of those.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from msgspec import structs

from wvflow.lang import builtins
from wvflow.lang.algebra import Cast, Cell, Column, Expr, Item, Literal, Piped, Select
from wvflow.lang.catalog import SCALAR_COLUMN, ActivitySignature
from wvflow.lang.evaluate import is_static
from wvflow.lang.keys import RUN_SIGNAL
from wvflow.lang.relations import nodes, rebuilt
from wvflow.lang.types import STRING, UNKNOWN, Type
from wvflow.plan.nodes import FlowParam
from wvflow.plan.tasks import Argument
from wvflow.semantics import expressions
from wvflow.semantics import mistakes_of_calls as flow_mistakes
from wvflow.semantics.arguments import Callee, Formal, Missing, bind, check_choice, check_type, fits
from wvflow.semantics.checked import CallStep, Settings
from wvflow.semantics.checks.bounds import check_bounds, check_heartbeat
from wvflow.semantics.infer import type_of
from wvflow.semantics.mistakes import missing_argument
from wvflow.semantics.models import read_params, values_of
from wvflow.semantics.properties import check_foreign, read_settings
from wvflow.semantics.scopes import Col, Relation, Scope, Shape
from wvflow.semantics.session import Session
from wvflow.semantics.types import resolve_type
from wvflow.source import Span
from wvflow.syntax.nodes import ActivityDef, CallArg, CallExpr, Name, NameRef, StringLiteral

_SIGNAL = "signal"


class Target(NamedTuple):
    """What is called. ``function``: the key of what carries it out, where that isn't the registered function of its
    name. ``signature``: that function's, None where there is none."""

    name: str
    declared: ActivityDef | None
    signature: ActivitySignature | None
    function: str = ""


def find(name: str, session: Session) -> Target | None:
    """A declared activity, else a registered one, else a built-in one."""
    declared = session.definitions.activities.get(name)
    registered = session.catalog.activities.get(name)
    if declared is not None and declared.implementation is not None:
        key, signature = builtins.ACTIVITIES.get(declared.implementation.function.text, ("", None))
        return Target(name, declared, signature, key)
    if declared is not None or registered is not None:
        return Target(name, declared, registered)
    if name in builtins.ACTIVITIES:
        key, signature = builtins.ACTIVITIES[name]
        return Target(name, None, signature, key)
    return None


# --- declarations ---------------------------------------------------------------------------------------------------


def check_declaration(node: ActivityDef, session: Session) -> Settings:
    """A declared activity's settings. That it has an implementation, and one with its parameters, is checked."""
    name = node.name
    registered = session.catalog.activities.get(name.text)
    if node.implementation is not None:
        _check_implementation(node, node.implementation, session)
    elif registered is None:
        session.report(flow_mistakes.activity_undefined(name.text, name.span, session.catalog.modules))
    else:
        _check_params(node, registered, session)
        _check_result(node, registered, session)
    read = read_settings(node.configs, "activity", session)
    check_bounds(name.text, read.values, read.spans, {}, session)
    if node.implementation is not None and node.implementation.function.text in builtins.ACTIVITIES:
        check_heartbeat(name.text, builtins.ACTIVITIES[node.implementation.function.text][0], read.spans, session)
    return read.values


def _check_implementation(node: ActivityDef, call: CallExpr, session: Session) -> None:
    function = call.function
    if function.text not in builtins.ACTIVITIES:
        session.report(flow_mistakes.no_such_implementation(function.text, function.span, builtins.ACTIVITIES))
    else:
        key, signature = builtins.ACTIVITIES[function.text]
        arguments = _implemented(call, signature, read_params(node.params, session), session)
        _check_result(node, _told_apart(signature, key, arguments), session)


def _check_params(node: ActivityDef, registered: ActivitySignature, session: Session) -> None:
    """The declared parameters are the function's; one that the function needs isn't left out."""
    declared, known = {one.name.text for one in node.params}, {one.name for one in registered.parameters}
    for param in node.params:
        if not registered.open and param.name.text not in known:
            session.report(flow_mistakes.unused_parameter(node.name.text, param.name.text, param.name.span))
    for one in registered.parameters if node.params else ():
        if one.required and one.name not in declared:
            session.report(flow_mistakes.parameter_left_out(node.name.text, one.name, node.name.span))


def _check_result(node: ActivityDef, function: ActivitySignature, session: Session) -> None:
    """The declared type is that of the one value which the function gives."""
    declared = resolve_type(node.result, session)
    if node.result is None or not declared.is_known or function.returns == "unknown":
        return
    found = function.result if function.returns == "scalar" else function.returns
    if not isinstance(found, Type) or not fits(Formal("", declared), found):
        session.report(flow_mistakes.other_result(node.name.text, declared, found, node.result.span))


# --- calls ----------------------------------------------------------------------------------------------------------


def call_activity(
    call: CallExpr, shape: Shape, scope: Scope, *, piped: bool, apart: bool
) -> tuple[CallStep, Relation] | None:
    """A call of an activity over rows of a shape, and the rows behind it; None when there is no such.

    ``piped`` is false for ``call f(…)`` as an input, which has no rows. ``apart``: in a pipe, but not given the rows.
    """
    target = find(call.function.text, scope.session)
    if target is None:
        report_unknown(call.function, scope.session)
        return None
    _check_use(target, call.function.span, scope.session, has_rows=piped and not apart)
    own = None if piped else scope.instance
    inside = replace(scope.over(shape if own is None else own.shape), for_argument=True)
    given, arguments = _bound(target, call, inside, piped=piped)
    step = CallStep(target.name, arguments, piped, apart, target.function, given)
    return step, _result(target, step, shape, scope.session)


def report_unknown(name: Name, session: Session) -> None:
    """That there is no activity of that name."""
    if any(name.text == flow for flow, _ in session.definitions.flows):
        session.report(flow_mistakes.flow_as_activity(name.text, name.span))
        return
    registered = [one for one in session.catalog.activities if one.isidentifier()]
    flows = [flow for flow, _ in session.definitions.flows]
    known = [*session.definitions.activities, *registered, *builtins.ACTIVITIES, *flows]
    session.report(flow_mistakes.unknown_activity(name.text, name.span, known, session.catalog.modules))


def _check_use(target: Target, use: Span, session: Session, *, has_rows: bool) -> None:
    if (signature := target.signature) is not None:
        check_foreign(signature.properties, f"the decorator of `{target.name}`", "activity", use, session)
        if signature.takes_rows and not has_rows:
            session.report(flow_mistakes.needs_rows(target.name, use))


def _bound(
    target: Target, call: CallExpr, scope: Scope, *, piped: bool
) -> tuple[tuple[Argument, ...], tuple[Argument, ...]]:
    """The values of a declaration's parameters, where it has an implementation, and the arguments of the function."""
    declared = target.declared
    if declared is None or declared.implementation is None:
        call = _naming_a_signal(call, scope.values) if target.function == RUN_SIGNAL else call
        return (), read_arguments(call, *_callee(target, scope.session), scope, piped=piped)
    session = scope.session
    with session.within(declared.span), session.recording(), session.apart():  # its own findings are told at it
        params = read_params(declared.params, session)
        arguments = () if target.signature is None else _implemented(
            declared.implementation, target.signature, params, session
        )  # fmt: skip
    formals = tuple(Formal(one.name, one.type, required=one.default is None) for one in params)
    defaults = {one.name: one.default for one in params if one.default is not None}
    given = read_arguments(call, Callee(target.name, formals), defaults, scope, piped=piped)
    return tuple(_typed(one, params) for one in given), arguments


def _implemented(
    call: CallExpr, signature: ActivitySignature, params: tuple[FlowParam, ...], session: Session
) -> tuple[Argument, ...]:
    """The arguments behind the ``=`` of a declaration, made of its parameters."""
    call = _naming_a_signal(call, {one.name for one in params})
    scope = replace(Scope(session, values=values_of(params)), for_argument=True)
    return read_arguments(call, callee_of(signature), {}, scope, piped=False)


def _naming_a_signal(call: CallExpr, values: Collection[str]) -> CallExpr:
    """``signal(approve, …)`` names a signal as ``wait for`` does; a parameter of that name is one."""
    match call.args:
        case [CallArg(name=None, value=NameRef(name=name)) as first, *rest] if (
            call.function.text == _SIGNAL and name.text not in values
        ):
            text = StringLiteral(value=name.text, span=name.span)
            return structs.replace(call, args=(structs.replace(first, value=text), *rest))
        case _:
            return call


def _typed(given: Argument, params: tuple[FlowParam, ...]) -> Argument:
    """A text that writes a date or a number is one where the parameter says so."""
    wanted = next((one.type for one in params if one.name == given.name), UNKNOWN)
    written = type_of(given.value) == STRING and wanted.is_known and wanted != STRING
    return Argument(given.name, Cast(given.value, wanted)) if written and is_static(given.value) else given


def _result(target: Target, step: CallStep, shape: Shape, session: Session) -> Relation:
    """The rows behind a call: its input when it returns nothing, one column for a single value."""
    if target.signature is None:
        return Relation(Piped(), Shape())
    signature = _told_apart(target.signature, target.function, step.arguments)
    written = resolve_type(target.declared.result, session) if target.declared is not None else UNKNOWN
    if signature.returns == "nothing":
        return Relation(Piped(), Shape(shape.columns))
    if signature.returns == "scalar":
        return Relation(Piped(), Shape((Col(SCALAR_COLUMN, written if written.is_known else signature.result),)))
    if target.function and written.is_known:  # what comes from outside is made to be of the type
        value = Item(SCALAR_COLUMN, Cast(Column(SCALAR_COLUMN), written))
        return Relation(Select(Piped(), (value,)), Shape((Col(SCALAR_COLUMN, written),)))
    return Relation(Piped(), Shape())


def _told_apart(signature: ActivitySignature, key: str, arguments: tuple[Argument, ...]) -> ActivitySignature:
    """A command gives nothing unless its ``output`` is other than the log."""
    shell, _ = builtins.ACTIVITIES["shell"]
    output = next((one.value for one in arguments if one.name == "output"), Literal("log", STRING))
    logs = key == shell and isinstance(output, Literal) and output.value == "log"
    return structs.replace(signature, returns="nothing") if logs else signature


# --- arguments ------------------------------------------------------------------------------------------------------


def read_arguments(
    call: CallExpr,
    callee: Callee,
    defaults: Mapping[str, Expr],
    scope: Scope,
    *,
    piped: bool,
    missing: Missing = missing_argument,
) -> tuple[Argument, ...]:
    """The arguments in the order of the parameters; ``defaults`` stand for those left out."""
    session = scope.session
    bound = bind(callee, call.args, call.function.span, session, missing)
    values = {formal.name: defaults[formal.name] for formal in callee.formals if formal.name in defaults}
    for parameter, arg in bound.items():
        values[parameter] = _value(arg, scope, piped=piped)
        check_type(callee, parameter, type_of(values[parameter]), arg.value.span, session)
        check_choice(callee, parameter, values[parameter], arg.value.span, session)
    order = [formal.name for formal in callee.formals if formal.name in values]
    order += [parameter for parameter in values if callee.formal(parameter) is None]
    return tuple(Argument(parameter, values[parameter]) for parameter in order)


def _callee(target: Target, session: Session) -> tuple[Callee, dict[str, Expr]]:
    """What can be called, from the declaration if it has parameters, else from the function's."""
    declared, signature = target.declared, target.signature
    if declared is not None and declared.params:
        params = read_params(declared.params, session)
        choices = {one.name: one.choices for one in signature.parameters} if signature else {}
        formals = tuple(
            Formal(one.name, one.type, required=one.default is None, choices=choices.get(one.name, ()))
            for one in params
        )
        return Callee(target.name, formals), {one.name: one.default for one in params if one.default is not None}
    return (callee_of(signature) if signature is not None else Callee(target.name, (), open=True)), {}


def callee_of(signature: ActivitySignature) -> Callee:
    """A function as its caller sees it."""
    formals = tuple(Formal(one.name, one.type, one.required, one.nullable, one.choices) for one in signature.parameters)
    return Callee(signature.name, formals, signature.open)


def _value(arg: CallArg, scope: Scope, *, piped: bool) -> Expr:
    """An argument: an expression without rows, but for the values in the one input row and in that of a stage."""
    value = expressions.elaborate(arg.value, scope)
    if not piped and scope.instance is not None:
        value = _of_instance(value, scope.instance)
    if not piped and any(isinstance(node, Cell) and isinstance(node.rows, Piped) for node in nodes(value)):
        scope.session.report(flow_mistakes.no_input_row(arg.value.span))
    elif not is_static(value, cells=True):
        of_row = any(isinstance(node, Column) for node in nodes(value))
        refused = flow_mistakes.argument_over_rows if of_row else flow_mistakes.argument_needs_engine
        scope.session.report(refused(arg.value.span))
    return value


def _of_instance(value: Expr, row: Relation) -> Expr:
    """A value in which ``_`` is the row of an instance."""

    def change(new: Any, _: Any) -> Any:
        is_own = isinstance(new, Cell) and isinstance(new.rows, Piped)
        return structs.replace(new, rows=row.rel) if is_own else new

    found: Expr = rebuilt(value, change)
    return found
