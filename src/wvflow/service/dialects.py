"""What a stage asks of the engine that it runs on, and that engine's SQL has no form of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from wvflow.diagnostics import Diagnostic
from wvflow.errors import UserError
from wvflow.plan.files import files_as_inputs
from wvflow.plan.nodes import Bundle, StagePlan
from wvflow.plan.queries import queries_of
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
    tasks = (*stage.tasks, *(stage.map.instance.tasks if stage.map else ())) if engine != MAIN else ()
    for query in chain.from_iterable(map(queries_of, tasks)):
        try:
            lower(files_as_inputs(query)[0], engine)
        except DialectCannot as refused:
            yield refused
        except UserError:
            pass  # it depends on the rows, and is told when they are there
