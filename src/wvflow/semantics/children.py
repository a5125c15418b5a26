"""Calls of flows: which flow a name means, its arguments, and the rows behind (flow language, section 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from wvflow.lang.algebra import Call
from wvflow.lang.relations import nodes
from wvflow.lang.types import STRING
from wvflow.plan.graph import sortable
from wvflow.plan.refs import FlowRef
from wvflow.semantics import mistakes as base_mistakes
from wvflow.semantics import mistakes_of_calls as mistakes
from wvflow.semantics.activities import read_arguments
from wvflow.semantics.arguments import Callee, Formal
from wvflow.semantics.checked import CheckedFlow, CheckedStage, ChildStep
from wvflow.semantics.expressions import SECRET
from wvflow.semantics.models import read_params
from wvflow.semantics.properties import Read
from wvflow.semantics.scopes import Col, Columns, Scope, Shape
from wvflow.semantics.session import Session
from wvflow.semantics.versions import find_flow, flow_names
from wvflow.syntax.nodes import CallExpr, CallInput, CallOp, FlowDef, InvokeOp, StateOf
from wvflow.syntax.walk import walk

STARTED = (Col("flow", STRING), Col("run_id", STRING))
"""The columns of a stage that doesn't wait for its child."""


def is_flow(name: str, session: Session) -> bool:
    """Whether ``call name(…)`` means a flow: an activity that the program declares comes first."""
    return name in flow_names(session) and name not in session.definitions.activities


def call_flow(
    call: CallExpr, version: int | None, shape: Shape, scope: Scope, *, piped: bool, apart: bool
) -> tuple[ChildStep, Columns] | None:
    """A call of a flow over rows of a shape, and the columns behind it; None when there is no such flow."""
    session = scope.session
    ref = find_flow(call.function, version, session)
    if ref is None:
        return None
    own = None if piped else scope.instance
    inside = replace(scope.over(shape if own is None else own.shape), for_argument=True)
    arguments = read_arguments(call, callee(ref, session), {}, inside, piped=piped)
    if any(isinstance(node, Call) and node.function == SECRET for node in nodes(arguments)):
        session.report(base_mistakes.secret_misplaced(call.span))  # a run's parameters stand in its journal
    return ChildStep(ref, arguments, piped, apart), STARTED if scope.detach else _columns_behind(ref, session)


def _columns_behind(ref: FlowRef, session: Session) -> Columns:
    recorded = session.catalog.recorded.get((ref.flow, ref.version))
    if ref in session.flow_columns or recorded is None or recorded.columns is None:
        return session.flow_columns.get(ref)
    return tuple(Col(name, type_) for name, type_ in recorded.columns)


def callee(ref: FlowRef, session: Session) -> Callee:
    """A flow as its caller sees it; what is wrong with its parameters is told at the flow."""
    if (flow := session.definitions.flows.get((ref.flow, ref.version))) is None:
        recorded = session.catalog.recorded[ref.flow, ref.version]
        return Callee(ref.flow, tuple(Formal(one.name, one.type, required=one.required) for one in recorded.parameters))
    with session.within(flow.span), session.recording(), session.apart():
        params = read_params(flow.params, session)
    formals = tuple(Formal(one.name, one.type, required=one.default is None) for one in params)
    return Callee(ref.flow, formals)


def check_closing(stage: CheckedStage, read: Read, session: Session) -> None:
    """What only a child is asked for means nothing to a stage that starts none."""
    if any(isinstance(step, ChildStep) for step in stage.steps):
        return
    for name in ("parent_close", "detach"):
        if name in read.values:
            session.report(mistakes.without_child(name, stage.name, read.spans[name]))


def columns_of(flow: CheckedFlow) -> Columns:
    """Those of its output, where they are known."""
    output = next((stage for stage in flow.stages if stage.name == flow.output), None)
    return None if output is None or output.shape is None else tuple(Col(name, type_) for name, type_ in output.shape)


def before(flow: FlowDef) -> list[str]:
    """The flows that a header names."""
    named = [] if flow.trigger is None else [one.name for one in walk(flow.trigger) if isinstance(one, StateOf)]
    return [one.text for one in (*flow.depends, *named)]


def called_first(flows: Mapping[tuple[str, int], FlowDef]) -> list[FlowDef]:
    """Each flow after those that it calls, or reads, as it sees their columns; of flows that call each other, as they
    stand."""
    keys = list(flows)
    edges = [[keys.index(one) for one in _called(flows[key], keys) if one != key] for key in keys]
    order = sortable(edges)
    rest = [number for number in range(len(keys)) if number not in set(order)]
    return [flows[keys[number]] for number in (*order, *rest)]


def _called(flow: FlowDef, keys: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    names = {*before(flow), *calls(flow)}
    return (key for key in keys if key[0] in names)


def calls(flow: FlowDef) -> frozenset[str]:
    """What the stages of a flow call by name, or jump to: flows, and activities behind `call`."""
    called = (node.call.function.text for node in walk(flow) if isinstance(node, InvokeOp | CallOp | CallInput))
    return frozenset(called)
