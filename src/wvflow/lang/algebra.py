"""The algebra: typed expressions and the relations they are over, as compiler and runtime agree on them.

One family in one file, as the two are mutually recursive (a sub-query is an expression over a relation). Frozen plain
data: it serialises, is hashed, carries no SQL text, no syntax nodes and no places. All names are resolved: a dot chain
has become calls, ``_.count`` is ``count(*)``, a ``val``, ``model`` or ``def`` has been expanded in place. What is known
only when a task runs (parameters, ``run_date``) is a ``Value``, bound by name.

Relations are sequential, as the language is: each consumes the whole result of its input. ``sql/`` decides which of
them share a SELECT.
"""

from __future__ import annotations

from typing import Literal as OneOf
from typing import TypeAlias

import msgspec

from wvflow.lang.types import BOOLEAN, LONG, UNKNOWN, Type


class Node(msgspec.Struct, frozen=True, tag_field="is", omit_defaults=True):
    """Base of every node; the tag is the class's name in lower case."""


# --- expressions ----------------------------------------------------------------------------------------------------


class Literal(Node, frozen=True, tag="literal"):
    """A constant. ``value`` holds the text as written for decimals and doubles (so that their scale survives), for
    strings the string itself, for integers an int."""

    value: None | bool | int | str
    type: Type


class Column(Node, frozen=True, tag="column"):
    """A column of the input; ``table`` is the alias that qualified it, ``""`` for none."""

    name: str
    table: str = ""
    type: Type = UNKNOWN


class Value(Node, frozen=True, tag="value"):
    """What is known only when the task runs: a flow parameter, or an implicit value such as ``run_date``."""

    name: str
    type: Type = UNKNOWN


class Cell(Node, frozen=True, tag="cell"):
    """``s.col``: the value in the one row of a stage, and ``_.col`` in that of the input. ``rows`` is ``StageRows`` or
    ``Piped``, or an ``Alias`` by the stage's name of what computes them. Whoever evaluates the expression reads it; it
    is never part of SQL."""

    rows: Rel
    column: str
    type: Type = UNKNOWN

    @property
    def shown(self) -> str:
        """As the program writes it."""
        return f"{self.owner or '_'}.{self.column}"

    @property
    def owner(self) -> str:
        """The stage, ``""`` for the input."""
        match self.rows:
            case StageRows(stage=name) | Alias(name=name):
                return name
        return ""


class Star(Node, frozen=True, tag="star"):
    """``*`` or ``t.*``: as a select item, and as the argument of ``count``. ``columns``: those of ``t``, where they are
    known."""

    table: str = ""
    columns: tuple[str, ...] = ()


class Call(Node, frozen=True, tag="call"):
    """A function of the engine or of the standard library, by its name in DuckDB."""

    function: str
    args: tuple[Expr, ...] = ()
    named: tuple[NamedArgument, ...] = ()
    distinct: bool = False
    type: Type = UNKNOWN


class NamedArgument(msgspec.Struct, frozen=True):
    name: str
    value: Expr


class Unary(Node, frozen=True, tag="unary"):
    """``op`` is ``-``, ``+`` or ``not``."""

    op: OneOf["-", "+", "not"]
    operand: Expr
    type: Type = UNKNOWN


BinaryOp: TypeAlias = OneOf["+", "-", "*", "/", "//", "%", "=", "!=", "<", "<=", ">", ">=", "and", "or"]


class Binary(Node, frozen=True, tag="binary"):
    op: BinaryOp
    left: Expr
    right: Expr
    type: Type = UNKNOWN


class Cast(Node, frozen=True, tag="cast"):
    operand: Expr
    type: Type


class IsNull(Node, frozen=True, tag="is_null"):
    operand: Expr
    negated: bool = False
    type: Type = BOOLEAN


class Between(Node, frozen=True, tag="between"):
    operand: Expr
    low: Expr
    high: Expr
    negated: bool = False
    type: Type = BOOLEAN


class Like(Node, frozen=True, tag="like"):
    operand: Expr
    pattern: Expr
    escape: Expr | None = None
    negated: bool = False
    type: Type = BOOLEAN


class In(Node, frozen=True, tag="in"):
    operand: Expr
    options: tuple[Expr, ...]
    negated: bool = False
    type: Type = BOOLEAN


class InQuery(Node, frozen=True, tag="in_query"):
    operand: Expr
    query: Rel
    negated: bool = False
    type: Type = BOOLEAN


class Exists(Node, frozen=True, tag="exists"):
    query: Rel
    negated: bool = False
    type: Type = BOOLEAN


class ScalarQuery(Node, frozen=True, tag="scalar_query"):
    """The one value of a one-row, one-column query."""

    query: Rel
    type: Type = UNKNOWN


class Branch(msgspec.Struct, frozen=True):
    when: Expr
    then: Expr


class Case(Node, frozen=True, tag="case"):
    """``case`` and ``if``. Without ``otherwise`` the value is null."""

    branches: tuple[Branch, ...]
    otherwise: Expr | None = None
    operand: Expr | None = None
    type: Type = UNKNOWN


class Array(Node, frozen=True, tag="array"):
    items: tuple[Expr, ...]
    type: Type = UNKNOWN


class Tuple(Node, frozen=True, tag="tuple"):
    items: tuple[Expr, ...]
    type: Type = UNKNOWN


class Entry(msgspec.Struct, frozen=True):
    key: Expr
    value: Expr


class StructValue(Node, frozen=True, tag="struct"):
    fields: tuple[NamedArgument, ...]
    type: Type = UNKNOWN


class MapValue(Node, frozen=True, tag="map"):
    entries: tuple[Entry, ...]
    type: Type = UNKNOWN


class Index(Node, frozen=True, tag="index"):
    """``a[i]``, counted from 1, or ``st['k']``."""

    operand: Expr
    index: Expr
    type: Type = UNKNOWN


class Field(Node, frozen=True, tag="field"):
    """``st.k`` where ``st`` is a struct."""

    operand: Expr
    name: str
    type: Type = UNKNOWN


class Extract(Node, frozen=True, tag="extract"):
    """``d.extract('year')``; ``unit`` in lower case."""

    unit: str
    operand: Expr
    type: Type = LONG


class Window(Node, frozen=True, tag="window"):
    """``function over (…)``: a value over rows around this one. ``frame``: first and last row relative to this one,
    None for as far as there are rows; no frame at all is the engine's default."""

    function: Expr
    partition: tuple[Expr, ...] = ()
    order: tuple[SortKey, ...] = ()
    frame: tuple[int | None, int | None] | None = None
    type: Type = UNKNOWN


class LambdaValue(Node, frozen=True, tag="lambda"):
    """``(a, b) -> body``; in the body a parameter is a ``LocalName``."""

    params: tuple[str, ...]
    body: Expr
    type: Type = UNKNOWN


class LocalName(Node, frozen=True, tag="local"):
    """A parameter of the lambda around."""

    name: str
    type: Type = UNKNOWN


class RawSql(Node, frozen=True, tag="raw"):
    """SQL in the dialect it is made for, text and values in turn."""

    parts: tuple[str | Expr, ...]
    type: Type = UNKNOWN


Expr: TypeAlias = (
    Literal
    | Column
    | Value
    | Cell
    | Star
    | Call
    | Unary
    | Binary
    | Cast
    | IsNull
    | Between
    | Like
    | In
    | InQuery
    | Exists
    | ScalarQuery
    | Case
    | Array
    | Tuple
    | StructValue
    | MapValue
    | Index
    | Field
    | Extract
    | Window
    | LambdaValue
    | LocalName
    | RawSql
)


# --- relations ------------------------------------------------------------------------------------------------------


class Item(msgspec.Struct, frozen=True):
    """A column that a relation makes. ``name`` is empty only for a ``Star``, whose items keep their names, and in a
    grouping for an aggregate of one, which is computed of every column."""

    name: str
    value: Expr


class SortKey(msgspec.Struct, frozen=True, omit_defaults=True):
    value: Expr
    descending: bool = False
    nulls: OneOf["first", "last", ""] = ""


class Table(Node, frozen=True, tag="table"):
    """A table of the engine or the warehouse; ``alias`` is the name that qualifies its columns."""

    parts: tuple[str, ...]
    alias: str


class File(Node, frozen=True, tag="file"):
    """Rows of a data file, or of those that a glob matches; the path is as written, relative to the program's root."""

    path: str
    alias: str = ""


class Rows(Node, frozen=True, tag="rows"):
    """Rows in the program's text (``[[1, 'a']] as t(x, y)``). ``types`` is UNKNOWN where nothing tells. No rows at
    all still have columns."""

    columns: tuple[str, ...]
    types: tuple[Type, ...]
    rows: tuple[tuple[Expr, ...], ...]
    alias: str = ""


class StageRows(Node, frozen=True, tag="stage"):
    """The output of another stage of this flow."""

    stage: str
    alias: str


class Piped(Node, frozen=True, tag="piped"):
    """The rows handed over: what the task before this one in the stage put out, or the caller's input (``from _``)."""


class Single(Node, frozen=True, tag="single"):
    """One row without columns: what ``select 1`` without ``from`` selects from."""


class TableFunction(Node, frozen=True, tag="table_function"):
    function: str
    args: tuple[Expr, ...]
    named: tuple[NamedArgument, ...] = ()
    alias: str = ""
    columns: tuple[str, ...] = ()


class NamedTable(Node, frozen=True, tag="named_table"):
    """``s`part_${n}` ``: a table whose name, maybe in parts, is computed from constants."""

    name: Expr
    alias: str = ""


class SqlText(Node, frozen=True, tag="sql"):
    """``sql"…"``: a query in the dialect it is made for, text and values in turn."""

    parts: tuple[str | Expr, ...]
    alias: str = ""


class Alias(Node, frozen=True, tag="alias"):
    """``{…} as t(c1, c2)``: a new qualifier and, where given, new names by position.

    ``closed``: the input is a model or a CTE and reads nothing of what is around its use, so that a task that uses it
    more than once may compute it once."""

    input: Rel
    name: str
    columns: tuple[str, ...] = ()
    closed: bool = False


class Filter(Node, frozen=True, tag="where"):
    input: Rel
    condition: Expr


class Select(Node, frozen=True, tag="select"):
    input: Rel
    items: tuple[Item, ...]
    distinct: bool = False


class Extend(Node, frozen=True, tag="add"):
    """``add`` (new columns last) and ``prepend`` (``first``)."""

    input: Rel
    items: tuple[Item, ...]
    first: bool = False


class Exclude(Node, frozen=True, tag="exclude"):
    """All columns but these; only where the columns of ``input`` are not known to the compiler, else it is a Select."""

    input: Rel
    names: tuple[str, ...]


class Rename(Node, frozen=True, tag="rename"):
    """Other names in place, each ``(old, new)``; only where the columns of ``input`` are not known, else a Select."""

    input: Rel
    names: tuple[tuple[str, str], ...]


class Shift(Node, frozen=True, tag="shift"):
    """These columns first, or ``last``; only where the columns of ``input`` are not known, else a Select."""

    input: Rel
    names: tuple[str, ...]
    last: bool = False


class Describe(Node, frozen=True, tag="describe"):
    """One row per column of ``input``, which only the engine knows: ``column_name`` and ``column_type``."""

    input: Rel


class PivotKey(msgspec.Struct, frozen=True):
    """A column whose values become columns; ``values`` None: all those there are."""

    name: str
    values: tuple[Expr, ...] | None = None


class Pivot(Node, frozen=True, tag="pivot"):
    """``keys`` None: the rows are grouped by all columns that are neither pivoted nor read by ``items``; no items: the
    rows are counted."""

    input: Rel
    on: tuple[PivotKey, ...]
    keys: tuple[Item, ...] | None
    items: tuple[Item, ...]


class Unpivot(Node, frozen=True, tag="unpivot"):
    """A row per listed column, with its name in ``label`` and its cell in ``value``; null cells make none."""

    input: Rel
    value: str
    label: str
    columns: tuple[str, ...]


class Sample(Node, frozen=True, tag="sample"):
    """``size`` as written: rows, or with ``percent`` a share of 100."""

    input: Rel
    method: OneOf["reservoir", "system", "bernoulli"]
    size: str
    percent: bool = False


class Aggregate(Node, frozen=True, tag="aggregate"):
    """``group by keys | where having | agg items``: keys then items. With ``keys_shown`` false only the items
    (``group by … select``). Without keys the whole input makes one row."""

    input: Rel
    keys: tuple[Item, ...]
    items: tuple[Item, ...]
    having: tuple[Expr, ...] = ()
    keys_shown: bool = True


class Join(Node, frozen=True, tag="join"):
    """All left then all right columns; with ``using`` those appear once, first. A ``cross`` join has neither.

    ``asof``: of the right rows that fit the one inequality of ``on``, only the nearest.
    """

    left: Rel
    right: Rel
    kind: OneOf["inner", "left", "right", "full", "cross"]
    on: Expr | None = None
    using: tuple[str, ...] = ()
    asof: bool = False


class SetOperation(Node, frozen=True, tag="set"):
    """The rows that both inputs have, or the left one only; ``all`` counts duplicates."""

    left: Rel
    right: Rel
    kind: OneOf["intersect", "except"]
    all: bool = False


class Concat(Node, frozen=True, tag="concat"):
    """Both inputs' rows, columns by position, duplicates kept."""

    left: Rel
    right: Rel


class FanIn(Node, frozen=True, tag="fan_in"):
    """``merge a, b``: all rows of all stages; columns by name when the names are the same set, else by position. Each
    input is ``StageRows``, or a ``Filter`` over them where only a part is routed here; where a task runs, also the
    relation of a view as an ``Alias`` of the view's name."""

    inputs: tuple[Rel, ...]


class Sort(Node, frozen=True, tag="order"):
    input: Rel
    keys: tuple[SortKey, ...]


class Limit(Node, frozen=True, tag="limit"):
    """At most ``count`` rows (None: all) after the first ``offset``."""

    input: Rel
    count: int | None
    offset: int = 0


class Count(Node, frozen=True, tag="count"):
    """One row, one column: how many rows the input has; named by the query reference's section 10."""

    input: Rel


class Distinct(Node, frozen=True, tag="dedup"):
    input: Rel


Rel: TypeAlias = (
    Table
    | File
    | Rows
    | StageRows
    | Piped
    | Single
    | TableFunction
    | NamedTable
    | SqlText
    | Alias
    | Filter
    | Select
    | Extend
    | Exclude
    | Rename
    | Shift
    | Describe
    | Pivot
    | Unpivot
    | Sample
    | Aggregate
    | Join
    | SetOperation
    | Concat
    | FanIn
    | Sort
    | Limit
    | Count
    | Distinct
)
