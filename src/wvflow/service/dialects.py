"""What a stage asks of the engine that it runs on, and that engine's SQL has no form of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from wvflow.diagnostics import Diagnostic
from wvflow.errors import UserError
from wvflow.plan.nodes import Bundle, QueryTask, StagePlan
from wvflow.sql import DialectCannot, lower

if TYPE_CHECKING:
    from wvflow.semantics.checked import Checked

MAIN = "duckdb"
"""The engine whose SQL has everything."""


def unsayable(bundle: Bundle | None, checked: Checked, engines: Mapping[str, str]) -> Iterator[Diagnostic]:
    """One for each operator that would be refused when its stage runs. ``engines``: of the connectors, by name."""
    from wvflow.semantics.mistakes_of_flows import not_said_there

    if bundle is None or not engines:
        return
    for flow in checked.flows:
        spans = {stage.name: stage.span for stage in flow.stages}
        for stage in bundle.plan(flow.ref).stages:
            engine = engines.get(stage.connector, MAIN)
            for refused in _refused(stage, engine):
                yield not_said_there(refused.operator, engine, spans[stage.name], refused.help)


def _refused(stage: StagePlan, engine: str) -> Iterator[DialectCannot]:
    for task in stage.tasks:
        if engine != MAIN and isinstance(task, QueryTask):
            try:
                lower(task, engine)
            except DialectCannot as refused:
                yield refused
            except UserError:
                pass  # it depends on the rows, and is told when they are there
