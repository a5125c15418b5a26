"""Statements of a program, run one after the other in a session (query reference, section 12)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

import msgspec

from wvflow.data.interactive import Interactive
from wvflow.diagnostics import Diagnostic, has_errors
from wvflow.errors import NoSpace, TaskError
from wvflow.lang.algebra import Rel, Value
from wvflow.lang.assertions import Verdict, judge
from wvflow.lang.catalog import Columns
from wvflow.lang.relations import nodes
from wvflow.lang.tables import ROW_LIMIT, Result
from wvflow.lang.ulids import KEPT, asks_for_ulid, ulid
from wvflow.plan.nodes import Place
from wvflow.plan.tasks import Save
from wvflow.semantics import relations
from wvflow.semantics.checked import (
    AppendTo,
    CheckedExecute,
    CheckedExplain,
    CheckedFlowCall,
    CheckedQuery,
    CheckedStatement,
    CheckedTest,
    CheckedTests,
    CheckedUse,
    DeleteFrom,
    ShownText,
    Update,
    Use,
)
from wvflow.semantics.scopes import Relation
from wvflow.semantics.session import Session
from wvflow.semantics.statements import Executable, check_statement
from wvflow.service.flow_statements import RESULT, FlowStatements
from wvflow.service.program import ProgramError
from wvflow.service.wiring import SystemClock
from wvflow.service.workspace import Workspace
from wvflow.source import Span

_OF_A_ROW = "its rows are others for each row of the query around"
_ASKS = 8
"""How often a statement is checked again for what was asked: each time may name sources that it couldn't before."""


class Rows(NamedTuple):
    """A query's result. ``debugged``: of a `debug { … }`, for the log."""

    span: Span
    result: Result
    debugged: bool = False


class Updated(NamedTuple):
    """Rows that were saved, appended or deleted."""

    span: Span
    what: str
    target: str
    rows: int


class Text(NamedTuple):
    """What `explain` and `show query` print."""

    span: Span
    text: str


class Tested(msgspec.Struct, frozen=True):
    __test__ = False  # for pytest: no test of ours

    test: CheckedTest
    verdict: Verdict


Outcome: TypeAlias = Rows | Updated | Text | Tested


class StatementRefused(Exception):
    """A statement is found to be wrong right before it runs."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("the statement is wrong")
        self.diagnostics = tuple(diagnostics)


class StatementFailed(Exception):
    """The engine refused or failed a statement. ``span``: the part that it is about, else the whole statement; ``sql``:
    what the engine was given."""

    def __init__(self, span: Span, error: TaskError, sql: str) -> None:
        super().__init__(error.message)
        self.span = span
        self.error = error
        self.sql = sql

    @property
    def kind(self) -> str:
        """The class of the mistake (query reference, section 14)."""
        return _CLASSES.get(self.error.kind, "QUERY_EXECUTION_FAILURE" if self.error.retryable else "SYNTAX_ERROR")


_CLASSES = {
    "ColumnNotFound": "COLUMN_NOT_FOUND",
    "WrongArgument": "INVALID_ARGUMENT",
    "ScalarExpected": "INVALID_ARGUMENT",
    "EvaluationError": "INVALID_ARGUMENT",
    "TableNotFound": "TABLE_NOT_FOUND",
    "SchemaNotFound": "SCHEMA_NOT_FOUND",
    "CatalogNotFound": "CATALOG_NOT_FOUND",
    "FileNotFound": "FILE_NOT_FOUND",
    "PermissionDenied": "PERMISSION_DENIED",
    "Unauthenticated": "UNAUTHENTICATED",
    "TimedOut": "OPERATION_TIMED_OUT",
    "NotImplemented": "NOT_IMPLEMENTED",
    "EngineBroken": "INTERNAL_ERROR",
    "OutOfMemory": "RESOURCE_EXHAUSTED",
    "NoSpace": "RESOURCE_EXHAUSTED",
    "Interrupted": "OPERATION_TIMED_OUT",
    "SaveFailed": "QUERY_EXECUTION_FAILURE",
}


class Statements:
    """A session over a program. ``testing``: tests are evaluated, and tables that are saved stay in memory.

    Each statement is checked once more right before it runs, with the columns of what it reads as they are then.
    Close it.
    """

    def __init__(self, workspace: Workspace, *, testing: bool = False) -> None:
        self._workspace = workspace
        project = workspace.project
        self._catalog = msgspec.structs.replace(workspace.catalog, columns={}, data_files=None, live=True)
        self._testing = testing
        self._selected: dict[str, Relation] = {}
        self._values = _implicit_values()
        self.row_limit: int | None = ROW_LIMIT
        self.engine = Interactive(root=project.root, database=project.database, state=project.state, keeps=not testing)
        self._flows = FlowStatements(workspace, self.engine, testing=testing)
        self._results = 0

    def close(self) -> None:
        self._flows.close()
        self.engine.close()

    def interrupt(self) -> None:
        """Stop the statement that runs, from any thread; repeat it until the statement has ended."""
        self._flows.interrupt()
        self.engine.interrupt()

    @property
    def left(self) -> str:
        """The run that an interrupt leaves to be resumed, ``""`` where there is none."""
        return self._flows.left

    def known_columns(self) -> list[Columns]:
        """The columns of all that was asked for."""
        return [columns for columns in self._catalog.columns.values() if columns is not None]

    def run(self, source: str) -> Iterator[Outcome]:
        """Run the statements of a file in order, and give what comes of each.

        Raises:
            StatementRefused, StatementFailed: those behind are not run.
        """
        for statement in self._workspace.program.statements(source):
            if isinstance(statement, Executable):
                yield from self.run_one(statement)

    def run_one(self, statement: Executable) -> Iterator[Outcome]:
        """Run one statement. Raises as ``run``."""
        self._results += 1
        self._flows.left = ""
        checked = self._checked(statement)
        match checked:
            case CheckedFlowCall():
                yield from self._flow(checked, statement)
            case CheckedQuery():
                yield from self._query(checked)
            case CheckedExecute():
                text = self.engine.text(checked.sql)
                with _failing(checked.span, text):
                    self.engine.execute(text)
                self._forget()
            case CheckedUse(catalog=catalog, schema=schema):
                self._catalog = msgspec.structs.replace(self._catalog, current=(catalog, schema))
                with _failing(checked.span):
                    self.engine.use(catalog, schema)
                self._forget()
            case CheckedExplain():
                yield Text(checked.span, self._explained(checked))
            case ShownText(text=text):
                if text is not None:
                    yield Text(checked.span, text)

    def _flow(self, call: CheckedFlowCall, statement: Executable) -> Iterator[Outcome]:
        """Run the flow, then the query over what it yields, whose columns are known now."""
        uses = () if call.rows is None else call.rows.uses
        with _failing(call.span, uses=uses) as places:
            try:
                self.engine.put(call.result, self._flows.run(call, self._values, places))
            except ProgramError as wrong:
                raise StatementRefused([one for one in wrong.diagnostics if one.is_error]) from None
        self._forget()
        again = self._checked(statement)
        yield from self._query(again.rest if isinstance(again, CheckedFlowCall) else call.rest)

    def check(self, source: str) -> tuple[Diagnostic, ...]:
        """What is wrong with a file as far as the engine can tell before anything runs. What a statement makes for
        those behind it isn't there yet, so nothing is said of what is missing."""
        catalog = msgspec.structs.replace(self._catalog, live=False)
        found, wanted = self._workspace.check(source, catalog)
        for _ in range(_ASKS):
            there = {one: columns for one in wanted if (columns := self.engine.columns(one)[1]) is not None}
            if not there:
                break
            catalog = msgspec.structs.replace(catalog, columns={**catalog.columns, **there})
            found, wanted = self._workspace.check(source, catalog)
        return found

    # --- checking -----------------------------------------------------------------------------------------------------

    def _checked(self, statement: Executable) -> CheckedStatement:
        """The statement as it is meant now. What it reads is asked for until nothing is left to ask."""
        for _ in range(_ASKS):
            session = Session(self._workspace.program, self._catalog, relations.query)
            session.selected = dict(self._selected)
            session.flow_result = f"{RESULT}{self._results}"
            checked = check_statement(statement, session)
            if not self._ask(session.wanted):
                break
        found = tuple(session.findings)
        if has_errors(found):
            raise StatementRefused([one for one in found if one.is_error])
        self._selected = session.selected
        return checked

    def _ask(self, wanted: dict[Rel, None]) -> bool:
        """Ask for the columns of these sources; whether any was found out."""
        known = dict(self._catalog.columns)
        for source in wanted:
            answered, columns = self.engine.columns(source)
            if answered:
                known[source] = columns
        learnt = len(known) > len(self._catalog.columns)
        if learnt:
            self._catalog = msgspec.structs.replace(self._catalog, columns=known)
        if learnt and None in known.values():  # what there is instead
            tables, schemas = self.engine.tables(), self.engine.schemas()
            self._catalog = msgspec.structs.replace(self._catalog, tables=tables, schemas=schemas)
        return learnt

    def _forget(self) -> None:
        """What is known of the engine's tables and files may be wrong from here on."""
        self._catalog = msgspec.structs.replace(self._catalog, columns={}, tables=None, schemas=None)

    # --- running ------------------------------------------------------------------------------------------------------

    def _query(self, query: CheckedQuery, *, debugged: bool = False) -> Iterator[Outcome]:
        values = self._bound(query)
        seen: tuple[Rel, Result] | None = None
        for one in query.observed:
            if isinstance(one, CheckedQuery):
                yield from self._query(one, debugged=True)
            elif self._testing:
                result = self._seen(one, values, query.uses)
                if result is not None and one.relation is query.relation:
                    result = _named(result, query.columns)
                seen = None if result is None else (one.relation, result)
                yield from _judged(one, result)
        if query.update is not None:
            yield self._updated(query, query.update, values)
            self._forget()
            return
        if seen is not None and seen[0] is query.relation:
            result = seen[1]
        else:
            result = self._rows(query.relation, values, query.uses, query.span)
        yield Rows(query.span, _named(result, query.columns), debugged)

    def _seen(self, tests: CheckedTests, values: dict[str, object], uses: Sequence[Use]) -> Result | None:
        """The rows that tests are about; none where these depend on a row of the query around."""
        try:
            return self._rows(tests.relation, values, uses, tests.tests[0].span)
        except StatementFailed as error:
            if tests.inner and error.kind == "COLUMN_NOT_FOUND":
                return None
            raise

    def _rows(self, relation: Rel, values: dict[str, object], uses: Sequence[Use], span: Span) -> Result:
        with _failing(span, self.engine.sql(relation), uses) as places:
            return self.engine.query(relation, values, places, self.row_limit)

    def _updated(self, query: CheckedQuery, update: Update, values: dict[str, object]) -> Updated:
        engine, rel, span = self.engine, query.relation, query.span
        where = engine.condition(update.table, update.condition) if isinstance(update, DeleteFrom) else None
        with _failing(span, engine.sql(rel) if where is None else "".join(where), query.uses) as places:
            match update:
                case Save(target=target):
                    return Updated(span, "saved", str(target), engine.save(rel, update, values, places))
                case AppendTo(target=target, columns=columns):
                    rows = engine.append(rel, target, columns, values, places)
                    return Updated(span, "appended", str(target), rows)
                case DeleteFrom(table=table, condition=condition):
                    rows = engine.delete(table, engine.condition(table, condition), places)
                    return Updated(span, "deleted", ".".join(table.parts), rows)

    def _explained(self, explained: CheckedExplain) -> str:
        if explained.relation is not None:
            relation = explained.relation
            values = self._values | _natives(relation)
            with _failing(explained.span):
                return self.engine.explain(relation, values, ())
        return "" if explained.sql is None else self.engine.text(explained.sql)

    def _bound(self, query: CheckedQuery) -> dict[str, object]:
        """The values of a statement: those of constants stay, the others are its own."""
        made = _natives((query.relation, query.observed, query.update))
        kept = {name: self._values.setdefault(name, value) for name, value in made.items() if name.startswith(KEPT)}
        return self._values | made | kept


def _named(result: Result, names: tuple[str, ...] | None) -> Result:
    """The rows under the names that the text gives their columns: the engine keeps those of a sub-query apart."""
    if names is None or len(names) != len(result.columns):
        return result
    columns = [column._replace(name=name) for column, name in zip(result.columns, names, strict=True)]
    return result._replace(columns=tuple(columns))


def _judged(tests: CheckedTests, result: Result | None) -> Iterator[Tested]:
    for test in tests.tests:
        yield Tested(test, _verdict(test, result))


def _verdict(test: CheckedTest, result: Result | None) -> Verdict:
    if result is None or test.unclear:
        return Verdict(None, test.unclear or _OF_A_ROW)
    return judge(test.assertion, result)


def _implicit_values() -> dict[str, object]:
    now = datetime.fromtimestamp(SystemClock().now() / 1_000, UTC).replace(tzinfo=None)
    return {
        "run_id": "session",
        "run_time": now,
        "run_date": now.date().isoformat(),
        "window_start": None,
        "window_end": None,
    }


def _natives(tree: object) -> dict[str, object]:
    """A new ULID for each place that asks for one."""
    named = {node.name for node in nodes(tree) if isinstance(node, Value) and asks_for_ulid(node.name)}
    return {name: new_ulid() for name in sorted(named)}


def new_ulid() -> str:
    return ulid(SystemClock().now(), int.from_bytes(os.urandom(10), "big"))


@contextmanager
def _failing(span: Span, sql: str = "", uses: Sequence[Use] = ()) -> Iterator[tuple[Place, ...]]:
    """Raise StatementFailed for what the engine refuses, with the span of the use that it is traced to."""
    places = tuple(
        Place(one.name, one.span.source.name, *one.span.position, one.span.source.line(one.span.position.line))
        for one in uses
    )
    try:
        yield places
    except NoSpace as full:
        error = TaskError("NoSpace", full.message, help=full.help)
        raise StatementFailed(span, error, sql) from None
    except TaskError as error:
        traced = (use.span for use, place in zip(uses, places, strict=True) if error.place == _text(place))
        raise StatementFailed(next(traced, span), error, sql) from None


def _text(place: Place) -> str:
    return f"{place.file}:{place.line}:{place.column}"
