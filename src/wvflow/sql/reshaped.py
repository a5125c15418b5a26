"""Relations that are no SELECT over their input but a form of their own: describe, pivot, unpivot, sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from wvflow.lang import algebra as a
from wvflow.lang.types import BOOLEAN, LONG, STRING
from wvflow.sql import DialectCannot
from wvflow.sql.scalars import Scalars

if TYPE_CHECKING:
    from wvflow.sql.block import Block
    from wvflow.sql.relations import Relations

_BASE_NAMES = {
    "INTEGER": "int",
    "BIGINT": "long",
    "HUGEINT": "long",
    "SMALLINT": "short",
    "TINYINT": "byte",
    "VARCHAR": "string",
    "BLOB": "binary",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIME WITH TIME ZONE": "time",
    '"NULL"': "null",
}


class Reshaped:
    """One of them over a block; a query that can stand in parentheses."""

    def __init__(
        self, relations: Relations, operator: a.Describe | a.Pivot | a.Unpivot | a.Sample, block: Block
    ) -> None:
        self._relations = relations
        self._context = relations.context
        self._operator = operator
        self._block = block

    @property
    def hidden(self) -> tuple[str, ...]:
        return self._block.hidden if isinstance(self._operator, a.Sample) else ()

    def names(self) -> list[str] | None:
        match self._operator:
            case a.Describe():
                return ["column_name", "column_type"]
            case a.Sample():
                return self._block.names()
            case a.Pivot() | a.Unpivot():
                return None
            case _:
                assert_never(self._operator)

    def expose(self, name: str, table: str) -> str | None:
        return self._block.expose(name, table) if isinstance(self._operator, a.Sample) else None

    def render(self) -> exp.Query:
        match self._operator:
            case a.Describe():
                return self._describe()
            case a.Pivot():
                return self._pivot(self._operator)
            case a.Unpivot():
                return self._unpivot(self._operator)
            case a.Sample():
                return self._sample(self._operator)
            case _:
                assert_never(self._operator)

    def _input(self) -> str:
        return self._context.text(self._block.render())

    def _raw(self, text: str) -> exp.Query:
        """A query in the engine's own words, which no other dialect gets."""
        return exp.Select(expressions=[exp.Star()], from_=exp.From(this=exp.Var(this=f"({text})")))

    # --- describe ---

    def _describe(self) -> exp.Query:
        if not self._context.is_duckdb:
            raise DialectCannot("describe", self._context.dialect, help="only the engine knows these columns")
        known = ", ".join(f"'{name}': '{base}'" for name, base in _BASE_NAMES.items())
        bare = "CASE WHEN ends_with(column_type, ']') THEN 'array' ELSE split_part(column_type, '(', 1) END"
        named = f"coalesce(MAP {{{known}}}[{bare}], lower({bare}))"
        return self._raw(f"SELECT column_name, {named} AS column_type FROM (DESCRIBE {self._input()})")

    # --- pivot ---

    def _pivot(self, pivot: a.Pivot) -> exp.Query:
        if self._context.is_duckdb:
            return self._raw(self._duckdb_pivot(pivot))
        if len(pivot.on) != 1 or pivot.on[0].values is None:
            raise DialectCannot("pivot", self._context.dialect, help="write one column with its values: `on c in (…)`")
        if pivot.keys is None:
            raise DialectCannot("pivot", self._context.dialect, help="write `group by` behind it")
        key, values = pivot.on[0].name, pivot.on[0].values or ()
        items = pivot.items or (a.Item("", a.Call("count", (a.Star(),), type=LONG)),)
        columns = [_where_equal(item, key, value, len(items) > 1) for value in values for item in items]
        grouped = a.Aggregate(pivot.input, pivot.keys, tuple(columns))
        return self._relations.lower(grouped).render()

    def _duckdb_pivot(self, pivot: a.Pivot) -> str:
        named = {key.name: self._context.text(self._context.name(key.name)) for key in pivot.keys or ()}
        computed = tuple(key for key in pivot.keys or () if not _is_its_column(key))
        block = self._relations.lower(a.Extend(pivot.input, computed)) if computed else self._block
        scalars = Scalars(self._context, block)

        def text(value: a.Expr) -> str:
            return self._context.text(scalars.lower(value).transform(lambda node: self._unqualified(node, block)))

        on = []
        for key in pivot.on:
            name = self._context.text(self._context.name(key.name))
            listed = "" if key.values is None else f" IN ({', '.join([text(value) for value in key.values])})"
            on.append(f"{name}{listed}")
        several = len(pivot.items) > 1
        using = [
            text(item.value) + (f" AS {self._context.text(self._context.name(item.name))}" if several else "")
            for item in pivot.items
        ] or ["count(*)"]
        grouped = f" GROUP BY {', '.join(named.values())}" if named else ""
        source = self._context.text(block.render())
        return f"PIVOT ({source}) ON {', '.join(on)} USING {', '.join(using)}{grouped}"

    def _unqualified(self, node: exp.Expr, block: Block) -> exp.Expr:
        """PIVOT takes no qualified columns. Of several sources the one that is meant comes under a name of its own."""
        if not isinstance(node, exp.Column) or not node.table:
            return node
        exposed = block.expose(node.name, node.table) if len(block.sources) > 1 else None
        return exp.Column(this=self._context.name(exposed or node.name))

    # --- unpivot ---

    def _unpivot(self, unpivot: a.Unpivot) -> exp.Query:
        if self._context.is_duckdb:
            names = [self._context.text(self._context.name(name)) for name in unpivot.columns]
            label, value = (self._context.text(self._context.name(one)) for one in (unpivot.label, unpivot.value))
            listed = ", ".join(names)
            return self._raw(f"UNPIVOT ({self._input()}) ON {listed} INTO NAME {label} VALUE {value}")
        known = self._block.names()
        if known is None:
            raise DialectCannot("unpivot", self._context.dialect, help="select the columns before it")
        parts = [self._one_column(unpivot, name, known) for name in unpivot.columns]
        whole: a.Rel = parts[0]
        for part in parts[1:]:
            whole = a.Concat(whole, part)
        return self._relations.lower(whole).render()

    def _one_column(self, unpivot: a.Unpivot, name: str, known: list[str]) -> a.Rel:
        """The rows of one of the columns."""
        listed = {one.lower() for one in unpivot.columns}
        kept = tuple(a.Item(one, a.Column(one)) for one in known if one.lower() not in listed)
        items = (*kept, a.Item(unpivot.label, a.Literal(name, STRING)), a.Item(unpivot.value, a.Column(name)))
        there = a.Filter(unpivot.input, a.IsNull(a.Column(name), negated=True))
        return a.Select(there, items)

    # --- sample ---

    def _sample(self, sample: a.Sample) -> exp.Query:
        source = f"({self._input()}) AS {self._context.text(self._context.name(self._context.fresh()))}"
        if self._context.is_duckdb:
            size = f"{sample.size}%" if sample.percent else sample.size
            return self._tabled(f"{source} TABLESAMPLE {sample.method}({size})")
        if sample.method == "reservoir" and not sample.percent:
            random = exp.Ordered(this=exp.Rand())
            select = exp.Select(expressions=[exp.Star()], from_=exp.From(this=exp.Var(this=source)))
            select.set("order", exp.Order(expressions=[random]))
            select.set("limit", exp.Limit(expression=exp.Literal.number(sample.size)))
            return select
        self._context.refuse("sample %")
        method = "BERNOULLI" if sample.method == "reservoir" else sample.method.upper()
        return self._tabled(f"{source} TABLESAMPLE {method} ({sample.size})")

    def _tabled(self, source: str) -> exp.Query:
        return exp.Select(expressions=[exp.Star()], from_=exp.From(this=exp.Var(this=source)))


def _is_its_column(key: a.Item) -> bool:
    return isinstance(key.value, a.Column) and key.value.name == key.name


def _where_equal(item: a.Item, key: str, value: a.Expr, several: bool) -> a.Item:
    """An aggregate over the rows whose key has a value, named by that value."""
    same = a.Binary("=", a.Column(key), value, BOOLEAN)
    name = str(value.value) if isinstance(value, a.Literal) else ""
    call = item.value
    if isinstance(call, a.Call) and call.args and not isinstance(call.args[0], a.Star):
        inner: a.Expr = a.Case((a.Branch(same, call.args[0]),))
        made: a.Expr = a.Call(call.function, (inner, *call.args[1:]), call.named, call.distinct, call.type)
    else:
        made = a.Call("count", (a.Case((a.Branch(same, a.Literal(1, LONG)),)),), type=LONG)
    return a.Item(f"{name}_{item.name}" if several else name, made)
