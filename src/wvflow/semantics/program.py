"""The whole of checking: a program's trees to relations and steps with all names resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wvflow.diagnostics import Diagnostic
from wvflow.lang.algebra import Rel
from wvflow.lang.catalog import Catalog
from wvflow.semantics import mistakes, relations
from wvflow.semantics.activities import check_declaration
from wvflow.semantics.checked import Checked, CheckedFlow, CheckedModel
from wvflow.semantics.children import called_first, columns_of
from wvflow.semantics.definitions import Definitions, collect
from wvflow.semantics.dependencies import as_upstreams, check_no_cycle
from wvflow.semantics.flows import check_flow
from wvflow.semantics.meetings import check_can_meet
from wvflow.semantics.models import read_models, read_models_of
from wvflow.semantics.properties import check_foreign
from wvflow.semantics.rowtypes import check_type
from wvflow.semantics.sagas import undoes_children
from wvflow.semantics.scopes import Scope
from wvflow.semantics.session import Session
from wvflow.semantics.signatures import check_function, check_parameters
from wvflow.semantics.sources import rows_of
from wvflow.semantics.statements import check_statements
from wvflow.semantics.vals import scalar_val
from wvflow.semantics.versions import highest
from wvflow.syntax.nodes import ArrayExpr, FlowDef, FunctionDef, ModelDef, Module, Statement, TypeDef, ValDef


def check(modules: Sequence[Module], catalog: Catalog) -> tuple[Checked, tuple[Diagnostic, ...]]:
    """Resolve and type a program. Never raises for what is in it.

    Args:
        modules: all files of the program.
        catalog: what is known of the world outside: activities, tables, data files, the project's defaults.

    The diagnostics stand in the order of the files' names and their text. A model that nothing uses adds warnings
    only; what is wrong with it is kept in ``Checked.models``.
    """
    definitions, found = collect(modules)
    session = Session(definitions, catalog, relations.query)
    session.report(*found)
    defined = [statement for file in definitions.files.values() for statement in file.statements]
    models = [one for one in defined if isinstance(one, ModelDef)]
    read_models(session, models)
    _check_constants(defined, session)
    activities = {name: check_declaration(one, session) for name, one in definitions.activities.items()}
    checked_flows = {id(flow): _check_flow(flow, session) for flow in called_first(definitions.flows)}
    flows = tuple(checked_flows[id(flow)] for flow in definitions.flows.values())
    check_no_cycle(definitions.flows.values(), session, lambda _: True)
    check_can_meet(definitions.flows.values(), session, lambda _: True)
    if flows:
        check_foreign(catalog.defaults, "the project's defaults", "defaults", flows[0].span, session)
    statements = {source: tuple(check_statements(source, session)) for source in definitions.files}
    session.report(*_of_unused_models(session, models))
    checked = Checked(
        flows=flows,
        statements=statements,
        models=_models(session, models),
        activities=activities,
        wanted=tuple(session.wanted),
    )
    return checked, tuple(sorted(session.findings, key=_place))


def check_file(program: Definitions, source: str, catalog: Catalog) -> tuple[tuple[Diagnostic, ...], tuple[Rel, ...]]:
    """What is wrong with one file of a program, and with what it uses of the others; and the sources outside of it
    whose columns would have been of use. What the file only defines and nothing uses gives warnings."""
    session = Session(program, catalog, relations.query)
    defined = program.statements(source)
    models = [one for one in defined if isinstance(one, ModelDef)]
    read_models(session, models)
    _check_constants(defined, session)
    for one in called_first(program.flows):
        if any(one is other for other in defined):
            _check_flow(one, session)
    is_here = [id(one) for one in defined].__contains__
    check_no_cycle(program.flows.values(), session, lambda flow: is_here(id(flow)))
    check_can_meet(program.flows.values(), session, lambda flow: is_here(id(flow)))
    for _ in check_statements(source, session):
        pass
    session.report(*_of_unused_models(session, models))
    return tuple(sorted(session.findings, key=_place)), tuple(session.wanted)


def _check_flow(flow: FlowDef, session: Session) -> CheckedFlow:
    read_models_of([flow], session)
    with session.within(flow.span), session.numbering():
        session.flow = flow.name.text
        checked = check_flow(flow, session)
        session.flow = ""
    session.flow_columns[checked.ref] = columns_of(checked)
    if checked.ref == highest(checked.ref.flow, session):
        session.flow_stages[checked.ref.flow] = as_upstreams(checked)
    if any(stage.compensation is not None or undoes_children(stage, session) for stage in checked.stages):
        session.sagas.add(checked.ref)
    return checked


def _check_constants(defined: Sequence[Statement], session: Session) -> None:
    """Constants, types and the heads of functions and models, used or not."""
    for one in defined:
        with session.within(one.span):
            match one:
                case ValDef(columns=None, name=name):
                    if session.definitions.vals.get(name.text) is one:
                        scalar_val(name, Scope(session))
                case ValDef(value=ArrayExpr() as rows, name=name, columns=columns):
                    rows_of(rows, name.text, columns or (), Scope(session))
                case TypeDef():
                    check_type(one, session)
                case FunctionDef():
                    check_function(one, session)
                case ModelDef(params=params):
                    check_parameters(params, session)


def _of_unused_models(session: Session, models: Sequence[ModelDef]) -> Iterator[Diagnostic]:
    """What is wrong with models beyond what their uses told; once, where several read the broken one."""
    told: set[Diagnostic] = set(session.findings)
    for model in models:
        for found in session.models[id(model)].findings:
            if found not in told:
                told.add(found)
                yield mistakes.unusable_model(model.name.text, found) if found.is_error else found


def _models(session: Session, models: Sequence[ModelDef]) -> Mapping[str, CheckedModel]:
    checked: dict[str, CheckedModel] = {}
    for model in models:
        template = session.models[id(model)]
        one = CheckedModel(
            name=model.name.text,
            span=model.name.span,
            params=template.params,
            relation=template.relation.rel,
            uses=tuple(template.record.uses),
            findings=template.findings,
        )
        checked.setdefault(one.name, one)
    return checked


def _place(found: Diagnostic) -> tuple[str, int, str]:
    return found.span.source.name, found.span.start, found.code.number
