"""Models: named queries, expanded where they are used (query reference, section 4.1).

Each model is read once, those that it uses before it, with its parameters as values; a use puts the caller's arguments
in their place. So neither the depth of models nor the number of uses costs stack or repeats a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from wvflow.diagnostics import Diagnostic
from wvflow.lang.algebra import Expr, Rel, Table, Value
from wvflow.plan.graph import cycle, topological
from wvflow.plan.nodes import FlowParam
from wvflow.semantics import expressions, mistakes, relations
from wvflow.semantics.arguments import Callee, Formal, bind, check_type, fits
from wvflow.semantics.infer import type_of
from wvflow.semantics.scopes import Relation, Scope, Shape
from wvflow.semantics.session import Record, Session
from wvflow.semantics.types import resolve_type
from wvflow.syntax.nodes import CallArg, Cte, ModelDef, Name, Param, TableRef
from wvflow.syntax.walk import walk

MAX_DEPTH = 100
_COMPOUND = (msgspec.Struct, tuple)


class Template(NamedTuple):
    """A model that was read: its rows with parameters as ``Value``, what it names, and what is wrong with it."""

    params: tuple[FlowParam, ...]
    relation: Relation
    record: Record
    findings: tuple[Diagnostic, ...]

    def callee(self, name: str) -> Callee:
        formals = tuple(Formal(one.name, one.type, required=one.default is None) for one in self.params)
        return Callee(name, formals)


def read_models(session: Session) -> None:
    """Read all models of the program into the session."""
    names = list(session.definitions.models)
    edges = _references(session.definitions.models)
    _break_cycles(names, edges, session)
    depths: dict[str, int] = {}
    for index in topological(edges) or ():
        name = names[index]
        depths[name] = 1 + max((depths[names[used]] for used in edges[index]), default=0)
        if name not in session.models:
            session.models[name] = _read(session.definitions.models[name], depths[name], session)


def expand(name: Name, args: tuple[CallArg, ...], use: TableRef, scope: Scope) -> Relation:
    """The rows of a model with these arguments, which are read in the caller's scope."""
    session = scope.session
    model = session.models[name.text]
    session.report(*model.findings)
    session.record.add(model.record)
    callee = model.callee(name.text)
    values = {one.name: one.default for one in model.params if one.default is not None}
    for parameter, arg in bind(callee, args, use.span, session).items():
        values[parameter] = expressions.elaborate(arg.value, scope)
        check_type(callee, parameter, type_of(values[parameter]), arg.value.span, session)
    rel = substitute(model.relation.rel, values) if values else model.relation.rel
    return Relation(rel, Shape(model.relation.shape.columns))


def read_params(params: tuple[Param, ...], session: Session) -> tuple[FlowParam, ...]:
    """Parameters with their types, inferred from the default where none is written; of two of a name the first."""
    read: dict[str, FlowParam] = {}
    spans: dict[str, Param] = {}
    for one in params:
        if (first := spans.setdefault(one.name.text, one)) is not one:
            session.report(mistakes.duplicate_name(one.name.text, "list", one.name.span, first.name.span))
            continue
        default = None if one.default is None else expressions.elaborate(one.default, Scope(session))
        type_ = resolve_type(one.type, session)
        if one.type is None and default is not None:
            type_ = type_of(default)
        formal = Formal(one.name.text, type_)
        if default is not None and one.default is not None and not fits(formal, type_of(default)):
            session.report(mistakes.mistyped_default(one.name.text, type_, type_of(default), one.default.span))
        read[one.name.text] = FlowParam(one.name.text, type_, default)
    return tuple(read.values())


def values_of(params: tuple[FlowParam, ...]) -> Mapping[str, Expr]:
    return {one.name: Value(one.name, one.type) for one in params}


def substitute(rel: Rel, values: Mapping[str, Expr]) -> Rel:
    """The relation with expressions in the place of values of these names. Doesn't recurse."""
    waiting: list[Any] = [rel]
    parents_first: list[Any] = []
    while waiting:
        node = waiting.pop()
        parents_first.append(node)
        waiting += [part for part in _parts(node) if isinstance(part, _COMPOUND)]
    made: dict[int, Any] = {}
    for node in reversed(parents_first):
        made[id(node)] = _rebuilt(node, made, values)
    result: Rel = made[id(rel)]
    return result


def _parts(node: Any) -> Iterable[Any]:
    return node if isinstance(node, tuple) else msgspec.structs.astuple(node)


def _rebuilt(node: Any, made: Mapping[int, Any], values: Mapping[str, Expr]) -> Any:
    """A node over its members as they were made anew; itself where nothing changed."""
    if isinstance(node, Value):
        return values.get(node.name, node)
    before = _parts(node)
    after = [made.get(id(part), part) for part in before]
    if all(new is old for new, old in zip(after, before, strict=True)):
        return node
    return tuple(after) if isinstance(node, tuple) else type(node)(*after)


def _read(model: ModelDef, depth: int, session: Session) -> Template:
    with session.apart() as findings, session.recording() as record:
        if model.result is not None:
            session.report(mistakes.not_available(f": {model.result.text}", model.result.span))
        params = read_params(model.params, session)
        if depth > MAX_DEPTH:
            session.report(mistakes.expansion_too_deep(MAX_DEPTH, model.name.span))
            relation = _stand_in(model)
        else:
            relation = relations.query(model.query, Scope(session, values=values_of(params)))
    return Template(params, relation, record, tuple(findings))


def _stand_in(model: ModelDef) -> Relation:
    """For a model that can't be expanded; its finding keeps the program from running."""
    return Relation(Table((model.name.text,), model.name.text), Shape())


def _references(models: Mapping[str, ModelDef]) -> list[list[int]]:
    """Which models each one names, by number; names that a CTE has taken mean that."""
    numbers = {name: number for number, name in enumerate(models)}
    found = []
    for model in models.values():
        below = list(walk(model))
        taken = {node.name.text for node in below if isinstance(node, Cte)}
        named = (node.parts[0].text for node in below if isinstance(node, TableRef) and len(node.parts) == 1)
        found.append(sorted({numbers[name] for name in named if name in numbers and name not in taken}))
    return found


def _break_cycles(names: list[str], edges: list[list[int]], session: Session) -> None:
    """Report each cycle, and take its first model out of the graph."""
    while (path := cycle(edges)) is not None:
        model = session.definitions.models[names[path[0]]]
        finding = mistakes.recursive("model", [names[index] for index in path], model.name.span)
        session.models[model.name.text] = Template((), _stand_in(model), Record(), (finding,))
        edges[path[0]] = []
