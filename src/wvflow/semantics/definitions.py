"""The names that a program defines at its top level, from all its files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from wvflow.diagnostics import Diagnostic
from wvflow.semantics import mistakes
from wvflow.syntax.nodes import (
    ActivityDef,
    ExecuteStatement,
    ExplainStatement,
    FlowDef,
    FunctionDef,
    ImportStatement,
    ModelDef,
    Module,
    Name,
    PackageStatement,
    QueryStatement,
    SaveOp,
    ShowQueryStatement,
    Statement,
    TypeDef,
    Unavailable,
    UseStatement,
    ValDef,
)
from wvflow.syntax.walk import walk

D = TypeVar("D", bound=ActivityDef | ModelDef | ValDef | TypeDef)


class Definitions(NamedTuple):
    """By name, a flow by name and version. ``saved``: tables and files that the program itself writes."""

    flows: dict[tuple[str, int], FlowDef]
    activities: dict[str, ActivityDef]
    models: dict[str, ModelDef]
    vals: dict[str, ValDef]
    types: dict[str, TypeDef]
    queries: tuple[QueryStatement, ...]
    saved: frozenset[str]


def collect(modules: Sequence[Module]) -> tuple[Definitions, list[Diagnostic]]:
    """All definitions, and what is defined twice or can't be run yet. The first of two counts, files by name."""
    in_order = sorted(modules, key=lambda module: module.source.name)
    statements = [statement for module in in_order for statement in module.statements]
    found = [mistakes.not_available(what, one.span) for one in statements if (what := _unavailable(one))]
    relations = _named([one for one in statements if isinstance(one, ModelDef | ValDef)], found)
    definitions = Definitions(
        flows=_flows([one for one in statements if isinstance(one, FlowDef)], found),
        activities=_named([one for one in statements if isinstance(one, ActivityDef)], found),
        models={name: one for name, one in relations.items() if isinstance(one, ModelDef)},
        vals={name: one for name, one in relations.items() if isinstance(one, ValDef)},
        types=_named([one for one in statements if isinstance(one, TypeDef)], found),
        queries=tuple(one for one in statements if isinstance(one, QueryStatement)),
        saved=frozenset(_saved(modules)),
    )
    return definitions, found


def _unavailable(statement: Statement) -> str:
    """The name of a statement that does not run yet, else an empty text."""
    match statement:
        case Unavailable(what=what):
            return what
        case TypeDef() if statement.methods or statement.contexts or statement.params or statement.parents:
            return "type"
        case FunctionDef():
            return "def"
        case (
            PackageStatement()
            | ImportStatement()
            | ExplainStatement()
            | ExecuteStatement()
            | UseStatement()
            | ShowQueryStatement()
        ):
            return statement.span.text.split(maxsplit=1)[0]
        case _:
            return ""


def _named(several: Sequence[D], found: list[Diagnostic]) -> dict[str, D]:
    """By name; models and vals share their names, as both are relations."""
    named: dict[str, D] = {}
    for one in several:
        first = named.setdefault(one.name.text, one)
        if first is not one:
            found.append(_duplicate(one.name, first.name))
    return named


def _flows(several: Sequence[FlowDef], found: list[Diagnostic]) -> dict[tuple[str, int], FlowDef]:
    flows: dict[tuple[str, int], FlowDef] = {}
    for one in several:
        first = flows.setdefault((one.name.text, one.version or 1), one)
        if first is not one:
            found.append(_duplicate(one.name, first.name))
    return flows


def _duplicate(name: Name, first: Name) -> Diagnostic:
    """Within a file an error; between files a warning, as neither may know of the other."""
    if name.span.source is first.span.source:
        return mistakes.duplicate_name(name.text, "program", name.span, first.span)
    return mistakes.duplicate_definition(name.text, name.span, first.span)


def _saved(modules: Sequence[Module]) -> Iterable[str]:
    for module in modules:
        for node in walk(module):
            if isinstance(node, SaveOp):
                yield node.target[-1].text if isinstance(node.target, tuple) else node.target.value
