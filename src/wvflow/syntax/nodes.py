"""The syntax tree: the text as it is written, with a span on every node. Immutable; names are not resolved here.

Later phases keep their facts elsewhere. The names of the classes follow the grammar of the two references.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from wvflow.source import Source, Span


class SyntaxNode(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What all nodes have. A tree has no cycles, so the garbage collector, which would go through all of it again and
    again while it grows, needn't know of it."""

    span: Span


class Name(SyntaxNode, frozen=True):
    """A name where one is defined or referred to; ``quoted`` when it stood in back-quotes."""

    text: str
    quoted: bool = False


class TypeName(SyntaxNode, frozen=True):
    """``decimal[10,2]``: a type as written."""

    name: str
    args: tuple[TypeName | int, ...] = ()


# --- expressions ----------------------------------------------------------------------------------------------------


class NumberLiteral(SyntaxNode, frozen=True):
    """``text`` without underscores and without the suffix of a float or double."""

    text: str
    kind: Literal["int", "decimal", "exp", "float", "double"]


class StringLiteral(SyntaxNode, frozen=True):
    value: str


class TypedLiteral(SyntaxNode, frozen=True):
    """``'2026-01-01':date``."""

    value: str
    type: TypeName


class Interpolation(SyntaxNode, frozen=True):
    """``s"…"``, ``sql"…"`` or ``s`…` `` (``prefix`` is ``s``, ``sql``, ``s` ``): text and holes in turn."""

    prefix: str
    parts: tuple[str | Expr, ...]


class DurationLiteral(SyntaxNode, frozen=True):
    """``1h30m``, where the flow language allows it."""

    text: str
    ms: int


class NullLiteral(SyntaxNode, frozen=True):
    pass


class BooleanLiteral(SyntaxNode, frozen=True):
    value: bool


class NameRef(SyntaxNode, frozen=True):
    """A bare name in an expression: parameter, column, ``val``, implicit value, ``_1``."""

    name: Name


class Underscore(SyntaxNode, frozen=True):
    pass


class This(SyntaxNode, frozen=True):
    pass


class StarRef(SyntaxNode, frozen=True):
    """``*``; ``t.*`` is ``qualifier`` set."""

    qualifier: Name | None = None


class Dot(SyntaxNode, frozen=True):
    """``operand.name`` without parentheses."""

    operand: Expr
    name: Name


class CallArg(SyntaxNode, frozen=True):
    value: Expr
    name: Name | None = None
    distinct: bool = False


class CallExpr(SyntaxNode, frozen=True):
    """``f(…)``; a method call ``x.m(…)`` has ``receiver`` set. ``version``: of a flow that a property names, as in
    ``on_failure: f @version(1)``; parentheses may be missing then."""

    function: Name
    args: tuple[CallArg, ...]
    receiver: Expr | None = None
    version: int | None = None


class SortItem(SyntaxNode, frozen=True):
    value: Expr
    descending: bool = False
    nulls: Literal["first", "last", ""] = ""


class Over(SyntaxNode, frozen=True):
    """A window (section 7.7). ``rows`` is the frame as written: (start, end), None where omitted."""

    operand: Expr
    partition: tuple[Expr, ...] = ()
    order: tuple[SortItem, ...] = ()
    rows: tuple[int | None, int | None] | None = None


class UnaryExpr(SyntaxNode, frozen=True):
    op: Literal["-", "+", "not"]
    operand: Expr


class BinaryExpr(SyntaxNode, frozen=True):
    """``op`` as written, but ``==`` is ``=``; ``is`` and ``is not`` are operators here."""

    op: str
    left: Expr
    right: Expr


class InExpr(SyntaxNode, frozen=True):
    """``options`` holds the members, or one ``Subquery``."""

    operand: Expr
    options: tuple[Expr, ...]
    negated: bool = False


class BetweenExpr(SyntaxNode, frozen=True):
    operand: Expr
    low: Expr
    high: Expr
    negated: bool = False


class LikeExpr(SyntaxNode, frozen=True):
    operand: Expr
    pattern: Expr
    escape: Expr | None = None
    negated: bool = False


class CastExpr(SyntaxNode, frozen=True):
    operand: Expr
    type: TypeName


class IfExpr(SyntaxNode, frozen=True):
    condition: Expr
    then: Expr
    otherwise: Expr


class When(SyntaxNode, frozen=True):
    condition: Expr
    then: Expr


class CaseExpr(SyntaxNode, frozen=True):
    branches: tuple[When, ...]
    operand: Expr | None = None
    otherwise: Expr | None = None


class Paren(SyntaxNode, frozen=True):
    inner: Expr


class TupleExpr(SyntaxNode, frozen=True):
    items: tuple[Expr, ...]


class ArrayExpr(SyntaxNode, frozen=True):
    items: tuple[Expr, ...]


class StructField(SyntaxNode, frozen=True):
    name: Name
    value: Expr


class StructExpr(SyntaxNode, frozen=True):
    fields: tuple[StructField, ...]


class MapEntry(SyntaxNode, frozen=True):
    key: Expr
    value: Expr


class MapExpr(SyntaxNode, frozen=True):
    entries: tuple[MapEntry, ...]


class IndexExpr(SyntaxNode, frozen=True):
    operand: Expr
    index: Expr


class Lambda(SyntaxNode, frozen=True):
    params: tuple[Name, ...]
    body: Expr


class Subquery(SyntaxNode, frozen=True):
    query: Query


class ExistsExpr(SyntaxNode, frozen=True):
    query: Query


Expr: TypeAlias = (
    NumberLiteral
    | StringLiteral
    | TypedLiteral
    | Interpolation
    | DurationLiteral
    | NullLiteral
    | BooleanLiteral
    | NameRef
    | Underscore
    | This
    | StarRef
    | Dot
    | CallExpr
    | Over
    | UnaryExpr
    | BinaryExpr
    | InExpr
    | BetweenExpr
    | LikeExpr
    | CastExpr
    | IfExpr
    | CaseExpr
    | Paren
    | TupleExpr
    | ArrayExpr
    | StructExpr
    | MapExpr
    | IndexExpr
    | Lambda
    | Subquery
    | ExistsExpr
)


# --- relations and operators ----------------------------------------------------------------------------------------


class ColumnDef(SyntaxNode, frozen=True):
    """``name [: type]`` in a column list."""

    name: Name
    type: TypeName | None = None


class TableRef(SyntaxNode, frozen=True):
    """A table, stage, model, constant, or (with ``args``) a parameterised model or table function. ``_`` is a name
    here."""

    parts: tuple[Name, ...]
    args: tuple[CallArg, ...] | None = None


class FileRef(SyntaxNode, frozen=True):
    path: str


class InlineRows(SyntaxNode, frozen=True):
    rows: tuple[ArrayExpr, ...]


class SqlRef(SyntaxNode, frozen=True):
    """``sql"…"`` or a name made by ``s`…` `` as a source."""

    text: Interpolation


class QueryRef(SyntaxNode, frozen=True):
    """``{ … }`` or a nested ``from``/``select``."""

    query: Query
    braced: bool = True


Primary: TypeAlias = TableRef | FileRef | InlineRows | SqlRef | QueryRef


class Aliased(SyntaxNode, frozen=True):
    """``primary [as name [(columns)]]``."""

    primary: Primary
    alias: Name | None = None
    columns: tuple[ColumnDef, ...] = ()


class SelectItem(SyntaxNode, frozen=True):
    """``name = expr``, ``expr as name`` or ``expr``; also a grouping key."""

    value: Expr
    name: Name | None = None


class From(SyntaxNode, frozen=True):
    sources: tuple[Aliased, ...]


class SelectQuery(SyntaxNode, frozen=True):
    """A query that begins with ``select``."""

    select: SelectOp


class Cte(SyntaxNode, frozen=True):
    """``with name (columns) as { … }``."""

    name: Name
    body: Query | InlineRows
    columns: tuple[ColumnDef, ...] = ()


class With(SyntaxNode, frozen=True):
    ctes: tuple[Cte, ...]
    query: Query


class Braced(SyntaxNode, frozen=True):
    query: Query


class ShowInput(SyntaxNode, frozen=True):
    """``show what [in place]``."""

    what: Name
    place: tuple[Name, ...] = ()


class DescribeInput(SyntaxNode, frozen=True):
    """``describe relation`` as a statement."""

    source: Aliased


class Merge(SyntaxNode, frozen=True):
    """``merge a, b [on …]``; ``on`` is an expression or bare names."""

    stages: tuple[Name, ...]
    on: Expr | tuple[Name, ...] | None = None


class CallInput(SyntaxNode, frozen=True):
    """``call f(args)`` as the input of a body: an activity, or a flow, of which a ``version`` may be named."""

    call: CallExpr
    version: int | None = None


class Query(SyntaxNode, frozen=True):
    """An input and the operators behind it; a stage's body is one too. ``input`` None: only inside ``fork``."""

    input: Input | None
    operators: tuple[Operator, ...]


class WhereOp(SyntaxNode, frozen=True):
    condition: Expr


class SelectOp(SyntaxNode, frozen=True):
    items: tuple[SelectItem, ...]
    distinct: bool = False
    alias: Name | None = None


class AddOp(SyntaxNode, frozen=True):
    """``add`` or, with ``first``, ``prepend``."""

    items: tuple[SelectItem, ...]
    first: bool = False


class AggOp(SyntaxNode, frozen=True):
    items: tuple[SelectItem, ...]


class ExcludeOp(SyntaxNode, frozen=True):
    names: tuple[Name, ...]


class GroupOp(SyntaxNode, frozen=True):
    keys: tuple[SelectItem, ...]


class OrderOp(SyntaxNode, frozen=True):
    keys: tuple[SortItem, ...]


class LimitOp(SyntaxNode, frozen=True):
    count: int


class OffsetOp(SyntaxNode, frozen=True):
    count: int


class CountOp(SyntaxNode, frozen=True):
    pass


class DedupOp(SyntaxNode, frozen=True):
    pass


class JoinOp(SyntaxNode, frozen=True):
    right: Aliased
    kind: Literal["inner", "left", "right", "full", "cross"]
    on: Expr | tuple[Name, ...] | None = None
    asof: bool = False


class ConcatOp(SyntaxNode, frozen=True):
    query: Query


class SaveOption(SyntaxNode, frozen=True):
    name: Name
    value: Expr


class SaveOp(SyntaxNode, frozen=True):
    """``save to target [with options]``; the target is a table's name or a file's path."""

    target: tuple[Name, ...] | StringLiteral
    options: tuple[SaveOption, ...] = ()


class AppendOp(SyntaxNode, frozen=True):
    """``append to target [(columns)]``."""

    target: tuple[Name, ...] | StringLiteral
    columns: tuple[Name, ...] = ()


class DeleteOp(SyntaxNode, frozen=True):
    """``delete``: the rows of the one table before it."""


class Renaming(SyntaxNode, frozen=True):
    """``name as new``."""

    name: Name
    new: Name


class RenameOp(SyntaxNode, frozen=True):
    items: tuple[Renaming, ...]


class ShiftOp(SyntaxNode, frozen=True):
    names: tuple[Name, ...]
    to: Literal["left", "right"] = "left"


class DescribeOp(SyntaxNode, frozen=True):
    pass


class SetOp(SyntaxNode, frozen=True):
    """``intersect`` or ``except``; the right side is one relation."""

    kind: Literal["intersect", "except"]
    right: Aliased
    all: bool = False


class PivotKey(SyntaxNode, frozen=True):
    """``name [in (values)]``; ``values`` None: those there are."""

    name: Name
    values: tuple[Expr, ...] | None = None


class PivotOp(SyntaxNode, frozen=True):
    """``pivot on keys``; the ``group by`` and ``agg`` right behind it belong to it."""

    keys: tuple[PivotKey, ...]


class UnpivotOp(SyntaxNode, frozen=True):
    """``unpivot value for label in (columns)``; without ``value`` the column is called that."""

    label: Name
    columns: tuple[Name, ...]
    value: Name | None = None


class SampleOp(SyntaxNode, frozen=True):
    """``sample 10``, ``sample 5%``, ``sample method(…)``."""

    size: NumberLiteral
    percent: bool = False
    method: Name | None = None


TestVerb: TypeAlias = Literal["be", "contain"]


class TestOp(SyntaxNode, frozen=True):
    """``test left should [not] be|contain right``; without ``should`` ``left`` is the whole condition."""

    __test__ = False  # for pytest: no test of ours

    left: Expr
    verb: TestVerb | None = None
    negated: bool = False
    right: Expr | None = None


class DebugOp(SyntaxNode, frozen=True):
    """``debug { … }``: operators over the rows so far, beside the pipeline."""

    operators: tuple[Operator, ...]


Observer: TypeAlias = TestOp | DebugOp
"""What looks at the rows and passes them on as they are."""


class ApplyOp(SyntaxNode, frozen=True):
    """``| f(args)``: a partial query, a table function or an activity."""

    call: CallExpr


class CallOp(SyntaxNode, frozen=True):
    """``| call f(args)``: it gets no rows, but its arguments may look into those so far."""

    call: CallExpr
    version: int | None = None


class InvokeOp(SyntaxNode, frozen=True):
    """``| -> F(args)`` starts a child flow with the rows so far; a ``jump``, ``| -> F``, starts F after this run."""

    call: CallExpr
    version: int | None = None
    jump: bool = False


class ForkOp(SyntaxNode, frozen=True):
    """``fork { stage … }``; its stages are visible in the whole flow."""

    stages: tuple[StageDef, ...]


class RouteCase(SyntaxNode, frozen=True):
    """``case condition -> target``; by hash a ``share`` of the rows (of 100), and for ``else`` neither."""

    target: Name
    condition: Expr | None = None
    share: NumberLiteral | None = None


class RouteOp(SyntaxNode, frozen=True):
    """``route { … }``; ``key`` is what ``by hash`` splits by. An ``else`` is the last of the cases."""

    cases: tuple[RouteCase, ...]
    key: Expr | None = None


class WaitOp(SyntaxNode, frozen=True):
    """``wait(duration)``"""

    duration: Expr


class WaitUntilOp(SyntaxNode, frozen=True):
    """``wait until condition``, over rows or state, or over a query of its own."""

    condition: Expr | Query


class WaitForOp(SyntaxNode, frozen=True):
    """``wait for signal``"""

    signal: Name


class WhileOp(SyntaxNode, frozen=True):
    """``while condition``: the operators behind it are repeated."""

    condition: Expr


class ActivateOp(SyntaxNode, frozen=True):
    """``activate(target, …)`` delivers the rows."""

    args: tuple[CallArg, ...]


class EndOp(SyntaxNode, frozen=True):
    """``end()``: the branch ends here."""


Update: TypeAlias = SaveOp | AppendOp | DeleteOp
Input: TypeAlias = From | SelectQuery | With | Braced | ShowInput | DescribeInput | Merge | CallInput
Operator: TypeAlias = (
    WhereOp
    | SelectOp
    | AddOp
    | AggOp
    | ExcludeOp
    | GroupOp
    | OrderOp
    | LimitOp
    | OffsetOp
    | CountOp
    | DedupOp
    | JoinOp
    | ConcatOp
    | RenameOp
    | ShiftOp
    | DescribeOp
    | SetOp
    | PivotOp
    | UnpivotOp
    | SampleOp
    | TestOp
    | DebugOp
    | SaveOp
    | AppendOp
    | DeleteOp
    | ApplyOp
    | CallOp
    | ForkOp
    | RouteOp
    | InvokeOp
    | WaitOp
    | WaitUntilOp
    | WaitForOp
    | WhileOp
    | ActivateOp
    | EndOp
)


# --- definitions ----------------------------------------------------------------------------------------------------


class ConfigList(SyntaxNode, frozen=True):
    items: tuple[ConfigValue, ...]


class ConfigItem(SyntaxNode, frozen=True):
    """``key: value``. A bare word as value is a ``NameRef``."""

    key: Name
    value: ConfigValue


class Config(SyntaxNode, frozen=True):
    """``with { … }`` or ``[ … ]``, and the nested ``{ … }`` of ``defaults``. Both forms at once are two of these."""

    items: tuple[ConfigItem, ...]
    style: Literal["block", "inline", "nested"]


ConfigValue: TypeAlias = Expr | ConfigList | Config


class Param(SyntaxNode, frozen=True):
    """``name: type [*] [= default]``; a ``variadic`` one takes all remaining arguments."""

    name: Name
    type: TypeName | None = None
    default: Expr | None = None
    variadic: bool = False


class StateOf(SyntaxNode, frozen=True):
    """``extract.failed`` in a trigger; of a stage or, in a flow's header, of a flow."""

    name: Name
    state: str


class TriggerNot(SyntaxNode, frozen=True):
    operand: TriggerExpr


class TriggerJunction(SyntaxNode, frozen=True):
    """Two or more operands joined by one word."""

    word: Literal["and", "or"]
    operands: tuple[TriggerExpr, ...]


TriggerExpr: TypeAlias = StateOf | TriggerNot | TriggerJunction


class StageDef(SyntaxNode, frozen=True):
    """``depends`` are the names behind ``depends on``, ``connector`` the one behind ``on``."""

    name: Name
    body: Query
    configs: tuple[Config, ...] = ()
    depends: tuple[Name, ...] = ()
    trigger: TriggerExpr | None = None
    connector: Name | None = None


class FlowDef(SyntaxNode, frozen=True):
    """``version``: that of its header; ``number`` knows both forms. ``depends`` and ``trigger`` are about other flows.
    ``broken``: some of its items could not be read and are missing; ``lost`` are the names of such stages."""

    name: Name
    items: tuple[FlowItem, ...]
    params: tuple[Param, ...] = ()
    configs: tuple[Config, ...] = ()
    version: int | None = None
    depends: tuple[Name, ...] = ()
    trigger: TriggerExpr | None = None
    broken: bool = False
    lost: tuple[Name, ...] = ()

    @property
    def number(self) -> int:
        """Its version: ``@version(2)``, or else ``version: 2`` among its properties; without either it is 1."""
        items = (item for config in self.configs for item in config.items if item.key.text == "version")
        written = (item.value for item in items if isinstance(item.value, NumberLiteral) and item.value.kind == "int")
        return self.version if self.version is not None else next((int(one.text) for one in written), 1)


class StateDef(SyntaxNode, frozen=True):
    """``state name: type = expr``: a variable of the run; its default is what it begins with."""

    variable: Param


class SignalDef(SyntaxNode, frozen=True):
    """``signal name(params) = set_x(…), …``; without actions it is there to be waited for."""

    name: Name
    params: tuple[Param, ...] = ()
    actions: tuple[CallExpr, ...] = ()


class UpdateDef(SyntaxNode, frozen=True):
    """``update name(params) = set_x(…), … where expr``; it is accepted where ``condition`` holds."""

    name: Name
    params: tuple[Param, ...] = ()
    actions: tuple[CallExpr, ...] = ()
    condition: Expr | None = None


class QueryDef(SyntaxNode, frozen=True):
    """``query name(params) = answer``: what a run can be asked."""

    name: Name
    answer: Query | Expr
    params: tuple[Param, ...] = ()


class ActivityDef(SyntaxNode, frozen=True):
    """``implementation`` is the call behind ``=``; without it the Python function of that name."""

    name: Name
    params: tuple[Param, ...] = ()
    result: TypeName | None = None
    configs: tuple[Config, ...] = ()
    implementation: CallExpr | None = None


class ModelDef(SyntaxNode, frozen=True):
    name: Name
    query: Query
    params: tuple[Param, ...] = ()
    result: Name | None = None


class ValDef(SyntaxNode, frozen=True):
    """``val x = expr``, or with ``columns`` a table constant whose value is an array of arrays."""

    name: Name
    value: Expr
    type: TypeName | None = None
    columns: tuple[ColumnDef, ...] | None = None


class Native(SyntaxNode, frozen=True):
    """``native``: a function of the compiler's or the engine's."""


class PartialQuery(SyntaxNode, frozen=True):
    """Operators without a source."""

    operators: tuple[Operator, ...]


DefBody: TypeAlias = Expr | Native | PartialQuery


class FunctionDef(SyntaxNode, frozen=True):
    """``def name [params] [in contexts] [: type] [= body]``. ``params`` None: without parentheses. A context is a
    dialect's name, or a catalog's and a schema's."""

    name: Name
    params: tuple[Param, ...] | None = None
    contexts: tuple[tuple[Name, ...], ...] = ()
    result: TypeName | None = None
    body: DefBody | None = None


class TypeMember(SyntaxNode, frozen=True):
    """``name: type [= expr]``: a column of a type."""

    name: Name
    type: TypeName
    default: Expr | None = None


class TypeParam(SyntaxNode, frozen=True):
    """``name [of name]``."""

    name: Name
    bound: Name | None = None


class TypeDef(SyntaxNode, frozen=True):
    """``type x [params] [in contexts] [extends parent] [= { member … }]``: a row type, methods, or both."""

    name: Name
    members: tuple[TypeMember | FunctionDef, ...] = ()
    params: tuple[TypeParam, ...] = ()
    contexts: tuple[tuple[Name, ...], ...] = ()
    parents: tuple[Name, ...] = ()

    @property
    def columns(self) -> tuple[TypeMember, ...]:
        return tuple(one for one in self.members if isinstance(one, TypeMember))

    @property
    def methods(self) -> tuple[FunctionDef, ...]:
        return tuple(one for one in self.members if isinstance(one, FunctionDef))


class PackageStatement(SyntaxNode, frozen=True):
    """``package a.b``."""

    path: tuple[Name, ...]


class ImportStatement(SyntaxNode, frozen=True):
    """``import a.b [.*] [as alias] [from origin]``."""

    path: tuple[Name, ...]
    wildcard: bool = False
    alias: Name | None = None
    origin: StringLiteral | None = None


class ExplainStatement(SyntaxNode, frozen=True):
    """``explain query`` or ``explain sql"…"``."""

    subject: Query | Interpolation


class ExecuteStatement(SyntaxNode, frozen=True):
    """``execute sql"…"``."""

    statement: Expr


class UseStatement(SyntaxNode, frozen=True):
    """``use [schema | connector] path``; ``kind`` is the word, if there is one."""

    path: tuple[Name, ...]
    kind: Literal["schema", "connector", ""] = ""


class ShowQueryStatement(SyntaxNode, frozen=True):
    """``show query m``: the text of a model."""

    model: Name


class QueryStatement(SyntaxNode, frozen=True):
    query: Query


class RunFlowStatement(SyntaxNode, frozen=True):
    """``run flow F(args)``: its summary is the input of the operators behind it."""

    call: CallExpr
    operators: tuple[Operator, ...]
    version: int | None = None


class CallFlowStatement(SyntaxNode, frozen=True):
    """``call F(args)``: its output is the input of the operators behind it."""

    call: CallExpr
    operators: tuple[Operator, ...]
    version: int | None = None


FlowItem: TypeAlias = StageDef | StateDef | SignalDef | QueryDef | UpdateDef
Definition: TypeAlias = FlowDef | ActivityDef | ModelDef | ValDef | TypeDef | FunctionDef
Command: TypeAlias = ExplainStatement | ExecuteStatement | UseStatement | ShowQueryStatement
FlowStatement: TypeAlias = RunFlowStatement | CallFlowStatement
Statement: TypeAlias = Definition | PackageStatement | ImportStatement | QueryStatement | Command | FlowStatement


class Module(msgspec.Struct, frozen=True):
    """One file's tree. What could not be parsed is missing from it and stands in the diagnostics."""

    source: Source
    statements: tuple[Statement, ...]
