"""``materialize: view`` where it can't be (flow language, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wvflow.lang.algebra import NamedTable, Piped, RawSql, SqlText, Table
from wvflow.lang.relations import nodes, stages_read
from wvflow.semantics import mistakes_of_flows as mistakes
from wvflow.semantics.checked import CheckedStage, RowsStep
from wvflow.semantics.session import Session
from wvflow.source import Span

_OF_AN_ENGINE = Table | NamedTable | SqlText | RawSql


def check_views(stages: Sequence[CheckedStage], spans: Mapping[str, Mapping[str, Span]], session: Session) -> None:
    """Report views that are more than a query, and readers that need their rows. ``spans``: where the properties of
    each stage stand."""
    views = {stage.name: stage for stage in stages if stage.is_view}
    for view in views.values():
        if not _is_a_query(view):
            session.report(mistakes.no_view(view.name, spans[view.name]["materialize"]))
    for stage in stages if views else ():
        for name in stages_read(stage.steps):
            for at in sorted(engines_of(name, views) - {stage.connector}):
                session.report(mistakes.view_elsewhere(name, at, stage.upstreams[name]))


def engines_of(name: str, views: Mapping[str, CheckedStage]) -> set[str]:
    """Where the relation of a view can be computed, with those of the views that it reads: anywhere, if none is named.
    ``""`` is the warehouse's."""
    found: set[str] = set()
    for view in (views[one] for one in _read_through(name, views)):
        if view.connector or any(isinstance(node, _OF_AN_ENGINE) for node in nodes(view.steps)):
            found.add(view.connector)
    return found


def _read_through(name: str, views: Mapping[str, CheckedStage]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        if (one := waiting.pop()) in views and one not in found:
            found.add(one)
            waiting += stages_read(views[one].steps)
    return found


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
