"""Relations to SELECT blocks, operator by operator (query reference, section 6)."""

from __future__ import annotations

from typing import assert_never

from sqlglot import exp

from wvflow.errors import CompilerBug
from wvflow.lang import algebra as a
from wvflow.lang.relations import fan_in_stages
from wvflow.sql import ColumnsDiffer, asof
from wvflow.sql.block import EVERYTHING, Block, Combined, Output, Query, SortBy, Source, Union
from wvflow.sql.context import Context
from wvflow.sql.reshaped import Reshaped
from wvflow.sql.scalars import Scalars
from wvflow.sql.shared import Shared
from wvflow.sql.sources import NamedSource, source

COUNT_NAME = "count_star()"
_SIDES = {"left": ("LEFT", ""), "right": ("RIGHT", ""), "full": ("FULL", "OUTER")}
_Reshaped = a.Exclude | a.Rename | a.Shift | a.Describe | a.Pivot | a.Unpivot | a.Sample
_Chained = a.Alias | a.Filter | a.Select | a.Extend | _Reshaped | a.Aggregate | a.Sort | a.Limit | a.Count | a.Distinct


class Relations:
    """Lowers the relations of one task."""

    def __init__(self, context: Context, shared: Shared) -> None:
        self.context = context
        self.shared = shared
        context.query = lambda relation: self.lower(relation).render()

    def lower(self, relation: a.Rel) -> Block:
        """The relation as a block, still open. A pipeline is followed without recursion, however long."""
        operators: list[_Chained] = []
        while isinstance(relation, _Chained):
            operators.append(relation)
            closed = isinstance(relation, a.Alias) and relation.closed
            relation = relation.input
            if closed:
                block = self.shared.use(relation, self.lower)
                break
        else:
            block = self._beginning(relation)
        for operator in reversed(operators):
            block = self._apply(operator, block)
        return block

    def _beginning(self, relation: a.Rel) -> Block:
        match relation:
            case a.Join():
                return self._join(relation)
            case a.Concat():
                return self._concat(relation)
            case a.SetOperation(left=left, right=right, kind=kind, all=every):
                self.context.refuse(f"{kind} all" if every else kind)
                return self._over(Combined(self.lower(left), self.lower(right), kind, every))
            case a.FanIn():
                return self._fan_in(relation)
            case a.Single():
                return Block(self.context, [])
        if isinstance(relation, NamedSource):
            return Block(self.context, [source(relation, self.context)])
        raise CompilerBug(f"no source: {type(relation).__name__}")

    def _apply(self, operator: _Chained, block: Block) -> Block:
        match operator:
            case a.Alias():
                return self._alias(operator, block)
            case a.Filter():
                return self._where(operator, block)
            case a.Select():
                return self._select(operator, block)
            case a.Extend():
                return self._add(operator, block)
            case a.Exclude() | a.Rename() | a.Shift():
                return self._columns(operator, block)
            case a.Describe() | a.Pivot() | a.Unpivot() | a.Sample():
                return self._over(Reshaped(self, operator, block))
            case a.Aggregate():
                return self._aggregate(operator, block)
            case a.Sort():
                return self._sort(operator, block)
            case a.Limit():
                return self._limit(operator, block)
            case a.Count():
                block = block.for_operator("count")
                block.items = [Output(COUNT_NAME, exp.Count(this=exp.Star()))]
                return block
            case a.Distinct():
                block = block.for_operator("dedup")
                block.distinct = True
                return block
            case _:
                assert_never(operator)

    def _columns(self, operator: a.Exclude | a.Rename | a.Shift, block: Block) -> Block:
        """Operators over columns that the compiler didn't know."""
        block = block.for_operator("exclude")
        match operator:
            case a.Exclude(names=names):
                block.items = [Output("", None, left_out=names)]
            case a.Rename(names=names):
                block.items = [Output("", None, renamed=names)]
            case a.Shift(names=names, last=last):
                moved = [Output(name, block.column(name, "")) for name in names]
                rest = Output("", None, left_out=names)
                block.items = [rest, *moved] if last else [*moved, rest]
        return block

    # --- one input ---

    def _scalars(self, block: Block) -> Scalars:
        return Scalars(self.context, block)

    def _alias(self, operator: a.Alias, block: Block) -> Block:
        if operator.columns:
            self.context.refuse("as t(c)")
        if block.is_bare and not block.sources[0].columns:
            block.sources[0].alias, block.sources[0].columns = operator.name, operator.columns
            block.sources[0].inherited = False
            return block
        outer = block.wrapped(keep_order=not operator.columns, alias=operator.name)
        outer.sources[0].columns = operator.columns
        return outer

    def _where(self, operator: a.Filter, block: Block) -> Block:
        block = block.for_operator("where")
        block.where.append(self._condition(operator.condition, block))
        return block

    def _condition(self, condition: a.Expr, block: Block) -> exp.Expr:
        return self._scalars(block).lower(condition)

    def _select(self, operator: a.Select, block: Block) -> Block:
        block = block.for_operator("select distinct" if operator.distinct else "select")
        block = block.shielded(_new_names(operator.items))
        block.items = self._outputs(operator.items, block)
        block.distinct = operator.distinct
        return block

    def _add(self, operator: a.Extend, block: Block) -> Block:
        block = block.for_operator("add").shielded(_new_names(operator.items))
        added = self._outputs(operator.items, block)
        block.items = [*added, EVERYTHING] if operator.first else [EVERYTHING, *added]
        return block

    def _outputs(self, items: tuple[a.Item, ...], block: Block) -> list[Output]:
        scalars = self._scalars(block)
        outputs = []
        for item in items:
            match item:
                case a.Item(value=a.Star(table=table, columns=columns)):
                    outputs += block.every(table, columns)
                case a.Item(name="", value=a.Call(function=aggregate, args=(a.Star(),))):
                    outputs.append(Output("", None, each=aggregate))
                case a.Item(name=name, value=value):
                    outputs.append(Output(name, scalars.lower(value)))
        return outputs

    def _aggregate(self, operator: a.Aggregate, block: Block) -> Block:
        block = block.for_operator("group by")
        keys = self._outputs(operator.keys, block)
        items = self._outputs(operator.items, block)
        block.group = [_group_key(key.value) for key in keys if key.value is not None]
        block.having = [self._condition(condition, block) for condition in operator.having]
        block.items = [*keys, *items] if operator.keys_shown else items
        return block

    def _sort(self, operator: a.Sort, block: Block) -> Block:
        block = block.for_operator("order by")
        keys = [self._sort_key(key, block) for key in operator.keys]
        if any(_reads_inside(key.value, block) for key in keys):
            block = block.wrapped()
            keys = [self._sort_key(key, block) for key in operator.keys]
        block.order = keys
        return block

    def _sort_key(self, key: a.SortKey, block: Block) -> SortBy:
        value = self._scalars(block).lower(key.value)
        if not isinstance(value, exp.Column) and not _reads_inside(value, block):
            value = value.transform(lambda node: _item_behind(node, block))
        return SortBy(value, key.descending, key.nulls == "first")

    def _limit(self, operator: a.Limit, block: Block) -> Block:
        block = block.for_operator("offset" if operator.offset else "limit")
        block.limit, block.offset = operator.count, operator.offset or block.offset
        return block

    # --- several inputs ---

    def _join(self, join: a.Join) -> Block:
        left = self.lower(join.left).for_operator("join")
        right = self.lower(join.right)
        if not right.is_bare:
            right = right.wrapped()
        source = right.sources[0]
        self.context.refuse(f"{join.kind} join")
        if join.asof:
            self.context.refuse("asof join")
        source.join = self._clause(join)
        block = Block(self.context, [*left.sources, source])
        block.leading = tuple(dict.fromkeys((*join.using, *left.leading)))
        if join.asof and not self.context.is_duckdb:
            asof.match(join, block, self._scalars(block))
        elif join.on is not None:
            source.join.set("on", self._condition(join.on, block))
        return block

    def _clause(self, join: a.Join) -> exp.Join:
        side, kind = _SIDES.get(join.kind, ("", ""))
        if join.asof:
            using = [self.context.name(name) for name in join.using] or None
            return exp.Join(method="ASOF", side=side, kind=kind, using=using)
        if join.using:
            using = [self.context.name(name) for name in join.using]
            return exp.Join(side=side, kind=kind, using=using)
        if join.kind == "cross" or (join.kind == "inner" and join.on is None):
            return exp.Join(kind="CROSS")
        return exp.Join(side=side, kind=kind, on=exp.true())

    def _concat(self, concat: a.Concat) -> Block:
        inputs: list[a.Rel] = [concat.right]
        first = concat.left
        while isinstance(first, a.Concat):
            inputs.append(first.right)
            first = first.left
        parts: list[Query] = [self.lower(one) for one in (first, *reversed(inputs))]
        return self._over(Union(parts))

    def _fan_in(self, merge: a.FanIn) -> Block:
        parts: list[Query] = [self.lower(one) for one in merge.inputs]
        known = [self.context.columns.get(stage) for stage in fan_in_stages(merge)]
        columns = [tuple(names) for names in known if names is not None]
        if len(parts) == 1:
            return self._over(parts[0])
        if len(columns) < len(parts):
            return self._over(Union(parts, by_name=self.context.traits.union_by_name))
        if len({frozenset(map(str.lower, names)) for names in columns}) == 1:
            return self._by_name(merge, parts, columns[0])
        if len({len(names) for names in columns}) > 1:
            raise _columns_differ(merge, columns)
        return self._over(Union(parts))

    def _by_name(self, merge: a.FanIn, parts: list[Query], columns: tuple[str, ...]) -> Block:
        if self.context.traits.union_by_name:
            return self._over(Union(parts, by_name=True))
        items = tuple(a.Item(name, a.Column(name)) for name in columns)
        return self._over(Union([self.lower(a.Select(one, items)) for one in merge.inputs]))

    def _over(self, query: Query) -> Block:
        return Block(self.context, [Source(None, query, self.context.fresh())])


def _group_key(value: exp.Expr) -> exp.Expr:
    """A key that is not taken for the number of an item."""
    number = value.this if isinstance(value, exp.Neg) else value
    if isinstance(number, exp.Literal) and not number.is_string:
        return exp.Cast(this=value.copy(), to=exp.DataType(this=exp.DataType.Type.BIGINT))
    return value.copy()


def _new_names(items: tuple[a.Item, ...]) -> frozenset[str]:
    """Names that mean something else than the input's column of that name."""
    return frozenset(
        item.name.lower()
        for item in items
        if not isinstance(item.value, a.Star)
        and not (isinstance(item.value, a.Column) and item.value.name == item.name)
    )


def _item_behind(node: exp.Expr, block: Block) -> exp.Expr:
    """In a sort key that is more than a name, the value of an item stands in for the item's name."""
    if not isinstance(node, exp.Column) or node.table:
        return node
    for item in block.items or ():
        if item.value is not None and item.name.lower() == node.name.lower():
            return item.value.copy() if isinstance(item.value, exp.Column) else exp.Paren(this=item.value.copy())
    return node


def _reads_inside(value: exp.Expr, block: Block) -> bool:
    """Whether a key holds a query of its own and so can't be rewritten."""
    return block.items is not None and value.find(exp.Query) is not None


def _columns_differ(merge: a.FanIn, columns: list[tuple[str, ...]]) -> ColumnsDiffer:
    found = zip(fan_in_stages(merge), columns, strict=True)
    counts = ", ".join(f"`{stage}` has {len(names)}" for stage, names in found)
    return ColumnsDiffer(
        f"merged stages have different numbers of columns: {counts}", help="select the same columns in each stage"
    )
