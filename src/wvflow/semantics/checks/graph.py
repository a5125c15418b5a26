"""The graph of a flow's stages: acyclic, not empty, not too large (flow language, section 2)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wvflow.diagnostics import has_errors
from wvflow.plan.graph import cycle
from wvflow.semantics import mistakes_of_flows as mistakes
from wvflow.semantics.checked import CheckedStage, RowsStep
from wvflow.semantics.session import Session
from wvflow.syntax.nodes import FlowDef


def check_size(flow: FlowDef, stages: Sequence[object], session: Session) -> bool:
    """Whether there are stages, and not too many."""
    if not flow.items and not flow.broken:
        session.report(mistakes.empty_flow(flow.name.text, flow.name.span))
    most = session.catalog.most_stages
    if len(stages) > most:
        session.report(mistakes.too_many_stages(len(stages), most, flow.name.span))
    return 0 < len(stages) <= most


def check_read(stages: Sequence[CheckedStage], needed: Collection[str], output: str, session: Session) -> None:
    """Warn of stages that work for nobody: not ``needed`` by others, without an effect, not the output.

    Errors may have hidden a reader or an effect, so nothing is said beside them.
    """
    if has_errors(session.findings):
        return
    for stage in stages:
        if stage.end is not None or stage.jump is not None:
            continue
        if stage.name != output and stage.name not in needed and all(isinstance(one, RowsStep) for one in stage.steps):
            session.report(mistakes.unread_stage(stage.name, output, stage.span))


def check_acyclic(stages: Sequence[CheckedStage], session: Session) -> None:
    """Report each cycle with its path and every reference on it."""
    numbers = {stage.name: number for number, stage in enumerate(stages)}
    edges = [[numbers[name] for name in stage.upstreams if name in numbers] for stage in stages]
    while (path := cycle(edges)) is not None:
        names = [stages[number].name for number in path]
        references = [
            (reader, read, stages[number].upstreams[read])
            for number, reader, read in zip(path, names, names[1:], strict=False)
        ]
        session.report(mistakes.cycle(names, references[0][2], references))
        edges[path[0]].remove(path[1])
