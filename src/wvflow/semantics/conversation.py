"""What can be told to a run: its state, signals and updates (flow language, section 8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from wvflow.lang.algebra import Expr, Value
from wvflow.lang.evaluate import is_static
from wvflow.lang.relations import nodes
from wvflow.lang.types import BOOLEAN, NULL
from wvflow.plan.nodes import PAUSED, Assignment, FlowParam, SignalPlan, UpdatePlan
from wvflow.semantics import expressions, mistakes
from wvflow.semantics import mistakes_of_conversations as flow_mistakes
from wvflow.semantics.activities import call_activity
from wvflow.semantics.arguments import Formal, fits
from wvflow.semantics.checked import CheckedCall, CheckedStage, Conversation, SignalStep, StateStep
from wvflow.semantics.infer import type_of
from wvflow.semantics.models import read_params, values_of
from wvflow.semantics.names import NOTHING
from wvflow.semantics.scopes import Scope, Shape
from wvflow.semantics.session import Session
from wvflow.syntax import nodes as n

SET = "set_"
M = TypeVar("M", n.SignalDef, n.UpdateDef)


def read_conversation(flow: n.FlowDef, params: tuple[FlowParam, ...], session: Session) -> Conversation:
    """The state, signals and updates of a flow. What is wrong with them is reported."""
    around = Scope(session, values=values_of(params), for_state=True)
    state = _read_state(flow, around)
    scope = replace(around, state=values_of((PAUSED, *state)))
    signals = _distinct([one for one in flow.items if isinstance(one, n.SignalDef)], session)
    updates = _distinct([one for one in flow.items if isinstance(one, n.UpdateDef)], session)
    distinct = list(updates)
    return Conversation(
        state,
        tuple(_signal(one, scope) for one in signals),
        tuple(_update(one, scope) for one in distinct),
        tuple(call for one in distinct if (call := _call(one, scope)) is not None),
    )


def _read_state(flow: n.FlowDef, scope: Scope) -> tuple[FlowParam, ...]:
    """The variables, each with its type and what it begins with: an expression over the flow's parameters."""
    written = [one.variable for one in flow.items if isinstance(one, n.StateDef)]
    taken = {one.name.text: one.name for one in flow.params}
    for one in written:
        if one.name.text == PAUSED.name:
            scope.session.report(flow_mistakes.paused_is_there(one.name.span))
        elif (first := taken.get(one.name.text)) is not None:
            scope.session.report(mistakes.duplicate_name(one.name.text, "flow", one.name.span, first.span))
    variables = {one.name.text: Value(one.name.text) for one in written}  # named here, they have no value yet
    found = read_params(tuple(written), scope.session, replace(scope, for_state=False, state=variables))
    places = {one.name.text: one for one in written}
    for variable in found:
        if variable.default is not None:
            _check_static(variable.default, places[variable.name], scope.session)
    return tuple(one for one in found if one.name != PAUSED.name)


def _distinct(written: Iterable[M], session: Session) -> Iterator[M]:
    """Of several with one name the first."""
    named: dict[str, M] = {}
    for one in written:
        first = named.setdefault(one.name.text, one)
        if first is one:
            yield one
        else:
            session.report(mistakes.duplicate_name(one.name.text, "flow", one.name.span, first.name.span))


def _signal(node: n.SignalDef, scope: Scope) -> SignalPlan:
    params, inside = _inside(node, scope)
    return SignalPlan(node.name.text, params, _actions(node.actions, inside))


def _update(node: n.UpdateDef, scope: Scope) -> UpdatePlan:
    params, inside = _inside(node, scope)
    actions = node.actions[:-1] if _ends_with_a_call(node) else node.actions
    condition = None if node.condition is None else _condition(node.condition, inside)
    text = "" if node.condition is None else " ".join(node.condition.span.text.split())
    return UpdatePlan(node.name.text, params, _actions(actions, inside), condition, text)


def _ends_with_a_call(node: n.UpdateDef) -> bool:
    return not node.actions[-1].function.text.startswith(SET)


def _call(node: n.UpdateDef, scope: Scope) -> CheckedCall | None:
    """The activity that an update ends with, called with its arguments and the state as it is then."""
    if not _ends_with_a_call(node):
        return None
    with scope.session.apart():
        _, inside = _inside(node, scope)  # its own findings are told with its actions
    with scope.session.recording() as record:
        called = call_activity(node.actions[-1], Shape(), inside, piped=False, apart=False)
    return None if called is None else CheckedCall(node.name.text, called[0], tuple(record.uses))


def _inside(node: n.SignalDef | n.UpdateDef, scope: Scope) -> tuple[tuple[FlowParam, ...], Scope]:
    """The parameters of a message, and where its actions are read: these hide what has their names."""
    params = read_params(node.params, scope.session)
    for param, written in zip(params, node.params, strict=False):
        if param.default is not None and any(isinstance(one, Value) for one in nodes(param.default)):
            scope.session.report(mistakes.default_not_constant(param.name, written.span))
    return params, replace(scope, values={**scope.values, **values_of(params)})


def _condition(node: n.Expr, scope: Scope) -> Expr | None:
    found = expressions.elaborate(node, scope)
    type_ = type_of(found)
    if type_.is_known and type_ not in (BOOLEAN, NULL):
        scope.session.report(flow_mistakes.update_condition_wanted(type_, node.span))
    return found if _check_static(found, node, scope.session) else None


def _actions(calls: Sequence[n.CallExpr], scope: Scope) -> tuple[Assignment, ...]:
    """``set_x(expr)`` each, and each variable once."""
    found: dict[str, Assignment] = {}
    first: dict[str, n.CallExpr] = {}
    for call in calls:
        if (assignment := _action(call, scope)) is None:
            continue
        before = first.setdefault(assignment.variable, call)
        if before is not call:
            scope.session.report(flow_mistakes.set_twice(assignment.variable, call.span, before.span))
        found.setdefault(assignment.variable, assignment)
    return tuple(found.values())


def _action(call: n.CallExpr, scope: Scope) -> Assignment | None:
    session, name = scope.session, call.function
    if call.receiver is not None or not name.text.startswith(SET):
        session.report(flow_mistakes.no_action(name.text, call.span))
        return None
    variable = scope.state.get(name.text.removeprefix(SET))
    if not isinstance(variable, Value):
        session.report(flow_mistakes.unknown_variable(name.text, name.span, [SET + one for one in scope.state]))
        return None
    values = [one.value for one in call.args if one.name is None]
    if len(values) != 1 or len(call.args) != 1:
        session.report(flow_mistakes.one_value_wanted(name.text, len(call.args), call.span))
        return None
    found = expressions.elaborate(values[0], scope)
    if not fits(Formal(variable.name, variable.type), type_of(found)):
        session.report(flow_mistakes.mistyped_state(variable.name, variable.type, type_of(found), values[0].span))
    return Assignment(variable.name, found) if _check_static(found, values[0], session) else None


def _check_static(found: Expr, node: n.SyntaxNode, session: Session) -> bool:
    """Whether it has a value without rows and without an engine."""
    if any(one is NOTHING for one in nodes(found)):
        return False  # reported already
    if not is_static(found):
        session.report(flow_mistakes.handler_needs_rows(node.span))
        return False
    return True


# --- all of a flow --------------------------------------------------------------------------------------------------


def check_conversation(flow: n.FlowDef, found: Conversation, stages: Sequence[CheckedStage], session: Session) -> None:
    """Warn of what nobody hears, and of waits for what nothing sets."""
    steps = [step for stage in stages for step in stage.steps]
    heard = {step.signal for step in steps if isinstance(step, SignalStep)}
    places: Mapping[str, n.Name] = {one.name.text: one.name for one in flow.items if isinstance(one, n.SignalDef)}
    actions = {one.name.text for one in flow.items if isinstance(one, n.SignalDef) and one.actions}
    for signal in found.signals if not flow.broken else ():
        if signal.name not in heard | actions:
            session.report(flow_mistakes.unheard_signal(signal.name, places[signal.name].span))
    actions_of_all = [told.actions for told in found.signals] + [told.actions for told in found.updates]
    set_by_somebody = {PAUSED.name, *[one.variable for several in actions_of_all for one in several]}
    for step in steps:
        if isinstance(step, StateStep) and not flow.broken:
            names = [one.name for one in nodes(step.condition) if isinstance(one, Value)]
            awaited = [name for name in names if name in {PAUSED.name, *[one.name for one in found.state]}]
            if awaited and not set_by_somebody.intersection(awaited):
                session.report(flow_mistakes.never_set(awaited, step.span))
