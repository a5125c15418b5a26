"""SELECT blocks: which operators share one, and what happens when the next one can't join (query reference, 11.2).

A block is open while operators join it. One that can't join without changing the sequential meaning wraps it as a
sub-select. Then two things can be lost that later operators need: a sort whose keys don't survive, and the qualified
columns of a join. Both travel as *hidden* columns: extra items of the inner block that every ``*`` outside leaves out.
For that, blocks are rendered only at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Protocol

from sqlglot import exp

from wvflow.errors import CompilerBug
from wvflow.sql import DialectCannot
from wvflow.sql.context import Context


class Slot(Enum):
    """What a block has; ``POSITION`` is a sort by the number of an output column."""

    WHERE = auto()
    GROUP = auto()
    ITEMS = auto()
    DISTINCT = auto()
    ORDER = auto()
    POSITION = auto()
    LIMIT = auto()
    OFFSET = auto()
    JOIN = auto()


_PROJECTED = frozenset({Slot.ITEMS, Slot.GROUP, Slot.DISTINCT})
_CUT = frozenset({Slot.LIMIT, Slot.OFFSET})

_ALL_ROWS = 2**63 - 1

# Operators that may not join a block which has any of these.
BARRED = {
    "where": _PROJECTED | _CUT,
    "group by": _PROJECTED | _CUT | {Slot.ORDER},
    "count": _PROJECTED | _CUT | {Slot.ORDER},
    "select": _PROJECTED | _CUT | {Slot.POSITION},
    "select distinct": _PROJECTED | _CUT | {Slot.ORDER},
    "add": _PROJECTED | _CUT | {Slot.POSITION},
    "exclude": _PROJECTED | _CUT | {Slot.POSITION},
    "dedup": _CUT | {Slot.DISTINCT, Slot.ORDER},
    "order by": _CUT | {Slot.DISTINCT, Slot.ORDER},
    "limit": frozenset({Slot.LIMIT}),
    "offset": _CUT,
    "join": _PROJECTED | _CUT | {Slot.WHERE, Slot.ORDER},
}
# Operators whose result comes in the order of their input.
KEEP_ORDER = frozenset({"where", "select", "add", "exclude", "limit", "offset"})


@dataclass(frozen=True)
class Output:
    """One item: a value with its name, or (``value`` None) a star over the source ``table`` or over all of them,
    without the columns ``left_out`` and with some ``renamed``; ``each`` is an aggregate of every one of its columns.
    What a star hides is known only when the block is rendered."""

    name: str
    value: exp.Expr | None
    table: str = ""
    left_out: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    each: str = ""

    def leaves_out(self, name: str) -> bool:
        return _among(name, (*self.left_out, *[old for old, _ in self.renamed]))

    def renaming(self, name: str) -> str:
        """What a column is called behind it."""
        return next((new for old, new in self.renamed if _among(name, [old])), name)


def _among(name: str, names: Iterable[str]) -> bool:
    """Whether one of the names is this, in any case."""
    return any(one.lower() == name.lower() for one in names)


EVERYTHING = Output("", None)


@dataclass(frozen=True)
class SortBy:
    value: exp.Expr
    descending: bool
    nulls_first: bool

    @property
    def is_position(self) -> bool:
        return isinstance(self.value, exp.Literal)


class Query(Protocol):
    """What can stand in parentheses as a source."""

    @property
    def hidden(self) -> tuple[str, ...]: ...

    def names(self) -> list[str] | None:
        """Names of the columns to be seen, None when they aren't all known."""
        ...

    def expose(self, name: str, table: str) -> str | None:
        """Add a hidden column with that column of an inner table; its name, None when it can't be had."""
        ...

    def render(self) -> exp.Query: ...


@dataclass
class Source:
    """An entry of FROM: ``node`` as it stands, or a query in parentheses. ``alias`` ``""`` is none; ``inherited``: it
    is that of the one source inside."""

    node: exp.Expr | None
    query: Query | None
    alias: str
    columns: tuple[str, ...] = ()
    join: exp.Join | None = None
    inherited: bool = False

    @property
    def hidden(self) -> tuple[str, ...]:
        return self.query.hidden if self.query else ()

    def render(self, context: Context) -> exp.Expr:
        node = self.node.copy() if self.node is not None else self._nested(context)
        if self.alias and (self.columns or node.name != self.alias or not isinstance(node, exp.Table)):
            columns = [context.name(column) for column in self.columns]
            node.set("alias", exp.TableAlias(this=context.name(self.alias), columns=columns))
        return node

    def _nested(self, context: Context) -> exp.Expr:
        if self.query is None:
            raise CompilerBug("a source is neither a table nor a query")
        return exp.Subquery(this=context.nested(self.query))


@dataclass
class Block:
    """One open SELECT. ``leading`` are the keys of joins with ``using``, which come first in ``*``."""

    context: Context
    sources: list[Source]
    leading: tuple[str, ...] = ()
    where: list[exp.Expr] = field(default_factory=list)
    group: list[exp.Expr] = field(default_factory=list)
    having: list[exp.Expr] = field(default_factory=list)
    items: list[Output] | None = None
    extra: list[Output] = field(default_factory=list)
    distinct: bool = False
    order: list[SortBy] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0

    # --- joining and wrapping ---

    def has(self, slots: Iterable[Slot]) -> bool:
        """Whether the block has any of these."""
        return any(_PRESENT[slot](self) for slot in slots)

    def for_operator(self, operator: str) -> Block:
        """This block where the operator may join it, else a new one around it."""
        if not self.has(BARRED[operator]):
            return self
        return self.wrapped(keep_order=operator in KEEP_ORDER)

    @property
    def is_bare(self) -> bool:
        """Nothing but one source."""
        return len(self.sources) == 1 and not self.extra and not self.has(Slot)

    def wrapped(self, *, keep_order: bool = False, alias: str = "") -> Block:
        """A block over this one as a sub-select. A single source's alias goes on naming its result."""
        outer = Block(self.context, [Source(None, self, alias or self._alias(), inherited=not alias)])
        if keep_order and self.order:
            surviving = [self._surviving(key) for key in self.order]
            outer.order = [key for key in surviving if key is not None]
            if len(outer.order) < len(surviving):
                outer.order = []
            elif not self.has(_CUT):
                self.order = []
        return outer

    def shielded(self, names: frozenset[str]) -> Block:
        """This block, or one around it, whose sort keys don't come to mean items of these names."""
        if not any(column.name.lower() in names for key in self.order for column in _unqualified(key.value)):
            return self
        block = self.wrapped(keep_order=True) if len(self.sources) > 1 else self
        source = block.sources[0]
        source.alias = source.alias or self.context.fresh()
        for key in block.order:
            for column in _unqualified(key.value):
                column.set("table", self.context.name(source.alias))
        return block

    def _alias(self) -> str:
        only = self.sources[0].alias if len(self.sources) == 1 else ""
        return only or self.context.fresh()

    def _surviving(self, key: SortBy) -> SortBy | None:
        """The sort key as it reads outside; None when there is no way to have it there."""
        if key.is_position:
            names = self.names()
            place = int(key.value.name)
            return replace(key, value=self._plain(names[place - 1])) if names and place <= len(names) else None
        if isinstance(key.value, exp.Column) and not key.value.table and self._passes(key.value.name):
            return replace(key, value=key.value.copy())
        hidden = self._hide(key.value, self.context.fresh("_k"))
        return replace(key, value=self._plain(hidden)) if hidden else None

    def _passes(self, name: str) -> bool:
        """Whether an unqualified column has the same meaning outside."""
        if any(name in source.hidden for source in self.sources):
            return False
        if self.items is None:
            return True
        if any(item.name.lower() == name.lower() for item in self.items):
            return True
        if any(new.lower() == name.lower() for item in self.items for _, new in item.renamed):
            return False
        return any(item.value is None and not item.each and not item.leaves_out(name) for item in self.items)

    def _hide(self, value: exp.Expr, name: str) -> str | None:
        if self.distinct:
            return None
        self.extra.append(Output(name, value.copy()))
        return name

    def _plain(self, name: str) -> exp.Column:
        return exp.Column(this=self.context.name(name))

    # --- as a scope of columns ---

    def column(self, name: str, table: str) -> exp.Expr:
        if table and (not self._qualifies(table) or not self._shows(name, table)):
            for source in self.sources:
                if source.query and (hidden := source.query.expose(name, table)):
                    return exp.Column(this=self.context.name(hidden), table=self.context.name(source.alias))
        qualifier = self.context.name(table) if table else None
        return exp.Column(this=self.context.name(name), table=qualifier)

    def every(self, table: str, columns: tuple[str, ...]) -> list[Output]:
        """``*``, or ``table.*``. Where the table is inside a sub-select now, its ``columns`` come from there."""
        if not table or (self._qualifies(table) and not (columns and self._reshaped(table))):
            return [Output("", None, table=table)]
        if not columns:
            raise DialectCannot(f"{table}.*", self.context.dialect, help="name the columns with `select`")
        return [Output(name, self.column(name, table)) for name in columns]

    def _reshaped(self, table: str) -> Block | None:
        """The sub-select that the table has become under its own name, with other columns than it had."""
        for source in self.sources:
            if source.inherited and source.alias.lower() == table.lower() and isinstance(inner := source.query, Block):
                return inner if inner.items is not None and inner._qualifies(table) else None
        return None

    def _shows(self, name: str, table: str) -> bool:
        """Whether ``table.name`` still means the table's own column."""
        inner = self._reshaped(table)
        if inner is None:
            return True
        return inner._shown(name, table) == name or any(
            item.value is None and not item.each and not item.leaves_out(name) for item in inner.items or ()
        )

    def _shown(self, name: str, table: str) -> str | None:
        """The name of the item that is nothing but that column of an inner table."""
        for item in self.items or ():
            match item.value:
                case exp.Column() as column if column.name == name and column.table.lower() in ("", table.lower()):
                    return item.name
        inner = self.sources[0].query if len(self.sources) == 1 else None
        below = inner._shown(name, table) if isinstance(inner, Block) else None
        return below if below is not None and self._passes(below) else None

    def _qualifies(self, table: str) -> bool:
        return any(source.alias.lower() == table.lower() for source in self.sources)

    def _star(self, star: Output) -> list[exp.Expr]:
        """The columns that a star stands for, as items."""
        traits = self.context.traits
        sources = [source for source in self.sources if not star.table or source.alias == star.table]
        hidden = [name for source in sources for name in source.hidden]
        leading = (
            [] if star.table or traits.using_first else [one for one in self.leading if not _among(one, star.left_out)]
        )
        left_out = dict.fromkeys((*star.left_out, *leading, *hidden))
        if left_out and not traits.star_except:
            return self._spelled_out(star)
        names = [self.context.name(name) for name in left_out]
        if star.renamed and not traits.star_rename:
            raise DialectCannot("rename", self.context.dialect, help="name the columns with `select`")
        renamed = [self._named(old, new) for old, new in star.renamed if not _among(old, leading)]
        every: exp.Expr = exp.Star(except_=names or None, rename=renamed or None)
        if star.table:
            every = exp.Column(this=every, table=self.context.name(star.table))
        if star.each:
            return [*[self._of_one(star.each, key) for key in leading], self._of_each(star.each, every)]
        return [*(self._named(key, star.renaming(key)) for key in leading), every]

    def _named(self, column: str, name: str) -> exp.Expr:
        plain = self._plain(column)
        return plain if column == name else exp.alias_(plain, self.context.name(name))

    def _of_each(self, aggregate: str, every: exp.Expr) -> exp.Expr:
        """``f(c)`` for every column ``c``, under that name."""
        if not self.context.is_duckdb:
            raise DialectCannot("group by", self.context.dialect, help="add `agg …` or `select …` behind it")
        call = exp.Anonymous(this=aggregate, expressions=[exp.Columns(this=every)])
        return exp.alias_(call, exp.to_identifier(f"{aggregate}(\\0)", quoted=True))

    def _of_one(self, aggregate: str, name: str) -> exp.Expr:
        call = exp.Anonymous(this=aggregate, expressions=[self._plain(name)])
        return exp.alias_(call, exp.to_identifier(f"{aggregate}({name})", quoted=True))

    def _spelled_out(self, star: Output) -> list[exp.Expr]:
        names = None if star.table else self._source_names()
        if names is None:
            operator = "exclude" if star.left_out else "select *"
            raise DialectCannot(operator, self.context.dialect, help="name the columns with `select`")
        return [self._plain(name) for name in names if not star.leaves_out(name)]

    # --- as a query ---

    @property
    def hidden(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.extra)

    def names(self) -> list[str] | None:
        if self.items is None:
            return self._source_names()
        return [item.name for item in self.items] if all(item.name for item in self.items) else None

    def _source_names(self) -> list[str] | None:
        if len(self.sources) != 1:
            return None
        source = self.sources[0]
        if source.columns or source.query is None:
            return list(source.columns) or None
        return source.query.names()

    def expose(self, name: str, table: str) -> str | None:
        if (shown := self._shown(name, table)) is not None:
            return shown
        if self.has((Slot.GROUP, Slot.DISTINCT)):
            return None
        hidden = f"{table}.{name}"
        if hidden in self.hidden:
            return hidden
        if self._qualifies(table) or any(s.query and s.query.expose(name, table) for s in self.sources):
            return self._hide(self.column(name, table), hidden)
        return None

    def render(self) -> exp.Query:
        if self.is_bare and (inner := self.sources[0].query) and not inner.hidden and not self.sources[0].columns:
            return inner.render()
        select = exp.Select(expressions=list(self._projections()), distinct=exp.Distinct() if self.distinct else None)
        if self.sources:
            select.set("from_", exp.From(this=self.sources[0].render(self.context)))
        for source in self.sources[1:]:
            if (join := source.join) is not None:
                join.set("this", source.render(self.context))
                select.append("joins", join)
        self._clauses(select)
        return select

    def _projections(self) -> Iterator[exp.Expr]:
        for item in (*(self.items if self.items is not None else (EVERYTHING,)), *self.extra):
            if item.value is None:
                yield from self._star(item)
            elif isinstance(item.value, exp.Column) and item.value.name == item.name:
                yield item.value
            else:
                yield exp.Alias(this=item.value, alias=self.context.name(item.name))

    def _clauses(self, select: exp.Select) -> None:
        if self.where:
            select.set("where", exp.Where(this=exp.and_(*self.where, copy=False)))
        if self.group:
            select.set("group", exp.Group(expressions=self.group))
        if self.having:
            select.set("having", exp.Having(this=exp.and_(*self.having, copy=False)))
        if self.order:
            select.set("order", exp.Order(expressions=[_ordered(key) for key in self.order]))
        if self.limit is not None:
            select.set("limit", exp.Limit(expression=exp.Literal.number(self.limit)))
        if self.offset and self.limit is None and self.context.traits.limit_before_offset:
            select.set("limit", exp.Limit(expression=exp.Literal.number(_ALL_ROWS)))
        if self.offset:
            select.set("offset", exp.Offset(expression=exp.Literal.number(self.offset)))


_PRESENT: dict[Slot, Callable[[Block], object]] = {
    Slot.WHERE: lambda block: block.where,
    Slot.GROUP: lambda block: block.group or block.having,
    Slot.ITEMS: lambda block: block.items is not None,
    Slot.DISTINCT: lambda block: block.distinct,
    Slot.ORDER: lambda block: block.order,
    Slot.POSITION: lambda block: any(key.is_position for key in block.order),
    Slot.LIMIT: lambda block: block.limit is not None,
    Slot.OFFSET: lambda block: block.offset,
    Slot.JOIN: lambda block: len(block.sources) > 1,
}


@dataclass
class Named:
    """A query of the ``WITH`` in front, by its name."""

    table: exp.Table
    columns: list[str] | None
    hidden: tuple[str, ...] = ()

    def names(self) -> list[str] | None:
        return self.columns

    def expose(self, name: str, table: str) -> str | None:
        return None

    def render(self) -> exp.Query:
        return exp.Select(expressions=[exp.Star()], from_=exp.From(this=self.table.copy()))


@dataclass
class Union:
    """Rows of several queries, one after the other."""

    parts: list[Query]
    by_name: bool = False
    hidden: tuple[str, ...] = ()

    def names(self) -> list[str] | None:
        return self.parts[0].names()

    def expose(self, name: str, table: str) -> str | None:
        return None

    def render(self) -> exp.Query:
        rendered = [_operand(part.render()) for part in self.parts]
        union = rendered[0]
        for part in rendered[1:]:
            union = exp.Union(this=union, expression=part, distinct=False, by_name=self.by_name)
        return union


@dataclass
class Combined:
    """The rows that two queries have in common, or those of the first only."""

    left: Query
    right: Query
    kind: str
    all: bool
    hidden: tuple[str, ...] = ()

    def names(self) -> list[str] | None:
        return self.left.names()

    def expose(self, name: str, table: str) -> str | None:
        return None

    def render(self) -> exp.Query:
        form = exp.Intersect if self.kind == "intersect" else exp.Except
        return form(this=_nested(self.left.render()), expression=_nested(self.right.render()), distinct=not self.all)


def _nested(query: exp.Query) -> exp.Query:
    """A query as it can stand beside another set operation, whatever binds tighter."""
    return exp.Subquery(this=query) if isinstance(query, exp.SetOperation) else _operand(query)


def _unqualified(value: exp.Expr) -> list[exp.Column]:
    return [column for column in value.find_all(exp.Column) if not column.table]


def _operand(query: exp.Query) -> exp.Query:
    """A query as it can stand beside ``UNION ALL``."""
    tail = query.args.get("order") or query.args.get("limit") or query.args.get("offset")
    return exp.Subquery(this=query) if tail else query


def _ordered(key: SortBy) -> exp.Ordered:
    return exp.Ordered(this=key.value, desc=key.descending, nulls_first=key.nulls_first)
