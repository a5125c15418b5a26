"""``show …``: lists of what there is, as relations (query reference, section 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from wvflow.lang.algebra import (
    Binary,
    Column,
    Distinct,
    Expr,
    Filter,
    Item,
    Literal,
    Rel,
    Rows,
    Select,
    Sort,
    SortKey,
    Table,
    TableFunction,
)
from wvflow.lang.types import BOOLEAN, NULL, STRING
from wvflow.semantics import mistakes, sources
from wvflow.semantics.scopes import Col, Relation, Scope, Shape
from wvflow.semantics.session import Session
from wvflow.syntax import nodes as n

_INFORMATION = "information_schema"
Place = tuple[str, ...]


def show(node: n.ShowInput, scope: Scope) -> Relation:
    """The list that is asked for; an unknown one is reported."""
    reader = _READERS.get(node.what.text)
    if node.what.text == "databases":
        scope.session.report(mistakes.not_implemented("show databases", node.span, "write `show catalogs`"))
    elif reader is None:
        scope.session.report(mistakes.unknown_show(node.what.text, node.what.span, _READERS))
    else:
        return reader(tuple(name.text for name in node.place), node, scope.session)
    return sources.NOWHERE


def _tables(place: Place, node: n.ShowInput, session: Session) -> Relation:
    rel = _where(_system("tables"), dict(zip(("table_schema", "table_catalog"), reversed(place), strict=False)))
    return _listed(rel, {"name": "table_name"}, "name")


def _schemas(place: Place, node: n.ShowInput, session: Session) -> Relation:
    rel = _where(_system("schemata"), dict(zip(("catalog_name",), place, strict=False)))
    return _listed(rel, {"catalog": "catalog_name", "name": "schema_name"}, "name")


def _catalogs(place: Place, node: n.ShowInput, session: Session) -> Relation:
    names = Select(_system("schemata"), (Item("name", Column("catalog_name", type=STRING)),))
    return Relation(Sort(Distinct(names), (SortKey(Column("name")),)), Shape((Col("name", STRING),)))


def _columns(place: Place, node: n.ShowInput, session: Session) -> Relation:
    if not place:
        session.report(mistakes.table_wanted(node.span))
        return sources.NOWHERE
    where = dict(zip(("table_name", "table_schema", "table_catalog"), reversed(place), strict=False))
    rel = Sort(_where(_system("columns"), where), (SortKey(Column("ordinal_position")),))
    names = ("column_name", "data_type", "is_nullable", "column_default")
    return _selected(rel, {name: name for name in names})


def _functions(place: Place, node: n.ShowInput, session: Session) -> Relation:
    rel = TableFunction("duckdb_functions", (), alias="functions")
    return _selected(rel, {"name": "function_name", "description": "description"})


def _models(place: Place, node: n.ShowInput, session: Session) -> Relation:
    wanted = ".".join(place)
    rows = []
    for name, model in session.definitions.models.items():
        package = session.program.package(model.span.source.name)
        if not wanted or package == wanted:
            rows.append((_text(name), _text(_arguments(model)), _text(description(model)), _text(package or None)))
    columns = ("name", "args", "description", "package_name")
    types = (STRING,) * len(columns)
    return Relation(Rows(columns, types, tuple(rows)), Shape(tuple(Col(name, STRING) for name in columns)))


def _arguments(model: n.ModelDef) -> str | None:
    """``p1:type1, p2:type2``, None without parameters."""
    listed = [f"{one.name.text}:{one.type.span.text if one.type else 'any'}" for one in model.params]
    return ", ".join(listed) or None


def description(model: n.ModelDef) -> str:
    """The comments right before a model, without hyphens and outer blanks."""
    text = model.span.source.text[: model.span.start]
    comments: list[str] = []
    while (found := _last_comment(text)) is not None:
        text, comment = found
        comments.insert(0, comment)
    return "\n".join(comments).strip()


def _last_comment(text: str) -> tuple[str, str] | None:
    """The text before the comment at its end, and that comment; None where something else ends it."""
    rest = text.rstrip()
    if rest.endswith("---") and (start := rest.rfind("---", 0, len(rest) - 3)) >= 0:
        return rest[:start], rest[start:].strip("- \t\n")
    if rest.endswith("*/") and (start := rest.rfind("/*")) >= 0:
        return rest[:start], rest[start + 2 : -2].strip()
    line_start = rest.rfind("\n") + 1
    line = rest[line_start:].strip()
    if line.startswith("--"):
        return rest[:line_start], line.strip("- \t")
    return None


# --- as relations ---------------------------------------------------------------------------------------------------


def _system(name: str) -> Rel:
    return Table((_INFORMATION, name), name)


def _where(rel: Rel, equal: Mapping[str, str]) -> Rel:
    condition: Expr | None = None
    for name, value in equal.items():
        same = Binary("=", Column(name, type=STRING), _text(value), BOOLEAN)
        condition = same if condition is None else Binary("and", condition, same, BOOLEAN)
    return rel if condition is None else Filter(rel, condition)


def _listed(rel: Rel, names: Mapping[str, str], order: str) -> Relation:
    found = _selected(rel, names)
    return Relation(Sort(found.rel, (SortKey(Column(order)),)), found.shape)


def _selected(rel: Rel, names: Mapping[str, str]) -> Relation:
    items = tuple(Item(name, Column(column, type=STRING)) for name, column in names.items())
    return Relation(Select(rel, items), Shape(tuple(Col(name, STRING) for name in names)))


def _text(value: str | None) -> Literal:
    return Literal(value, NULL if value is None else STRING)


_READERS: Mapping[str, Callable[[Place, n.ShowInput, Session], Relation]] = MappingProxyType(
    {
        "tables": _tables,
        "schemas": _schemas,
        "catalogs": _catalogs,
        "columns": _columns,
        "functions": _functions,
        "models": _models,
    }
)
