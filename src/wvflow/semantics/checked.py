"""What checking makes of a program: relations and steps with all names resolved, their places beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from wvflow.diagnostics import Diagnostic
from wvflow.lang.algebra import Expr, Rel, Table
from wvflow.lang.assertions import Assertion
from wvflow.lang.keys import is_delivery
from wvflow.lang.rowtypes import Column as RowColumn
from wvflow.plan.dependencies import Alternatives, UpstreamStage
from wvflow.plan.nodes import FlowParam, RunQuery, SignalPlan, UpdatePlan
from wvflow.plan.refs import FlowRef, Millis
from wvflow.plan.schedules import Schedule
from wvflow.plan.tasks import Argument, FileTarget, Save, TableTarget, Test
from wvflow.source import Span
from wvflow.syntax.nodes import TriggerExpr

Settings: TypeAlias = Mapping[str, object]
"""Properties by canonical name, values as ``lang.properties`` reads them."""


class Use(NamedTuple):
    """A column's, table's or file's name as it stands in the text."""

    name: str
    span: Span


class RowsStep(NamedTuple):
    """Relational operators without an effect between them. ``Piped`` stands for what the step before put out."""

    relation: Rel


class SaveStep(NamedTuple):
    save: Save


class DeleteStep(NamedTuple):
    """``delete``: ``rows`` are those that it removes, of one table."""

    rows: Rel
    table: Table


class CallStep(NamedTuple):
    """An activity, or a delivery. ``takes_rows`` is false for ``call f(…)`` as an input, which has none; ``apart``: the
    rows so far are not given to it. ``function`` and ``given`` as in ``plan.tasks.ActivityTask``."""

    activity: str
    arguments: tuple[Argument, ...]
    takes_rows: bool = True
    apart: bool = False
    function: str = ""
    given: tuple[Argument, ...] = ()

    @property
    def policy_of(self) -> str:
        """Under which name its declaration or decorator sets properties."""
        return self.function if is_delivery(self.function) else self.activity


class RouteStep(NamedTuple):
    """``route``, at the end. ``label``: for each row the name of the stage that it goes to, null for none; ``targets``
    by name, where the text names them; ``cases``: what is written for each, and its target."""

    label: Expr
    targets: Mapping[str, Span]
    cases: tuple[tuple[str, str], ...] = ()


class TestStep(NamedTuple):
    """``test``: what must hold for the rows so far, which pass on."""

    tests: tuple[Test, ...]


class DebugStep(NamedTuple):
    """``debug``: what is printed to the run's log, over ``Piped``; the rows so far pass on."""

    shown: Rel


class ChildStep(NamedTuple):
    """A run of another flow; ``takes_rows`` and ``apart`` as for an activity."""

    flow: FlowRef
    arguments: tuple[Argument, ...]
    takes_rows: bool = True
    apart: bool = False


class StateStep(NamedTuple):
    """``wait until`` over variables of the run. ``text``: as it is written; ``rowless``: there are no rows that could
    go on."""

    condition: Expr
    text: str
    span: Span
    rowless: bool = False


class SignalStep(NamedTuple):
    """``wait for``: the rows behind it are the signal's arguments."""

    signal: str
    span: Span


class WaitStep(NamedTuple):
    """``duration``: milliseconds, or an expression that needs no rows."""

    duration: Millis | Expr
    span: Span


class UntilStep(NamedTuple):
    """``condition`` has a row when it is met; in it, ``Piped`` stands for the rows of the step before. ``text``: as it
    is written. ``rowless``: there are no rows that could go on."""

    condition: Rel
    text: str
    span: Span
    rowless: bool = False


class LoopStep(NamedTuple):
    """``while``: the steps behind it, but for a ``route``, are repeated. ``condition``, ``negated`` and ``text`` as in
    ``plan.tasks.LoopTask``."""

    condition: Expr | Rel | CallStep
    text: str
    span: Span
    negated: bool = False


Step: TypeAlias = (
    RowsStep
    | SaveStep
    | DeleteStep
    | CallStep
    | RouteStep
    | TestStep
    | DebugStep
    | ChildStep
    | WaitStep
    | UntilStep
    | StateStep
    | SignalStep
    | LoopStep
)


class CheckedMap(NamedTuple):
    """How a stage is mapped: ``rows`` and ``members`` as in ``plan.tasks.SplitTask``."""

    rows: Rel
    members: Rel | None = None


class CheckedKey(NamedTuple):
    """What a stage is done once for: ``key`` is over the rows that reach its first effect (``by_row``), else one for
    all of them."""

    key: Expr
    by_row: bool


class CheckedStage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage. ``upstreams``: the stages that it reads or waits for, in order of first mention. ``when``: needs no
    rows. ``input``: the rows that its body begins with, None where it begins with none. ``columns``: those of its
    output as declared, to be seen to at run time. ``shape``: those that its readers see, None where nobody knows.

    ``trigger``: its ``if``, also one that comes of another's ``on_failure`` (``is_fallback``). ``controls``: the
    upstreams that only the trigger names. ``fallback``: what its own ``on_failure`` names. ``forking``: the stage
    in whose ``fork`` it stands. ``end``: the ``end()`` that
    it ends with. ``compensation``: what undoes it, as a stage.
    """

    name: str
    span: Span
    steps: tuple[Step, ...]
    settings: Settings
    upstreams: Mapping[str, Span]
    uses: tuple[Use, ...]
    when: Expr | None = None
    input: Rel | None = None
    map: CheckedMap | None = None
    key: CheckedKey | None = None
    columns: tuple[RowColumn, ...] = ()
    shape: tuple[RowColumn, ...] | None = None
    trigger: TriggerExpr | None = None
    controls: tuple[str, ...] = ()
    fallback: str | None = None
    is_fallback: bool = False
    jump: ChildStep | None = None
    forking: str | None = None
    end: Span | None = None
    connector: str = ""
    compensation: CheckedStage | None = None

    @property
    def is_view(self) -> bool:
        """Whether it keeps no rows."""
        return self.settings.get("materialize") == "view"


class Conversation(msgspec.Struct, frozen=True):
    """What can be told to a run: its variables beside ``paused``, each with what it begins with, and the messages that
    it takes. Nothing of it is known of stages yet."""

    state: tuple[FlowParam, ...] = ()
    signals: tuple[SignalPlan, ...] = ()
    updates: tuple[UpdatePlan, ...] = ()
    calls: tuple[CheckedCall, ...] = ()


class CheckedCall(NamedTuple):
    """The activity call that an update ends with; ``name``: the update's."""

    name: str
    step: CallStep
    uses: tuple[Use, ...]


class CheckedHook(NamedTuple):
    """What is done when a run has ended, with its summary; ``name`` says in which way."""

    name: str
    step: CallStep | ChildStep
    uses: tuple[Use, ...]


class CheckedRunQuery(NamedTuple):
    """What runs of a flow can be asked. ``reads``: the stages that it reads, in order of first mention."""

    query: RunQuery
    reads: Mapping[str, Span]
    uses: tuple[Use, ...]


class CheckedFlow(msgspec.Struct, frozen=True, kw_only=True):
    """One flow, its stages in order of declaration. ``output`` is None only beside an error. ``after`` and ``reads`` as
    in its plan; ``read_elsewhere``: those of its stages that other flows read."""

    ref: FlowRef
    span: Span
    params: tuple[FlowParam, ...]
    stages: tuple[CheckedStage, ...]
    key: Expr | None = None
    concurrency_key: Expr | None = None
    settings: Settings
    defaults: Settings
    output: str | None
    hooks: tuple[CheckedHook, ...] = ()
    schedule: Schedule | None = None
    conversation: Conversation = Conversation()
    queries: tuple[CheckedRunQuery, ...] = ()
    after: Alternatives = ()
    reads: tuple[UpstreamStage, ...] = ()
    read_elsewhere: frozenset[str] = frozenset()


class CheckedTest(NamedTuple):
    """A test (query reference, section 12.3). ``unclear`` says why it can't be judged, if it can't: it neither passes
    nor fails."""

    span: Span
    assertion: Assertion
    unclear: str = ""


class CheckedTests(NamedTuple):
    """Tests that stand right behind each other, and the rows that they are about. ``inner``: these may depend on a row
    of the query around."""

    relation: Rel
    tests: tuple[CheckedTest, ...]
    inner: bool = False


class AppendTo(NamedTuple):
    """``append to``: adds rows to a table or file, which it makes where there is none."""

    target: TableTarget | FileTarget
    columns: tuple[str, ...] = ()


class DeleteFrom(NamedTuple):
    """``delete``: removes the rows of a table that all conditions are true for."""

    table: Table
    condition: Expr | None = None


Update: TypeAlias = Save | AppendTo | DeleteFrom


class CheckedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that is a query, maybe with an update at its end. ``observed``: its tests, and what it debugs, in
    their order. ``columns``: the names of its result where they are known."""

    span: Span
    relation: Rel
    update: Update | None = None
    uses: tuple[Use, ...] = ()
    observed: tuple[Observed, ...] = ()
    columns: tuple[str, ...] | None = None


Observed: TypeAlias = CheckedTests | CheckedQuery


class CheckedFlowCall(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that runs a flow, and the query behind it. ``rows``: those that are handed over. ``result``: the name
    of the table of what it yields, which the query begins with: its output (``yields_output``) or its summary."""

    span: Span
    flow: FlowRef
    arguments: tuple[Argument, ...]
    rows: CheckedQuery | None
    result: str
    yields_output: bool
    rest: CheckedQuery


class CheckedExecute(NamedTuple):
    """``execute``: a statement of the engine, made of text and values."""

    span: Span
    sql: Expr


class CheckedUse(NamedTuple):
    """``use``: the catalog and schema for bare names from here on, and the connector."""

    span: Span
    connector: str
    catalog: str
    schema: str


class CheckedExplain(NamedTuple):
    """``explain``: of a query, or of a statement of the engine (``sql``), which is only read."""

    span: Span
    relation: Rel | None
    sql: Expr | None = None


class ShownText(NamedTuple):
    """``show query m``: the text of a model, None for one that isn't there."""

    span: Span
    text: str | None


CheckedStatement: TypeAlias = CheckedQuery | CheckedFlowCall | CheckedExecute | CheckedUse | CheckedExplain | ShownText


class CheckedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model with its parameters as values. ``findings``: what is wrong with a model that nothing uses."""

    name: str
    span: Span
    params: tuple[FlowParam, ...]
    relation: Rel
    uses: tuple[Use, ...]
    findings: tuple[Diagnostic, ...] = ()


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A whole program. ``statements``: by source name, what is neither definition nor flow, in order.
    ``activities``: the settings of those that it declares. ``wanted``: the sources outside of the program whose columns
    would have been of use."""

    flows: tuple[CheckedFlow, ...]
    statements: Mapping[str, tuple[CheckedStatement, ...]]
    models: Mapping[str, CheckedModel]
    activities: Mapping[str, Settings]
    wanted: tuple[Rel, ...] = ()

    @property
    def queries(self) -> tuple[CheckedQuery, ...]:
        """All statements that are queries."""
        return tuple(one for several in self.statements.values() for one in several if isinstance(one, CheckedQuery))
