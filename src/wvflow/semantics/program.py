"""The whole of checking: a program's trees to relations and steps with all names resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wvflow.diagnostics import Diagnostic
from wvflow.lang.catalog import Catalog
from wvflow.semantics import mistakes, relations
from wvflow.semantics.activities import check_declaration
from wvflow.semantics.bodies import check_query
from wvflow.semantics.checked import Checked, CheckedModel
from wvflow.semantics.definitions import collect
from wvflow.semantics.flows import check_flow
from wvflow.semantics.models import read_models
from wvflow.semantics.properties import check_foreign
from wvflow.semantics.rowtypes import row_type
from wvflow.semantics.scopes import Scope
from wvflow.semantics.session import Session
from wvflow.semantics.sources import rows_of
from wvflow.semantics.vals import scalar_val
from wvflow.syntax.nodes import ArrayExpr, Module


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
    read_models(session)
    _check_vals(session)
    for one in definitions.types.values():
        row_type(one, session)
    activities = {name: check_declaration(one, session) for name, one in definitions.activities.items()}
    flows = tuple(check_flow(flow, session) for flow in definitions.flows.values())
    if flows:
        check_foreign(catalog.defaults, "the project's defaults", "defaults", flows[0].span, session)
    queries = tuple(check_query(one, session) for one in definitions.queries)
    session.report(*_of_unused_models(session))
    checked = Checked(flows=flows, queries=queries, models=_models(session), activities=activities)
    return checked, tuple(sorted(session.findings, key=_place))


def _check_vals(session: Session) -> None:
    for name, val in session.definitions.vals.items():
        if val.columns is None:
            scalar_val(val.name, Scope(session))
        elif isinstance(val.value, ArrayExpr):
            rows_of(val.value, name, val.columns, Scope(session))


def _of_unused_models(session: Session) -> Iterator[Diagnostic]:
    """What is wrong with models beyond what their uses told; once, where several read the broken one."""
    told: set[Diagnostic] = set(session.findings)
    for name, template in session.models.items():
        for found in template.findings:
            if found not in told:
                told.add(found)
                yield mistakes.unusable_model(name, found) if found.is_error else found


def _models(session: Session) -> Mapping[str, CheckedModel]:
    return {
        name: CheckedModel(
            name=name,
            span=session.definitions.models[name].name.span,
            params=template.params,
            relation=template.relation.rel,
            uses=tuple(template.record.uses),
            findings=template.findings,
        )
        for name, template in session.models.items()
    }


def _place(found: Diagnostic) -> tuple[str, int, str]:
    return found.span.source.name, found.span.start, found.code.number
