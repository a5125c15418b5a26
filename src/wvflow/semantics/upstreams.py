"""``from A.x``: the rows of a stage of a flow that the header names (flow language, section 1, "Meaning of a name")."""

from __future__ import annotations

from wvflow.lang.algebra import StageRows
from wvflow.lang.relations import of_upstream
from wvflow.semantics import mistakes_of_dependencies as mistakes
from wvflow.semantics.scopes import Relation, Scope, Shape
from wvflow.syntax.nodes import Name, TableRef


def upstream_rows(table: TableRef, alias: str, scope: Scope) -> Relation | None:
    """``A.x`` as a source: the rows of a stage of a flow that the header names. None where it means a table."""
    if len(table.parts) != 2 or table.args is not None or not (scope.stage or scope.upstreams):
        return None
    flow, stage = table.parts
    if flow.text not in scope.upstreams and not _is_unnamed(flow, stage, scope):
        return None
    stages = scope.upstreams.get(flow.text, {})
    found = stages.get(stage.text)
    if found is None and stages:
        scope.session.report(mistakes.unknown_stage_of(flow.text, stage.text, stage.span, list(stages)))
    elif found is not None and found.unreadable:
        scope.session.report(mistakes.unreadable(flow.text, stage.text, found.unreadable, table.span))
    rel = StageRows(of_upstream(flow.text, stage.text), alias or stage.text)
    return Relation(rel, Shape(found.columns if found is not None else None).named(rel.alias))


def _is_unnamed(flow: Name, stage: Name, scope: Scope) -> bool:
    """Whether it is a stage of a flow that the header doesn't name, and no table: that is reported."""
    schemas = {schema for pair in scope.session.catalog.schemas or () for schema in pair}
    unnamed = stage.text in scope.session.stages_elsewhere(flow.text) and flow.text.lower() not in schemas
    if unnamed:
        scope.session.report(mistakes.flow_not_named(flow.text, flow.span))
    return unnamed
