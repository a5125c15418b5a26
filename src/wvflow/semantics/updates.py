"""``save to``, ``append to``, ``delete``: where rows go, and how (query reference, 6.13; flow language, section 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wvflow.lang.algebra import Alias, Binary, Expr, File, Filter, Literal, NamedArgument, Rel, Table
from wvflow.lang.evaluate import is_static
from wvflow.lang.types import BOOLEAN, STRING, UNKNOWN
from wvflow.plan.tasks import FileTarget, Save, TableTarget
from wvflow.semantics import expressions, mistakes, names, sources
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.scopes import IMPLICIT, Columns, Scope, column
from wvflow.semantics.session import Known
from wvflow.source import Span
from wvflow.syntax import nodes as n

_MODE, _KEY, _PARTITION, _HEADER = "mode", "key", "partition", "header"


def read_save(node: n.SaveOp, scope: Scope) -> Save:
    """``save to`` with its options, which need no rows; a bare word is text. ``scope``: over the rows to be saved."""
    written = {one.name.text: one for one in node.options}
    options = tuple(
        NamedArgument(name, _option(one, scope))
        for name, one in written.items()
        if name not in (_MODE, _KEY, _PARTITION)
    )
    save = Save(_target(node.target, scope, partitioned=_PARTITION in written), options)
    of_rows = [written[name] for name in (_MODE, _KEY, _PARTITION) if name in written]
    if not of_rows:
        return save
    if not scope.stage:
        first = of_rows[0]
        scope.session.report(mistakes.not_available(f"save to … with {first.name.text}: … in a statement", first.span))
        return save
    if isinstance(save.target, FileTarget) and not save.target.is_folder and _HEADER in written:
        scope.session.report(flow_mistakes.names_needed(written[_HEADER].span))
    return _replacing_rows(save, written, scope)


def _replacing_rows(save: Save, written: Mapping[str, n.SaveOption], scope: Scope) -> Save:
    """A save that leaves other rows of the table as they are."""
    mode, key, partition = (written.get(name) for name in (_MODE, _KEY, _PARTITION))
    merges = mode is not None and _words(mode.value) == ["merge"]
    if mode is not None and not merges and _words(mode.value) != ["replace"]:
        scope.session.report(flow_mistakes.unknown_save_mode(mode.value.span))
    elif partition is not None and (merges or key is not None):
        scope.session.report(flow_mistakes.merge_or_partition(partition.span))
    elif partition is not None:
        return _partitioned(save, partition, scope)
    elif merges and key is not None:
        columns = tuple(_columns(key, scope))
        return Save(save.target, save.options, "merge", columns)
    elif merges or key is not None:
        misses = key or mode or written[_MODE]
        scope.session.report(flow_mistakes.merge_without_key(misses.span))
    return save


def _partitioned(save: Save, option: n.SaveOption, scope: Scope) -> Save:
    """Each name is a column, or a value of the run that becomes one."""
    fixed: list[NamedArgument] = []
    for name in (found := _named(option, scope)):
        if not _is_column(name, scope) and (name.text in scope.values or name.text in IMPLICIT):
            fixed.append(NamedArgument(name.text, names.resolve(name, scope.over(None))))
        else:
            _check_column(name, scope)
    return Save(save.target, save.options, "partition", tuple(name.text for name in found), tuple(fixed))


def _columns(option: n.SaveOption, scope: Scope) -> Iterator[str]:
    for name in _named(option, scope):
        _check_column(name, scope)
        yield name.text


def _is_column(name: n.Name, scope: Scope) -> bool:
    return scope.rows is not None and column(scope.rows.columns or (), name.text) is not None


def _check_column(name: n.Name, scope: Scope) -> None:
    if scope.rows is not None and scope.rows.columns is not None and not _is_column(name, scope):
        scope.session.report(mistakes.unknown_column(name.text, name.span, scope.rows.columns))


def _named(option: n.SaveOption, scope: Scope) -> list[n.Name]:
    """One name or a list of them, bare or as texts."""
    value = option.value
    found = [_name(one) for one in (value.items if isinstance(value, n.ArrayExpr) else (value,))]
    if not found or None in found:
        scope.session.report(flow_mistakes.column_names_wanted(option.name.text, value.span))
    return [name for name in found if name is not None]


def _name(node: n.Expr) -> n.Name | None:
    match node:
        case n.NameRef(name=name):
            return name
        case n.StringLiteral(value=text, span=span) if text:
            return n.Name(text=text, span=span)
    return None


def _words(node: n.Expr) -> list[str]:
    name = _name(node)
    return [] if name is None else [name.text]


def _option(node: n.SaveOption, scope: Scope) -> Expr:
    name, value = node.name.text, node.value
    if isinstance(value, n.NameRef) and value.name.text not in scope.values:
        return Literal(value.name.text, STRING)
    found = expressions.elaborate(value, scope.over(None))
    if not is_static(found):
        scope.session.report(mistakes.option_over_rows(name, value.span))
    return found


def read_target(target: tuple[n.Name, ...] | n.StringLiteral, scope: Scope) -> FileTarget | TableTarget:
    """Where an update goes to that knows no partitions."""
    return _target(target, scope, partitioned=False)


def _target(
    target: tuple[n.Name, ...] | n.StringLiteral, scope: Scope, *, partitioned: bool
) -> FileTarget | TableTarget:
    if isinstance(target, n.StringLiteral):
        file = FileTarget(target.value)
        if file.is_folder and not partitioned:
            scope.session.report(flow_mistakes.folder_without_partition(file.path, target.span))
        return file
    span = target[0].span.to(target[-1].span)
    if len(target) > sources.MOST_PARTS:
        scope.session.report(mistakes.long_table_name(span))
    scope.session.use(".".join(part.text for part in target), span)
    return TableTarget(tuple(part.text for part in target))


def columns_saved(save: Save, columns: Columns) -> dict[Rel, Known]:
    """What whoever reads it then finds there. A file that says nothing of types is read with others, and one that is
    written with options may be without names; what gets more rows may have had other columns before."""
    match save.target:
        case TableTarget(parts=parts):
            known = columns is not None and save.mode == "replace"
            return {Table(parts, ""): tuple((col.name, col.type) for col in columns or ()) if known else None}
        case FileTarget(path=path):
            known = columns is not None and save.mode == "replace" and not save.options
            return {File(path): tuple((col.name, UNKNOWN) for col in columns or ()) if known else None}


def deleted(operators: Sequence[n.Operator], rel: Rel, use: Span, scope: Scope) -> tuple[Table, Expr | None] | None:
    """The table that ``delete`` behind these operators deletes from, and of which rows; their input must be one table
    behind nothing but `where`."""
    condition: Expr | None = None
    plain = all(isinstance(one, n.WhereOp | n.Observer) for one in operators)
    while plain and isinstance(rel, Filter | Alias):
        if isinstance(rel, Filter):
            both = rel.condition
            condition = both if condition is None else Binary("and", both, condition, BOOLEAN)
        rel = rel.input
    if plain and isinstance(rel, Table):
        return rel, condition
    of_file = plain and isinstance(rel, File)
    scope.session.report(mistakes.not_implemented("delete from a file", use) if of_file else mistakes.bad_delete(use))
    return None
