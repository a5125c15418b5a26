"""Queries of the text to relations of the algebra, with what is known of their columns (query reference, 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from wvflow.lang.algebra import (
    Alias,
    Between,
    Binary,
    Call,
    Cast,
    Column,
    Concat,
    Count,
    Distinct,
    Expr,
    Extend,
    FanIn,
    Filter,
    Join,
    Limit,
    Literal,
    SetOperation,
    Single,
    Sort,
    SortKey,
    StageRows,
    TableFunction,
    Unary,
    Value,
    Window,
)
from wvflow.lang.algebra import Select as SelectRel
from wvflow.lang.relations import own_nodes
from wvflow.lang.stdlib import AGGREGATES
from wvflow.lang.types import LONG, NULL, STRING
from wvflow.semantics import expressions, grouping, mistakes, observing, partial, reshaping, shows, sources
from wvflow.semantics.items import check_new, columns_of, read_items, still_qualified
from wvflow.semantics.naming import COUNT_NAME
from wvflow.semantics.scopes import Col, Columns, Relation, Scope, Shape, column, merged
from wvflow.semantics.windows import sort_key
from wvflow.source import Span
from wvflow.syntax import nodes as n

_INEQUALITIES = frozenset({"<", "<=", ">", ">="})


class Body(NamedTuple):
    """A query without the wrappings around its input: braces, and CTEs, which are in the scope now."""

    input: n.From | n.SelectQuery | n.ShowInput | n.DescribeInput | n.Merge | n.CallInput | None
    operators: tuple[n.Operator, ...]
    scope: Scope


def query(node: n.Query, scope: Scope) -> Relation:
    """A query inside another one, or a model's. Effects can't stand in it."""
    body = unwrapped(node, scope)
    if isinstance(body.input, n.CallInput):
        scope.session.report(mistakes.only_in_stage("a call of an activity", body.input.span))
        return sources.NOWHERE
    return operate(beginning(body.input, body.scope), body.operators, body.scope)


def unwrapped(node: n.Query, scope: Scope) -> Body:
    """A query as its innermost input and all operators behind it."""
    source: n.Input | None = node.input
    operators = node.operators
    while isinstance(source, n.With | n.Braced):
        if isinstance(source, n.With):
            scope = _with_ctes(source.ctes, scope)
        inner = source.query
        source, operators = inner.input, (*inner.operators, *operators)
    return Body(source, partial.inlined(operators, scope.session), scope)


def _with_ctes(ctes: tuple[n.Cte, ...], scope: Scope) -> Scope:
    """Each CTE is visible behind itself."""
    for cte in ctes:
        if isinstance(cte.body, n.InlineRows):
            found = sources.inline(cte.body, cte.name.text, cte.columns, scope)
        else:
            found = sources.with_columns(query(cte.body, scope), cte.name, cte.columns, scope)
        scope = replace(scope, ctes={**scope.ctes, cte.name.text: found})
    return scope


def beginning(node: n.From | n.SelectQuery | n.ShowInput | n.DescribeInput | n.Merge | None, scope: Scope) -> Relation:
    match node:
        case n.From():
            return _from(node, scope)
        case n.SelectQuery(select=select):
            return _select(select, Relation(Single(), Shape(())), scope.over(None))
        case n.ShowInput():
            return shows.show(node, scope)
        case n.DescribeInput(source=source):
            return reshaping.describe(sources.source(source, scope.over(None)))
        case n.Merge():
            return _merge(node, scope)
        case None if scope.forking is not None:
            return sources.stage_rows(scope.forking, "", scope)
        case None:
            return sources.NOWHERE


def operate(found: Relation, operators: tuple[n.Operator, ...], scope: Scope) -> Relation:
    """The relation behind these operators, each over the whole result of the one before."""
    while operators and scope.session.applied:  # each means what the file that it stands in says
        with scope.session.within(operators[0].span):
            found, operators = _next(found, operators, scope)
    while operators:
        found, operators = _next(found, operators, scope)
    return found


def _next(found: Relation, operators: tuple[n.Operator, ...], scope: Scope) -> tuple[Relation, tuple[n.Operator, ...]]:
    """The relation behind the first operator, or behind those that belong together, and the operators that are left."""
    if (group := grouping.split(operators)) is not None:
        for conditions, observer in group.observers:
            observing.observe(observer, grouping.seen(group, conditions, found, scope), scope)
        return grouping.grouped(group, found, scope)
    if (pivoting := reshaping.split_pivot(operators)) is not None:
        for above, observer in pivoting.observers:
            observing.observe(observer, reshaping.pivot(above, found, scope), scope)
        return reshaping.pivot(pivoting, found, scope), pivoting.rest
    if isinstance(operators[0], n.ExcludeOp):
        described = isinstance(operators[1], n.DescribeOp) if operators[1:] else False
        return reshaping.exclude(operators[0], found, scope.over(found.shape), described=described), operators[1:]
    return _apply(operators[0], found, scope), operators[1:]


def _apply(operator: n.Operator, found: Relation, scope: Scope) -> Relation:
    rel, shape = found
    match operator:
        case n.WhereOp(condition=condition):
            return _where(condition, found, scope.over(shape))
        case n.SelectOp():
            return _select(operator, found, scope.over(shape))
        case n.AddOp():
            return _add(operator, found, scope.over(shape))
        case n.AggOp():
            return grouping.aggregated(operator, found, scope)
        case n.RenameOp():
            return reshaping.rename(operator, found, scope.over(shape))
        case n.ShiftOp():
            return reshaping.shift(operator, found, scope.over(shape))
        case n.DescribeOp():
            return reshaping.describe(found)
        case n.UnpivotOp():
            return reshaping.unpivot(operator, found, scope.over(shape))
        case n.SampleOp():
            return reshaping.sample(operator, found, scope)
        case n.SetOp():
            return _set_operation(operator, found, scope)
        case n.TestOp() | n.DebugOp():
            return observing.observe(operator, found, scope)
        case n.OrderOp(keys=keys):
            _check_positions(keys, shape, scope)
            over = scope.over(shape.for_sorting)
            return Relation(Sort(rel, tuple([_ordering(one, over) for one in keys])), shape)
        case n.LimitOp(count=count):
            return Relation(_limited(rel, count), shape)
        case n.OffsetOp(count=count):
            return Relation(Limit(rel, None, count), shape)
        case n.CountOp():
            return Relation(Count(rel), Shape((Col(COUNT_NAME, LONG),)))
        case n.DedupOp():
            qualifiers = shape.qualifiers if len(shape.qualifiers) == 1 else {}
            return Relation(Distinct(rel), shape.still(shape.columns)._replace(qualifiers=qualifiers))
        case n.JoinOp():
            return _join(operator, found, scope)
        case n.ConcatOp():
            return _concat(operator, found, scope)
        case _:
            return _refused(operator, found, scope)


def _refused(operator: n.Operator, found: Relation, scope: Scope) -> Relation:
    match operator:
        case n.ForkOp(span=span) | n.RouteOp(span=span) | n.EndOp(span=span):
            scope.session.report(mistakes.only_in_stage(f"`{span.text.split('(')[0].split()[0]}`", span))
        case n.SaveOp(span=span) | n.AppendOp(span=span):
            scope.session.report(mistakes.only_in_stage(f"`{span.text.split(maxsplit=1)[0]} to`", span))
        case n.DeleteOp(span=span):
            scope.session.report(mistakes.only_in_stage("`delete`", span))
        case n.ApplyOp(call=call):
            return _unknown_partial(call, found, scope)
        case n.CallOp(call=call):
            scope.session.report(mistakes.only_in_stage(f"`| call {call.function.text}(…)`", call.function.span))
        case n.ActivateOp():
            scope.session.report(mistakes.only_in_stage("`| activate(…)`", operator.span))
        case n.InvokeOp(call=call, jump=False) if scope.stage:
            scope.session.report(mistakes.only_in_stage(f"`| -> {call.function.text}(…)`", operator.span))
            return Relation(found.rel, Shape())
        case n.WaitOp() | n.WaitUntilOp() | n.WaitForOp():
            scope.session.report(mistakes.only_in_stage("`| wait`", operator.span))
        case n.WhileOp():
            scope.session.report(mistakes.only_in_stage("`| while`", operator.span))
        case n.InvokeOp():
            word = operator.span.text.split("(")[0].split()[0]
            scope.session.report(mistakes.not_available(word, operator.span))
            return Relation(found.rel, Shape())
    return found


def _unknown_partial(call: n.CallExpr, found: Relation, scope: Scope) -> Relation:
    """``| name`` that is no partial query: an activity inside of a query, or nothing at all."""
    session, name = scope.session, call.function
    if session.is_activity(name.text):
        session.report(mistakes.only_in_stage(f"`| {name.text}(…)`", name.span))
    else:
        session.report(mistakes.unknown_partial_query(name.text, name.span, session.definitions.functions))
    return found


# --- one input ------------------------------------------------------------------------------------------------------


def _where(node: n.Expr, found: Relation, scope: Scope) -> Relation:
    """The rows that meet a condition, which is about one row at a time."""
    condition = expressions.condition(node, scope)
    for one in own_nodes(condition):
        if isinstance(one, Window):
            scope.session.report(mistakes.window_in_where(node.span))
            break
        if isinstance(one, Call) and one.function in AGGREGATES:
            scope.session.report(mistakes.aggregate_in_where(one.function, node.span))
            break
    return Relation(Filter(found.rel, condition), found.shape)


def _select(operator: n.SelectOp, found: Relation, scope: Scope) -> Relation:
    if operator.alias is not None:
        scope.session.report(mistakes.only_in_statement(f"select as {operator.alias.text}", operator.span))
        return found
    items = read_items(operator.items, scope)
    rel = SelectRel(found.rel, items, operator.distinct)
    columns = columns_of(items, scope)
    shape = found.shape.still(columns) if _keeps_all(operator.items) else found.shape.now(columns)
    if operator.distinct:
        shape = shape._replace(below=(), qualifiers=still_qualified(items, found.shape))
    return Relation(rel, shape)


def _keeps_all(items: tuple[n.SelectItem, ...]) -> bool:
    """Whether a bare `*` is among the items: then all columns stay."""
    return any(isinstance(one.value, n.StarRef) and one.value.qualifier is None for one in items)


def _add(operator: n.AddOp, found: Relation, scope: Scope) -> Relation:
    items = read_items(operator.items, scope)
    existing = found.shape.columns
    check_new(operator.items, items, existing, scope)
    added = columns_of(items, scope)
    columns = merged(added, existing) if operator.first else merged(existing, added)
    return Relation(Extend(found.rel, items, operator.first), found.shape.still(columns))


def _check_positions(keys: tuple[n.SortItem, ...], shape: Shape, scope: Scope) -> None:
    """A number alone is that of a column, counted from 1."""
    if shape.columns is None:
        return
    for number in (one.value for one in keys if isinstance(one.value, n.NumberLiteral) and _is_position(one.value)):
        if not 1 <= int(number.text) <= len(shape.columns):
            scope.session.report(mistakes.no_such_position(number.text, len(shape.columns), number.span))


def _ordering(node: n.SortItem, scope: Scope) -> SortKey:
    """A sort key. Only a number as it stands is a column's; any other constant is a value, which orders nothing."""
    key = sort_key(node, scope)
    constant = key.value.operand if isinstance(key.value, Unary) else key.value
    if not isinstance(constant, Literal | Value) or _is_position(node.value):
        return key
    type_ = constant.type if constant.type.is_known and constant.type != NULL else STRING
    return SortKey(Cast(key.value, type_), key.descending, key.nulls)


def _is_position(node: n.Expr) -> bool:
    return isinstance(node, n.NumberLiteral) and node.kind == "int"


def _limited(rel: object, count: int) -> Limit:
    """``limit`` right behind ``offset`` is one operator with it."""
    if isinstance(rel, Limit) and rel.count is None:
        return Limit(rel.input, count, rel.offset)
    return Limit(rel, count)  # type: ignore[arg-type]  # any relation


# --- several inputs -------------------------------------------------------------------------------------------------


def _from(node: n.From, scope: Scope) -> Relation:
    """One source; stages only: fan-in; no stage among several: cross join."""
    if len(node.sources) == 1:
        return sources.source(node.sources[0], scope.over(None))
    stages = [one for one in node.sources if sources.is_stage(one, scope)]
    if len(stages) == len(node.sources):
        for one in stages:
            if one.alias is not None:
                scope.session.report(mistakes.alias_in_fan_in(one.span))
        return _fan_in([_stage_name(one) for one in stages], "from", node.span, scope)
    if stages:
        other = next(one for one in node.sources if one not in stages)
        stage = _stage_name(stages[0])
        scope.session.report(mistakes.mixed_sources(stage.text, f"`{other.primary.span.text}`", other.span))
    found = sources.source(node.sources[0], scope.over(None))
    for one in node.sources[1:]:
        right = sources.source(one, scope.over(found.shape))
        _check_names(found, right, one.span, scope)
        found = _joined(found, right, "cross", None, scope)
    return found


def _stage_name(node: n.Aliased) -> n.Name:
    assert isinstance(node.primary, n.TableRef)
    return node.primary.parts[0]


def _merge(node: n.Merge, scope: Scope) -> Relation:
    missing = [name for name in node.stages if name.text not in scope.stages or name.text == scope.stage]
    for name in missing:
        scope.session.report(sources.not_a_stage(name, scope))
    if missing:
        return sources.NOWHERE
    if node.on is None:
        return _fan_in(list(node.stages), "merge", node.span, scope)
    found = sources.stage_rows(node.stages[0], "", scope)
    for name in node.stages[1:]:
        right = sources.stage_rows(name, "", scope)
        _check_names(found, right, name.span, scope)
        found = _joined(found, right, "inner", node.on, scope)
    return found


def _fan_in(several: list[n.Name], word: str, span: Span, scope: Scope) -> Relation:
    """Columns by name when the names are the same set, else by position."""
    found = [sources.stage_rows(name, "", scope) for name in several]
    inputs = tuple(one.rel for one in found if isinstance(one.rel, StageRows))
    if len(inputs) == 1:
        return found[0]
    known = [one.shape.columns for one in found if one.shape.columns is not None]
    counts = [len(columns) for columns in known]
    if len(set(counts)) > 1:
        scope.session.report(mistakes.different_columns(word, counts, span))
    columns = known[0] if len(known) == len(found) else None
    row_types = {one.shape.row_type for one in found}
    return Relation(FanIn(inputs), Shape(columns, row_type=row_types.pop() if len(row_types) == 1 else ""))


def _join(operator: n.JoinOp, found: Relation, scope: Scope) -> Relation:
    right = sources.source(operator.right, scope.over(found.shape))
    _check_names(found, right, operator.right.span, scope)
    if operator.asof and operator.on is None:
        scope.session.report(mistakes.asof_without_condition(operator.span.first("asof")))
    return _joined(found, right, operator.kind, operator.on, scope, asof=operator.asof)


def _check_names(left: Relation, right: Relation, use: Span, scope: Scope) -> None:
    """Report a source that is called as one to its left: nothing of either could be named."""
    taken = {name.lower() for name in left.shape.qualifiers}
    for name in right.shape.qualifiers:
        if name.lower() in taken:
            scope.session.report(mistakes.duplicate_source(name, use))


def _joined(
    left: Relation,
    right: Relation,
    kind: str,
    on: n.Expr | tuple[n.Name, ...] | None,
    scope: Scope,
    *,
    asof: bool = False,
) -> Relation:
    if len(left.shape.qualifiers) < 2 or not isinstance(right.rel, TableFunction):  # whose arguments may name them
        left = _told_apart(left, right.shape, using=isinstance(on, tuple))
    both = left.shape.beside(right.shape)
    if isinstance(on, tuple):
        using = tuple([_shared(name, left.shape, right.shape, scope) for name in on])
        columns = _columns_using(left.shape.columns, right.shape.columns, using)
        rel = Join(left.rel, right.rel, kind, None, using, asof)  # type: ignore[arg-type]  # the parser's kinds
        return Relation(rel, both.still(columns))
    condition = None if on is None else expressions.condition(on, scope.over(both))
    if asof and on is not None and condition is not None:
        _check_asof(condition, left.shape, right.shape, on.span, scope)
    rel = Join(left.rel, right.rel, kind, condition, asof=asof)  # type: ignore[arg-type]  # the parser's kinds
    return Relation(rel, both)


def _told_apart(left: Relation, right: Shape, *, using: bool) -> Relation:
    """The left side, which has a name of its own where a column's name that the right side has too could not be traced
    to it: an unqualified one means the left-most. To join ``using`` a name, there may be only one at the left."""
    columns, qualifiers = left.shape.columns, left.shape.qualifiers
    as_they_stood = merged(*qualifiers.values()) == columns and (len(qualifiers) < 2 or not left.shape.below)
    shared = [col for col in columns or () if column(right.columns or (), col.name)]
    if columns is None or not shared or (as_they_stood and not (using and len(qualifiers) > 1)):
        return left
    fresh = (f"_left{number}" for number in count(1))
    name = next(iter(qualifiers)) if len(qualifiers) == 1 else next(one for one in fresh if one not in qualifiers)
    shape = left.shape._replace(
        qualifiers={name: columns} | {**qualifiers, name: columns},
        below=(),
        row_types={name: left.shape.row_type, **left.shape.row_types},
    )
    return Relation(Alias(left.rel, name), shape)


def _check_asof(condition: Expr, left: Shape, right: Shape, use: Span, scope: Scope) -> None:
    """Just one inequality says what is near: one between a column of each side."""
    if left.columns is None or right.columns is None:
        return
    parts = list(_conjuncts(condition))
    if any(isinstance(one, Between) for one in parts):
        return
    found = [one for one in parts if isinstance(one, Binary) and one.op in _INEQUALITIES]
    across = [one for one in found if _sides(one.left, left) | _sides(one.right, left) == {"left", "right"}]
    if len(across) != 1:
        scope.session.report(mistakes.asof_inequalities(len(across), use))


def _conjuncts(condition: Expr) -> Iterator[Expr]:
    waiting = [condition]
    while waiting:
        match waiting.pop():
            case Binary(op="and", left=left, right=right):
                waiting += (right, left)
            case other:
                yield other


def _sides(value: Expr, left: Shape) -> set[str]:
    """From which sides of a join an expression has its columns."""
    columns = [one for one in own_nodes(value) if isinstance(one, Column)]
    return {"left" if _is_of(one, left) else "right" for one in columns}


def _is_of(col: Column, side: Shape) -> bool:
    return col.table in side.qualifiers if col.table else column(side.columns or (), col.name) is not None


def _shared(name: n.Name, left: Shape, right: Shape, scope: Scope) -> str:
    """A column that both sides must have."""
    scope.session.use(name.text, name.span)
    for side in (left.columns, right.columns):
        if side is not None and column(side, name.text) is None:
            scope.session.report(mistakes.unknown_column(name.text, name.span, side))
            break
    return name.text


def _columns_using(left: Columns, right: Columns, using: tuple[str, ...]) -> Columns:
    if left is None or right is None:
        return None
    shared = {name.lower() for name in using}
    first = tuple(found for name in using if (found := column(left, name)) is not None)
    others = [col for index, col in enumerate(left) if index not in {left.index(one) for one in first}]
    return (*first, *others, *[col for col in right if col.name.lower() not in shared])


def _concat(operator: n.ConcatOp, found: Relation, scope: Scope) -> Relation:
    other = query(operator.query, scope.over(None))
    left, right = found.shape.columns, other.shape.columns
    if left is not None and right is not None and len(left) != len(right):
        scope.session.report(mistakes.different_columns("concat", (len(left), len(right)), operator.span))
    return Relation(Concat(found.rel, other.rel), found.shape.named(""))


def _set_operation(operator: n.SetOp, found: Relation, scope: Scope) -> Relation:
    """The rows that both have, or only the left; columns by position."""
    other = sources.source(operator.right, scope.over(None))
    left, right = found.shape.columns, other.shape.columns
    if left is not None and right is not None and len(left) != len(right):
        scope.session.report(mistakes.different_columns(operator.kind, (len(left), len(right)), operator.span))
    return Relation(SetOperation(found.rel, other.rel, operator.kind, operator.all), found.shape.named(""))
