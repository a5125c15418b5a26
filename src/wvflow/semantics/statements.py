"""Statements of a file, one after the other: queries with their updates, and commands (query reference, 2.1, 4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import msgspec

from wvflow.lang.algebra import Table
from wvflow.lang.summaries import SUMMARY
from wvflow.plan.refs import FlowRef
from wvflow.plan.tasks import Save
from wvflow.semantics import expressions, mistakes, relations
from wvflow.semantics.checked import (
    AppendTo,
    CheckedExecute,
    CheckedExplain,
    CheckedFlowCall,
    CheckedQuery,
    CheckedStatement,
    CheckedUse,
    ChildStep,
    DeleteFrom,
    ShownText,
    Update,
)
from wvflow.semantics.children import call_flow, is_flow
from wvflow.semantics.models import read_models_of
from wvflow.semantics.scopes import Col, Columns, Relation, Scope, Shape
from wvflow.semantics.session import Record, Session
from wvflow.semantics.updates import columns_saved, deleted, read_save, read_target
from wvflow.source import Span
from wvflow.syntax import nodes as n

Executable: TypeAlias = (
    n.QueryStatement
    | n.RunFlowStatement
    | n.CallFlowStatement
    | n.ExecuteStatement
    | n.UseStatement
    | n.ExplainStatement
    | n.ShowQueryStatement
)


def executable(statement: n.Statement) -> bool:
    """Whether running a file does something with the statement."""
    return isinstance(statement, Executable)


def check_statements(source: str, session: Session) -> Iterator[CheckedStatement]:
    """All executable statements of a file, in order. What one changes (`use`, `select as`) counts for those behind."""
    catalog, session.selected, session.saved = session.catalog, {}, {}
    for statement in session.program.statements(source):
        if isinstance(statement, Executable):
            yield check_statement(statement, session)
    session.catalog, session.selected, session.saved = catalog, {}, {}


def check_statement(statement: Executable, session: Session) -> CheckedStatement:
    """One statement. What is wrong with it goes to the session."""
    read_models_of([statement], session)
    with session.within(statement.span), session.numbering():
        match statement:
            case n.QueryStatement():
                return check_query(statement, session)
            case n.RunFlowStatement() | n.CallFlowStatement():
                return _run_flow(statement, session)
            case n.ExecuteStatement():
                return _execute(statement, session)
            case n.UseStatement():
                return _use(statement, session)
            case n.ExplainStatement():
                return _explain(statement, session)
            case n.ShowQueryStatement():
                return _shown(statement, session)


# --- queries --------------------------------------------------------------------------------------------------------


def check_query(node: n.QueryStatement, session: Session) -> CheckedQuery | CheckedFlowCall:
    """A statement that is a query, with the update or `select as` that may end it. Activities run in flows only."""
    with session.recording() as record:
        body = relations.unwrapped(node.query, Scope(session))
        source = None if isinstance(body.input, n.CallInput) else body.input
        if isinstance(body.input, n.CallInput):
            session.report(mistakes.activity_outside_flow(body.input.call.function.text, body.input.span))
        found = relations.beginning(source, body.scope)
        for index, operator in enumerate(body.operators):
            if isinstance(operator, n.InvokeOp):
                rows = _query(found, body.operators[:index], body.scope, operator.span, record)
                shape = rows.shape
                step = call_flow(operator.call, operator.version, shape, body.scope, piped=True, apart=False)
                rest = body.operators[index + 1 :]
                return _flow_call(node.span, step, rest, session, rows=rows.query, yields_output=False)
        return _query(found, body.operators, body.scope, node.span, record).query


class _Query(NamedTuple):
    query: CheckedQuery
    shape: Shape


def _query(found: Relation, operators: tuple[n.Operator, ...], scope: Scope, span: Span, record: Record) -> _Query:
    """The operators of a statement over what it begins with."""
    session = scope.session
    operators, last = ended(operators, session)
    found = _operated(found, operators, scope)
    update = last.read(found, scope) if last else None
    if isinstance(update, Save):
        session.saved |= columns_saved(update, found.shape.columns)
    columns = found.shape.columns
    query = CheckedQuery(
        span=span,
        relation=found.rel,
        update=update,
        uses=tuple(record.uses),
        observed=tuple(record.observed),
        columns=None if columns is None else tuple(col.name for col in columns),
    )
    return _Query(query, found.shape)


# --- flows ----------------------------------------------------------------------------------------------------------


def _run_flow(node: n.RunFlowStatement | n.CallFlowStatement, session: Session) -> CheckedStatement:
    """``run flow F(…)`` yields the run's summary, ``call F(…)`` the flow's output."""
    name = node.call.function
    by_call = isinstance(node, n.CallFlowStatement)
    if by_call and not is_flow(name.text, session) and session.is_activity(name.text):
        session.report(mistakes.activity_outside_flow(name.text, name.span))
    step = call_flow(node.call, node.version, Shape(), Scope(session), piped=False, apart=False)
    return _flow_call(node.span, step, node.operators, session, rows=None, yields_output=by_call)


def _flow_call(
    span: Span,
    step: tuple[ChildStep, Columns] | None,
    operators: tuple[n.Operator, ...],
    session: Session,
    *,
    rows: CheckedQuery | None,
    yields_output: bool,
) -> CheckedFlowCall:
    """A run of a flow, and the operators over the table of what it yields; once it is there, so are its columns."""
    table = Table((session.flow_result,), session.flow_result)
    output = None if step is None else step[1]
    columns = output if yields_output else tuple(Col(name, type_) for name, type_ in SUMMARY)
    there = session.catalog.columns.get(Table((session.flow_result,), ""))
    if there is not None:
        columns = tuple(Col(name, type_) for name, type_ in there)
    found = Relation(table, Shape(columns))
    with session.recording() as record:
        rest = _query(found, operators, Scope(session), span, record).query
    called = ChildStep(FlowRef(""), ()) if step is None else step[0]
    return CheckedFlowCall(
        span=span,
        flow=called.flow,
        arguments=called.arguments,
        rows=rows,
        result=session.flow_result,
        yields_output=yields_output,
        rest=rest,
    )


def _operated(found: Relation, operators: tuple[n.Operator, ...], scope: Scope) -> Relation:
    """The relation behind these operators. `select as` names what is before it for the statements behind this one."""
    for index, operator in enumerate(operators):
        if isinstance(operator, n.SelectOp) and operator.alias:
            before = relations.operate(found, operators[:index], scope)
            scope.session.selected[operator.alias.text] = before
            return _operated(before, operators[index + 1 :], scope)
    return relations.operate(found, operators, scope)


class Ending(NamedTuple):
    """The update that ends a query."""

    operator: n.Update
    filters: tuple[n.Operator, ...]

    def read(self, found: Relation, scope: Scope) -> Update | None:
        match self.operator:
            case n.SaveOp() as save:
                return read_save(save, scope)
            case n.AppendOp(target=target, columns=columns):
                return AppendTo(read_target(target, scope), tuple(name.text for name in columns))
            case n.DeleteOp():
                taken = deleted(self.filters, found.rel, self.operator.span, scope)
                return None if taken is None else DeleteFrom(*taken)


def ended(operators: tuple[n.Operator, ...], session: Session) -> tuple[tuple[n.Operator, ...], Ending | None]:
    """The operators before the first update, and that. Nothing but tests may stand behind it: they are about the rows
    that it was given."""
    for index, operator in enumerate(operators):
        if isinstance(operator, n.ActivateOp):
            session.report(mistakes.activate_outside_flow(operator.span))
            return tuple(one for one in operators[:index]), None
        if isinstance(operator, n.ApplyOp | n.CallOp) and _is_activity(operator, session):
            session.report(mistakes.activity_outside_flow(operator.call.function.text, operator.call.function.span))
            return tuple(one for one in operators[:index]), None
        if isinstance(operator, n.Update):
            before, behind = operators[:index], operators[index + 1 :]
            for misplaced in [one for one in behind if not isinstance(one, n.TestOp)][:1]:
                session.report(mistakes.behind_update(operator.span.text.split()[0], misplaced.span))
            tests = tuple(one for one in behind if isinstance(one, n.TestOp))
            return (*before, *tests), Ending(operator, before)
    return operators, None


def _is_activity(operator: n.ApplyOp | n.CallOp, session: Session) -> bool:
    return isinstance(operator, n.CallOp) or session.is_activity(operator.call.function.text)


# --- commands -------------------------------------------------------------------------------------------------------


def _execute(node: n.ExecuteStatement, session: Session) -> CheckedExecute:
    statement = node.statement
    if not isinstance(statement, n.Interpolation) or statement.prefix != "sql":
        session.report(mistakes.sql_wanted("execute", statement.span))
    return CheckedExecute(node.span, expressions.elaborate(statement, Scope(session)))


def _use(node: n.UseStatement, session: Session) -> CheckedUse:
    """Connector names come before schema names."""
    parts = [name.text for name in node.path]
    catalog, schema = session.catalog.current
    connector = ""
    if node.kind != "schema" and parts[0] in session.catalog.connectors:
        connector, *parts = parts
    elif node.kind == "connector":
        session.report(mistakes.unknown_connector(parts[0], node.path[0].span, session.catalog.connectors))
        parts = []
    if len(parts) > 2:
        session.report(mistakes.long_schema_name(node.span))
    match parts:
        case [schema_name]:
            schema = schema_name
        case [catalog_name, schema_name, *_]:
            catalog, schema = catalog_name, schema_name
    session.catalog = msgspec.structs.replace(session.catalog, current=(catalog, schema))
    return CheckedUse(node.span, connector, catalog, schema)


def _explain(node: n.ExplainStatement, session: Session) -> CheckedExplain:
    if isinstance(node.subject, n.Interpolation):
        if node.subject.prefix != "sql":
            session.report(mistakes.sql_wanted("explain", node.subject.span))
        return CheckedExplain(node.span, None, expressions.elaborate(node.subject, Scope(session)))
    return CheckedExplain(node.span, relations.query(node.subject, Scope(session)).rel)


def _shown(node: n.ShowQueryStatement, session: Session) -> ShownText:
    model = session.definitions.models.get(node.model.text)
    if model is None:
        found = mistakes.unknown_shown_model(node.model.text, node.model.span, session.definitions.models)
        session.report(found)
        return ShownText(node.span, None)
    lines = [line.strip() for line in model.query.span.text.strip("{}").strip().splitlines()]
    return ShownText(node.span, "\n".join(lines))
