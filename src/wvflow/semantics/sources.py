"""Sources: what a relation name, a file or rows in the text are (flow language, section 1; query reference, 2.3, 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from wvflow.diagnostics import Diagnostic, nearest
from wvflow.lang.algebra import (
    Alias,
    Array,
    Expr,
    File,
    Item,
    LocalName,
    NamedTable,
    Piped,
    Rows,
    Select,
    Single,
    SqlText,
    StageRows,
    Table,
    TableFunction,
    Value,
)
from wvflow.lang.algebra import Column as AColumn
from wvflow.lang.catalog import Columns as CatalogColumns
from wvflow.lang.evaluate import evaluate, is_static
from wvflow.lang.relations import HANDED, UNDONE
from wvflow.lang.relations import nodes as nodes_of
from wvflow.lang.types import STRING, UNKNOWN, Type
from wvflow.plan.nodes import INSTANCE
from wvflow.semantics import expressions, infer, mistakes, mistakes_of_flows, models
from wvflow.semantics.definitions import binding
from wvflow.semantics.functions import chosen
from wvflow.semantics.infer import type_of
from wvflow.semantics.rowtypes import row_type
from wvflow.semantics.scopes import Col, Columns, Relation, Scope, Shape
from wvflow.semantics.session import Session
from wvflow.semantics.types import columns_of_type, resolve_type
from wvflow.semantics.upstreams import upstream_rows
from wvflow.source import Span
from wvflow.syntax import nodes as n

NOWHERE = Relation(Piped(), Shape())
"""Stands for a source that could not be understood; the finding is made."""
_PROGRAMS = (".wv", ".sql")
MOST_PARTS = 3


def source(node: n.Aliased, scope: Scope) -> Relation:
    """A source under its alias. ``scope.rows`` are those to its left, which a table function may read."""
    alias = node.alias.text if node.alias else ""
    match node.primary:
        case n.TableRef() as table:
            return _named(table, node, alias, scope)
        case n.FileRef(path=path, span=span):
            return _file(path, span, alias, node, scope)
        case n.InlineRows() as rows:
            return inline(rows, alias, node.columns, scope)
        case n.QueryRef(query=query):
            return _nested(query, node, scope)
        case n.SqlRef(text=text):
            return _raw(text, alias, node, scope)


def is_stage(node: n.Aliased, scope: Scope) -> bool:
    """Whether a source is another stage of this flow."""
    match node.primary:
        case n.TableRef(parts=(name,), args=None):
            return name.text not in scope.ctes and _is_other_stage(name.text, scope)
        case _:
            return False


def stage_rows(name: n.Name, alias: str, scope: Scope) -> Relation:
    """The rows of a stage; it is noted as read."""
    scope.session.reads(name.text, name.span)
    rel = StageRows(name.text, alias or name.text)
    return Relation(rel, scope.stages[name.text].named(rel.alias))


def not_a_stage(name: n.Name, scope: Scope) -> Diagnostic:
    """What is wrong with a name where only a stage can stand."""
    definitions = scope.session.definitions
    if name.text == scope.stage:
        return mistakes_of_flows.depends_on_itself(name.text, name.span)
    what = "a parameter" if name.text in scope.values else None
    what = "a model" if name.text in definitions.models else what
    what = "a constant" if name.text in definitions.vals else what
    if what is not None:
        return mistakes.stage_wanted(name.text, what, name.span)
    others = [stage for stage in scope.stages if stage != scope.stage]
    return mistakes.unknown_stage(name.text, name.span, others)


# --- names ----------------------------------------------------------------------------------------------------------


def _named(table: n.TableRef, node: n.Aliased, alias: str, scope: Scope) -> Relation:
    first = table.parts[0]
    if len(table.parts) > 1:
        if (upstream := upstream_rows(table, "" if node.columns else alias, scope)) is not None:
            return _aliased(upstream, node, scope)
        return _aliased(_table(table, "" if node.columns else alias, scope), node, scope)
    if not _hides_model(first.text, scope):
        if (model := scope.session.definitions.models.get(first.text)) is not None:
            found, closed = models.expand(model, table.args or (), table, scope)
            return _exposed(found, alias or first.text, node, scope, closed=closed)
        if table.args is None and (selected := scope.session.selected.get(first.text)) is not None:
            found = Relation(selected.rel, selected.shape.named(""))
            return _exposed(found, alias or first.text, node, scope, closed=True)
        if not table.args and first.text in STANDARD_MODELS and first.text not in scope.session.definitions.vals:
            return _exposed(standard_model(first.text), alias or first.text, node, scope)
    if table.args is not None:
        return _function(table, node, alias or first.text, scope)
    if first.text == "_" and not first.quoted and scope.undoing is not None:
        name = "" if node.columns else alias or "_"
        undone = Relation(StageRows(UNDONE, name), Shape(scope.undoing.columns).named(name))
        return _aliased(undone, node, scope)
    if first.text == "_" and not first.quoted and scope.instance is not None:
        name = alias or "_"
        own = Relation(StageRows(INSTANCE, name), Shape(scope.instance.shape.columns).named(name))
        return _aliased(own, node, scope) if node.columns else own
    if first.text == "_" and not first.quoted and scope.forking is not None:
        return _aliased(stage_rows(scope.forking, "" if node.columns else alias, scope), node, scope)
    if first.text == "_" and not first.quoted and scope.stage:
        handed = StageRows(HANDED, "" if node.columns else alias or "_")
        return _aliased(Relation(handed, Shape().named(handed.alias)), node, scope)
    if first.text == "_" and not first.quoted:
        if not scope.stage:
            scope.session.report(mistakes.rows_of_no_stage(first.span))
        return _aliased(Relation(Piped(), Shape()), node, scope)
    if (cte := scope.ctes.get(first.text)) is not None:
        return _exposed(cte, alias or first.text, node, scope, closed=scope.outermost.ctes.get(first.text) is cte)
    if _is_other_stage(first.text, scope):
        return _aliased(stage_rows(first, "" if node.columns else alias, scope), node, scope)
    return _constant(first, table, node, scope)


def _hides_model(name: str, scope: Scope) -> bool:
    return name in scope.ctes or name in scope.values or _is_other_stage(name, scope)


def _is_other_stage(name: str, scope: Scope) -> bool:
    """A stage never reads itself: under its own name it finds what lies beneath."""
    return name in scope.stages and name != scope.stage


def _constant(name: n.Name, table: n.TableRef, node: n.Aliased, scope: Scope) -> Relation:
    """A parameter, a ``val``, or a table of the engine."""
    alias = node.alias.text if node.alias else name.text
    session = scope.session
    if (value := scope.values.get(name.text)) is not None:
        one = Select(Single(), (Item(name.text, value),))
        return _exposed(Relation(one, Shape((Col(name.text, type_of(value)),))), alias, node, scope)
    if (val := session.definitions.vals.get(name.text)) is None:
        return _aliased(_table(table, "" if node.columns else alias, scope), node, scope)
    if val.columns is None or not isinstance(val.value, n.ArrayExpr):
        help_ = f"write `select {name.text}` for one row of it"
        session.report(mistakes.not_a_relation(name.text, "a constant value", name.span, help_))
        return NOWHERE
    found = rows_of(val.value, alias, val.columns, Scope(session))
    return _exposed(found, alias, node, scope) if node.columns else found


def _table(table: n.TableRef, alias: str, scope: Scope) -> Relation:
    """A table of the engine, with the columns of the type that is bound to it, else those that the engine told."""
    session = scope.session
    parts = tuple(part.text for part in table.parts)
    if table.args is not None:
        return _function_relation(".".join(parts), table.args, alias or parts[-1], (), scope)
    if len(parts) > 1 and parts[0] in session.catalog.connectors:
        parts = parts[1:]
    if len(parts) > MOST_PARTS:
        session.report(mistakes.long_table_name(table.span))
    for part in table.parts:
        session.use(part.text, part.span)
    session.use(".".join(parts), table.span)
    alias = alias or parts[-1]
    if (bound := _bound(parts, session)) is not None:
        return _typed_table(bound, parts, alias, session)
    found = session.columns(Table(parts, ""))
    _check_table(table, parts, scope)
    return Relation(Table(parts, alias), Shape(_cols(found)).named(alias))


def _bound(parts: tuple[str, ...], session: Session) -> n.TypeDef | None:
    """The first type that describes a table (query reference, section 3.3). Names compare as the engine's."""
    wanted = parts[-1].lower()
    named = [node for name, several in session.definitions.types.items() if name.lower() == wanted for node in several]
    for node in named:
        if columns_of_type(node.name.text, session):
            return node if _answers(binding(node), tuple(part.lower() for part in parts), session) else None
    return None


def _answers(bound: tuple[str, ...], given: tuple[str, ...], session: Session) -> bool:
    """Whether a type bound to this catalog and schema, or to none, describes a table of this name."""
    if not bound:
        return len(given) == 1
    current = tuple(name.lower() for name in session.catalog.current)
    place = tuple(name.lower() for name in bound)
    return (*place, given[-1])[-len(given) :] == given and (len(given) > 1 or current == place)


def _typed_table(node: n.TypeDef, parts: tuple[str, ...], alias: str, session: Session) -> Relation:
    columns = row_type(node.name.text, session)
    full = (*binding(node), parts[-1])
    return Relation(
        Table(full if len(full) > 1 else parts, alias), Shape(columns, row_type=node.name.text).named(alias)
    )


def _cols(columns: CatalogColumns | None) -> Columns:
    return None if columns is None else tuple(Col(name, type_) for name, type_ in columns)


def _missing(parts: tuple[str, ...], use: Span, near: str | None, session: Session) -> Diagnostic:
    """What of a table's name isn't there: its catalog, its schema, or the table alone. The first of two names may be
    either."""
    schemas = session.catalog.schemas or frozenset()
    catalogs, names = {catalog for catalog, _ in schemas}, {schema for _, schema in schemas}
    match [part.lower() for part in parts] if schemas else []:
        case [_, ("csv" | "tsv" | "json" | "jsonl" | "ndjson" | "parquet")]:
            return mistakes.file_without_quotes(".".join(parts), use)
        case [catalog, _, _] if catalog not in catalogs:
            return mistakes.missing_catalog(parts[0], use, nearest(catalog, sorted(catalogs)))
        case [catalog, schema, _] if (catalog, schema) not in schemas:
            inside = sorted(name for owner, name in schemas if owner == catalog)
            return mistakes.missing_schema(".".join(parts[:2]), use, nearest(schema, inside))
        case [schema, _] if schema not in catalogs | names:
            return mistakes.missing_schema(parts[0], use, nearest(schema, sorted(names)))
    return mistakes.missing_table(".".join(parts), use, near)


def _check_table(table: n.TableRef, parts: tuple[str, ...], scope: Scope) -> None:
    """Report a table that isn't there right now; warn of one that may come. Where nobody could be asked, that is only
    where there is a list of tables or a name is near."""
    session, name = scope.session, table.parts[-1].text
    source, tables = Table(parts, ""), session.catalog.tables
    known = session.catalog.columns.get(source, ())
    models_, vals = session.definitions.models, session.definitions.vals
    if known is None and session.catalog.live:
        near = _near(name, [*models_, *vals, *(tables or ())])
        session.report(_missing(parts, table.span, near, session))
        return
    unsure = len(parts) > 1 and known is not None
    if known or unsure or session.is_saved(source) or session.is_elsewhere(source):
        return
    if known is not None and name in (tables or ()):
        return
    others = [one for one in scope.stages if one != scope.stage]
    near = _near(name, [*others, *scope.ctes, *models_, *vals, *(tables or ())])
    if near is not None or tables is not None or known is None:
        session.report(mistakes.unknown_table(".".join(parts), table.span, near))


def _near(name: str, others: Iterable[str]) -> str | None:
    return nearest(name, [one for one in others if one.lower() != name.lower()])


def _function(table: n.TableRef, node: n.Aliased, alias: str, scope: Scope) -> Relation:
    """``f(args)`` as a source: a table function of the engine, as nothing of the program takes arguments here."""
    name, session = table.parts[0], scope.session
    if _hides_model(name.text, scope) or name.text in session.definitions.vals:
        session.report(mistakes.wrong_argument_count(name.text, "no arguments", len(table.args or ()), table.span))
        return NOWHERE
    if name.text in session.definitions.activities or name.text in session.catalog.activities:
        help_ = f"write `call {name.text}(…)`, or `from … | {name.text}(…)`"
        session.report(mistakes.not_a_relation(name.text, "an activity", name.span, help_))
        return NOWHERE
    if (defined := chosen(name.text, session)) is not None and not isinstance(defined.body, n.Native | None):
        partial = isinstance(defined.body, n.PartialQuery)
        help_ = f"apply it behind a pipe: `from … | {name.text}`" if partial else f"write `select {name.text}(…)`"
        what = "a part of a query" if partial else "a function of values"
        session.report(mistakes.not_a_relation(name.text, what, name.span, help_))
        return NOWHERE
    return _function_relation(name.text, table.args or (), alias, node.columns, scope)


def _function_relation(
    name: str, args: tuple[n.CallArg, ...], alias: str, named: tuple[n.ColumnDef, ...], scope: Scope
) -> Relation:
    called = expressions.function(name, (), args, scope)
    columns = column_defs(named, scope)
    rel = TableFunction(name, called.args, called.named, alias, tuple(col.name for col in columns))
    if name == "unnest" and called.args:
        if len(columns) == 1:
            columns = (Col(columns[0].name, infer.member(type_of(called.args[0]))),)
        return Relation(rel, Shape(columns or None).named(alias))
    known = None
    if not any(isinstance(node, AColumn | Value | LocalName) for node in nodes_of((called.args, called.named))):
        known = _cols(scope.session.columns(TableFunction(name, called.args, called.named)))
    if known is not None and columns:
        known = (*columns, *known[len(columns) :])
    return Relation(rel, Shape(known or columns or None).named(alias))


# --- aliases --------------------------------------------------------------------------------------------------------


def _aliased(found: Relation, node: n.Aliased, scope: Scope) -> Relation:
    """A source that carries its alias itself, unless columns are renamed with it."""
    if not node.columns and (node.alias is None or not isinstance(found.rel, Piped)):
        return found
    return _exposed(found, node.alias.text if node.alias else "", node, scope)


def _exposed(found: Relation, alias: str, node: n.Aliased, scope: Scope, *, closed: bool = False) -> Relation:
    """A relation under a name, its first columns renamed where the alias lists them."""
    named = column_defs(node.columns, scope)
    columns = _renamed(found.shape.columns, named, node.span, scope)
    shape = Shape(columns, row_type=found.shape.row_type).named(alias)
    return Relation(Alias(found.rel, alias, tuple(col.name for col in named), closed), shape)


def _renamed(columns: Columns, named: tuple[Col, ...], use: Span, scope: Scope) -> Columns:
    if columns is None or not named:
        return columns
    if len(named) > len(columns):
        scope.session.report(mistakes.column_list_length(len(columns), len(named), use))
        return columns
    renamed = [
        Col(new.name, new.type if new.type.is_known else old.type) for new, old in zip(named, columns, strict=False)
    ]
    return (*renamed, *columns[len(named) :])


def column_defs(named: tuple[n.ColumnDef, ...], scope: Scope) -> tuple[Col, ...]:
    return tuple(Col(one.name.text, resolve_type(one.type, scope.session)) for one in named)


def with_columns(found: Relation, name: n.Name, named: tuple[n.ColumnDef, ...], scope: Scope) -> Relation:
    """A relation with its first columns renamed, as a CTE's list of columns does."""
    if not named:
        return found
    columns = column_defs(named, scope)
    shape = Shape(_renamed(found.shape.columns, columns, name.span, scope))
    return Relation(Alias(found.rel, name.text, tuple(col.name for col in columns)), shape)


def _nested(query: n.Query, node: n.Aliased, scope: Scope) -> Relation:
    """``{ … }``: transparent when it is nothing but an aliased source, else a relation of its own."""
    found = scope.session.query(query, scope.over(None))
    if node.alias is not None:
        return _exposed(found, node.alias.text, node, scope)
    match query:
        case n.Query(input=n.From(sources=(_,)), operators=operators) if all(
            isinstance(one, n.Observer) for one in operators
        ):
            return found
        case _:
            return Relation(found.rel, found.shape.named(""))


# --- rows and files -------------------------------------------------------------------------------------------------


def inline(node: n.InlineRows, alias: str, named: tuple[n.ColumnDef, ...], scope: Scope) -> Relation:
    return rows_of(n.ArrayExpr(items=node.rows, span=node.span), alias, named, scope.over(None))


def rows_of(node: n.ArrayExpr, alias: str, named: tuple[n.ColumnDef, ...], scope: Scope) -> Relation:
    """Rows in the text. Columns without a name are ``col0``, ``col1``; without a type they have the first row's."""
    rows = tuple([_row(one, scope) for one in node.items])
    width = len(named) or (len(rows[0]) if rows else 0)
    if width == 0:
        scope.session.report(mistakes.no_columns(node.span))
    for one, cells in zip(node.items, rows, strict=True):
        if len(cells) != width:
            scope.session.report(mistakes.ragged_rows(width, len(cells), one.span))
            return NOWHERE
    declared = column_defs(named, scope) or tuple(Col(f"col{index}") for index in range(width))
    columns = tuple(Col(col.name, _cell_type(col, index, rows)) for index, col in enumerate(declared))
    rel = Rows(tuple(col.name for col in columns), tuple(col.type for col in columns), rows, alias)
    return Relation(rel, Shape(columns).named(alias))


def _row(node: n.Expr, scope: Scope) -> tuple[Expr, ...]:
    cells = expressions.elaborate(node, scope)
    return cells.items if isinstance(cells, Array) else (cells,)


def _cell_type(col: Col, index: int, rows: tuple[tuple[Expr, ...], ...]) -> Type:
    if col.type.is_known or not rows:
        return col.type
    type_ = type_of(rows[0][index])
    return UNKNOWN if type_.name == "null" else type_


def _file(path: str, span: Span, alias: str, node: n.Aliased, scope: Scope) -> Relation:
    """Rows of a data file, or the one query of a program's file."""
    session = scope.session
    session.use(path, span)
    if path.endswith(_PROGRAMS):
        return _exposed(_query_file(path, span, scope), alias, node, scope)
    found = session.columns(File(path))
    if session.catalog.live and found is None and File(path) in session.catalog.columns:
        session.report(mistakes.missing_file(path, span, session.catalog.near_files.get(path)))
    elif _is_missing(path, session):
        session.report(mistakes.data_file_missing(path, span, session.catalog.near_files.get(path)))
    return _aliased(Relation(File(path, "" if node.columns else alias), Shape(_cols(found)).named(alias)), node, scope)


def _query_file(path: str, span: Span, scope: Scope) -> Relation:
    """The single query of a file of the workspace, found by its base name in any folder."""
    session, base = scope.session, path.rpartition("/")[2]
    if path.endswith(".sql"):
        if (text := session.catalog.sql_files.get(base)) is not None:
            rel = SqlText((text,))
            return Relation(rel, Shape(_cols(session.columns(rel))))
    elif (name := next((one for one in session.program.files if one.rpartition("/")[2] == base), None)) is not None:
        statements = session.program.statements(name)
        match statements:
            case (n.QueryStatement(query=query),):
                if name in session.inlining:
                    session.report(mistakes.recursive("model", [*session.inlining.values(), name], span))
                    return NOWHERE
                session.inlining[name] = name
                models.read_models_of(statements, session)
                with session.within(query.span):
                    found = session.query(query, Scope(session))
                del session.inlining[name]
                return Relation(found.rel, Shape(found.shape.columns))
        session.report(mistakes.one_query_wanted(path, len(statements), span))
        return NOWHERE
    known = [one.rpartition("/")[2] for one in (*session.program.files, *session.catalog.sql_files)]
    session.report(mistakes.missing_file(path, span, nearest(base, known)))
    return NOWHERE


def _is_missing(path: str, session: Session) -> bool:
    """Whether nothing matches a path, and no save of the program makes a file that does."""
    there = session.catalog.data_files
    if there is None or "://" in path or path in there:
        return False
    return not session.is_saved(File(path))


# --- SQL ------------------------------------------------------------------------------------------------------------


def _raw(text: n.Interpolation, alias: str, node: n.Aliased, scope: Scope) -> Relation:
    """``sql"…"`` is a query of the engine, ``s`…` `` a table whose name is computed."""
    own = "" if node.columns else alias
    match text.prefix:
        case "sql":
            parts = expressions.parts(text, scope.over(None))
            bare = SqlText(parts)
            known = None if any(isinstance(one, Value) for one in nodes_of(parts)) else scope.session.columns(bare)
            return _aliased(Relation(SqlText(parts, own), Shape(_cols(known)).named(alias)), node, scope)
        case "s`":
            return _computed(expressions.text_of(text, scope.over(None)), own, alias, node, scope)
        case "json":
            scope.session.report(mistakes.not_implemented('json"…"', text.span, "write rows in brackets"))
    return NOWHERE


def _computed(name: Expr, own: str, alias: str, node: n.Aliased, scope: Scope) -> Relation:
    """A table by its computed name. One that depends on a model's arguments is known once those are."""
    if not is_static(name):
        scope.session.report(mistakes.name_not_constant(node.primary.span))
        return NOWHERE
    if any(isinstance(one, Value) for one in nodes_of(name)):
        if scope.stage:
            scope.session.report(mistakes.name_not_constant(node.primary.span))
        return _aliased(Relation(NamedTable(name, own), Shape().named(alias)), node, scope)
    parts = tuple(str(evaluate(name, {})).split("."))
    found = scope.session.columns(Table(parts, ""))
    if found is None and scope.session.catalog.live and Table(parts, "") in scope.session.catalog.columns:
        near = nearest(parts[-1], scope.session.catalog.tables or ())
        scope.session.report(_missing(parts, node.primary.span, near, scope.session))
    return _aliased(
        Relation(Table(parts, own or parts[-1]), Shape(_cols(found)).named(alias or parts[-1])), node, scope
    )


# --- models of the standard library ---------------------------------------------------------------------------------


_STANDARD: Mapping[str, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {
        "wv_tables": (
            "tables",
            {"catalog": "table_catalog", "schema": "table_schema", "name": "table_name", "table_type": "table_type"},
        ),
        "wv_schemas": ("schemata", {"catalog": "catalog_name", "name": "schema_name"}),
    }
)
STANDARD_MODELS = frozenset(_STANDARD)


def standard_model(name: str) -> Relation:
    """``wv_tables()`` and ``wv_schemas()`` (query reference, section 9.3)."""
    view, names = _STANDARD[name]
    items = tuple(Item(one, AColumn(column, type=STRING)) for one, column in names.items())
    return Relation(
        Select(Table(("information_schema", view), view), items), Shape(tuple(Col(one, STRING) for one in names))
    )
