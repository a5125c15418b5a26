"""Models: named queries, expanded where they are used (query reference, section 4.1).

Each model is read once, those that it uses before it, with its parameters as values; a use puts the caller's arguments
in their place. So neither the depth of models nor the number of uses costs stack or repeats a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from msgspec import structs

from wvflow.diagnostics import Diagnostic
from wvflow.lang.algebra import Alias, Column, Expr, LocalName, Rel, Table, Tuple, Value
from wvflow.lang.relations import nodes, rebuilt
from wvflow.plan.nodes import FlowParam
from wvflow.semantics import expressions, mistakes, names, relations
from wvflow.semantics.arguments import Callee, Formal, bind, check_type, fits, remaining
from wvflow.semantics.checked import CheckedQuery, CheckedTests, DeleteFrom, Observed
from wvflow.semantics.infer import type_of
from wvflow.semantics.rowtypes import declared_rows
from wvflow.semantics.scopes import Relation, Scope, Shape
from wvflow.semantics.session import Record, Session
from wvflow.semantics.types import resolve_type
from wvflow.syntax.nodes import CallArg, Cte, ModelDef, Name, Param, SyntaxNode, TableRef
from wvflow.syntax.walk import walk

T = TypeVar("T", bound=Rel | Expr)
MAX_DEPTH = 100
Arguments = Mapping[str, Expr | tuple[Expr, ...]]


class Template(NamedTuple):
    """A model that was read: its rows with parameters as ``Value``, what it names, and what is wrong with it.

    ``depth``: how many models lie on the longest way down, itself included; ``rest``: the last parameter, where it
    takes all remaining arguments.
    """

    params: tuple[FlowParam, ...]
    relation: Relation
    record: Record
    findings: tuple[Diagnostic, ...]
    depth: int = 1
    rest: str = ""

    def callee(self, name: str) -> Callee:
        fixed = [one for one in self.params if one.name != self.rest]
        formals = tuple(Formal(one.name, one.type, required=one.default is None) for one in fixed)
        return Callee(name, formals, rest=bool(self.rest))


def read_models(session: Session, models: Iterable[ModelDef]) -> None:
    """Read these models, and those that they use before them, into the session."""
    for model in models:
        if session.template(model) is None:
            _read_with_used(model, session)


def read_models_of(nodes: Iterable[SyntaxNode], session: Session) -> None:
    """Read the models that these parts of the program use."""
    for node in nodes:
        with session.within(node.span):
            read_models(session, _used(node, session))


def _read_with_used(model: ModelDef, session: Session) -> None:
    """Depth first without recursion. A model that is met again on the way down is on a cycle."""
    path: list[tuple[ModelDef, list[ModelDef]]] = [(model, _used_by(model, session))]
    while path:
        current, waiting = path[-1]
        if not waiting:
            path.pop()
            if session.template(current) is None:
                session.models[id(current)] = _read(current, session)
            continue
        below = waiting.pop(0)
        on_path = [one for one, _ in path]
        if any(below is one for one in on_path):
            start = next(index for index, one in enumerate(on_path) if one is below)
            _report_cycle([*on_path[start:], below], session)
        elif session.template(below) is None:
            path.append((below, _used_by(below, session)))


def _used_by(model: ModelDef, session: Session) -> list[ModelDef]:
    with session.within(model.span):
        return _used(model, session)


def _used(node: SyntaxNode, session: Session) -> list[ModelDef]:
    """The models that a part of the program names, also by the functions that it calls; what a CTE has taken means
    that."""
    below = list(walk(node))
    if session.definitions.functions:
        below = _with_functions(below, session)
    taken = {one.name.text for one in below if isinstance(one, Cte)}
    named = dict.fromkeys(one.parts[0].text for one in below if isinstance(one, TableRef) and len(one.parts) == 1)
    models = session.definitions.models
    return [models[name] for name in named if name in models and name not in taken]


def _with_functions(below: list[SyntaxNode], session: Session) -> list[SyntaxNode]:
    """The nodes, and those of all functions that they name, and so on."""
    functions = session.definitions.functions
    seen: set[str] = set()
    position = 0
    while position < len(below):
        node = below[position]
        position += 1
        if isinstance(node, Name) and node.text in functions and node.text not in seen:
            seen.add(node.text)
            below += [one for definition in functions[node.text] for one in walk(definition)]
    return below


def _report_cycle(path: Sequence[ModelDef], session: Session) -> None:
    """Told at the first of its models, which is no longer read."""
    first = path[0]
    finding = mistakes.recursive("model", [one.name.text for one in path], first.name.span)
    session.models[id(first)] = Template((), _stand_in(first), Record(), (finding,))


def expand(model: ModelDef, args: tuple[CallArg, ...], use: TableRef, scope: Scope) -> tuple[Relation, bool]:
    """The rows of a model with these arguments, which are read in the caller's scope; and whether none of them reads a
    row there."""
    session = scope.session
    read_models(session, [model])
    template = session.models[id(model)]
    session.report(*template.findings)
    session.record.add(template.record)
    callee = template.callee(model.name.text)
    values: dict[str, Expr | tuple[Expr, ...]] = {one.name: names.native(session) for one in template.record.natives}
    values |= {one.name: one.default for one in template.params if one.default is not None}
    for parameter, arg in bind(callee, args, use.span, session).items():
        value = values[parameter] = expressions.elaborate(arg.value, scope)
        check_type(callee, parameter, type_of(value), arg.value.span, session)
    if template.rest:
        values[template.rest] = expressions.several(remaining(callee, args), scope)
    given = {type(node) for node in nodes(tuple(values.values()))}
    closed = not given & {Column, LocalName}
    put = partial(substitute, values=values, settled=session.settled, closed=closed)
    rel = put(template.relation.rel) if values else template.relation.rel
    if Value not in given:
        session.settled[id(rel)] = rel
    if template.record.observed:
        observed = [observed_with(one, put) if values else one for one in template.record.observed]
        session.record.observe_once((id(model), tuple(values.items())), observed)
    shape = template.relation.shape
    return Relation(rel, Shape(shape.columns, row_type=shape.row_type)), closed


def read_params(params: tuple[Param, ...], session: Session, scope: Scope | None = None) -> tuple[FlowParam, ...]:
    """Parameters with their types, inferred from the default where none is written; of two of a name the first.
    ``scope``: where the defaults are read, if these may name something."""
    read: dict[str, FlowParam] = {}
    spans: dict[str, Param] = {}
    for one in params:
        if (first := spans.setdefault(one.name.text, one)) is not one:
            session.report(mistakes.duplicate_name(one.name.text, "list", one.name.span, first.name.span))
            continue
        default = None if one.default is None else expressions.elaborate(one.default, scope or Scope(session))
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


def substitute(rel: T, values: Arguments, settled: Mapping[int, Rel], *, closed: bool) -> T:
    """A relation or expression with expressions in the place of values of these names, several where one stands in a
    list. What is settled in it, by its identity, is left as it is. ``closed``: the expressions read no rows."""
    given = {name: Tuple(one) if isinstance(one, tuple) else one for name, one in values.items()}
    lists = {id(one): one.items for name, one in given.items() if isinstance(one, Tuple) and one is not values[name]}

    def change(new: Any, old: Any) -> Any:
        if isinstance(new, Value):
            return given.get(new.name, new)
        if lists:
            new = _spread(new, lists)
        if isinstance(new, Alias) and not closed and new is not old:
            return structs.replace(new, closed=False)
        return new

    found: T = rebuilt(rel, change, settled)
    return found


def _spread(node: Any, lists: Mapping[int, tuple[Expr, ...]]) -> Any:
    """A node with all values of a list in the place of that, where it is a member of one."""
    before = structs.astuple(node)
    if not any(id(member) in lists for part in before if isinstance(part, tuple) for member in part):
        return node
    return type(node)(*[_members(part, lists) if isinstance(part, tuple) else part for part in before])


def _members(several: tuple[Any, ...], lists: Mapping[int, tuple[Expr, ...]]) -> tuple[Any, ...]:
    return tuple([one for member in several for one in lists.get(id(member), (member,))])


def observed_with(observed: Observed, put: Callable[[Any], Any]) -> Observed:
    """What a model observes, with the arguments of its caller; ``put`` puts these into a relation or expression."""
    match observed:
        case CheckedTests(relation=rel, tests=tests):
            given = tuple(one._replace(assertion=put(one.assertion)) for one in tests)
            return observed._replace(relation=put(rel), tests=given)
        case CheckedQuery(relation=rel, observed=inner, update=update):
            below = tuple(observed_with(one, put) for one in inner)
            if isinstance(update, DeleteFrom) and update.condition is not None:
                update = update._replace(condition=put(update.condition))
            return structs.replace(observed, relation=put(rel), observed=below, update=update)


def _read(model: ModelDef, session: Session) -> Template:
    with session.within(model.span), session.apart() as findings, session.recording() as record:
        used = [session.models[id(one)] for one in _used(model, session) if id(one) in session.models]
        depth = 1 + max((one.depth for one in used), default=0)
        params = read_params(model.params, session)
        if depth > MAX_DEPTH:
            session.report(mistakes.expansion_too_deep(MAX_DEPTH, model.name.span))
            relation = _stand_in(model)
        else:
            relation = relations.query(model.query, Scope(session, values=values_of(params)))
            relation = declared_rows(model.result, relation, session)
    rest = model.params[-1].name.text if model.params and model.params[-1].variadic else ""
    return Template(params, relation, record, tuple(findings), depth, rest)


def _stand_in(model: ModelDef) -> Relation:
    """For a model that can't be expanded; its finding keeps the program from running."""
    return Relation(Table((model.name.text,), model.name.text), Shape())
