"""``materialize: view`` where it can't be (flow language, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wvflow.lang.algebra import FanIn, Piped
from wvflow.lang.relations import nodes, stages_read
from wvflow.semantics import mistakes_of_flows as mistakes
from wvflow.semantics.checked import CheckedStage, RowsStep
from wvflow.semantics.session import Session
from wvflow.source import Span


def check_views(stages: Sequence[CheckedStage], spans: Mapping[str, Mapping[str, Span]], session: Session) -> None:
    """Report views that are more than a query, and readers that need their rows. ``spans``: where the properties of
    each stage stand."""
    views = {stage.name: stage for stage in stages if stage.is_view}
    for view in views.values():
        if not _is_a_query(view) or view.connector:
            session.report(mistakes.no_view(view.name, spans[view.name]["materialize"]))
    for stage in stages if views else ():
        merged = [one for node in nodes(stage.steps) if isinstance(node, FanIn) for one in stages_read(node)]
        elsewhere = list(stages_read(stage.steps)) if stage.connector else []
        for name in dict.fromkeys(one for one in (*merged, *elsewhere) if one in views):
            session.report(mistakes.view_not_there(name, stage.upstreams[name], merged=name in merged))


def check_output(stages: Sequence[CheckedStage], output: str, session: Session) -> None:
    """Report an output that has no rows."""
    for stage in stages:
        if stage.name == output and stage.is_view:
            session.report(mistakes.output_is_a_view(output, stage.span))


def _is_a_query(stage: CheckedStage) -> bool:
    match stage.steps:
        case (RowsStep(relation=relation),):
            ends_here = stage.end is None and stage.jump is None
            return not any(isinstance(node, Piped) for node in nodes(relation)) and ends_here
    return False
