"""What a stage asks of the engine that it runs on, and that engine's SQL has no form of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from wvflow.diagnostics import Diagnostic
from wvflow.errors import UserError
from wvflow.lang.algebra import Rel
from wvflow.plan.files import files_as_inputs
from wvflow.plan.nodes import Bundle, StagePlan
from wvflow.plan.queries import queries_of
from wvflow.plan.views import inlined, view_of
from wvflow.source import Source, Span
from wvflow.sql import DialectCannot, lower

if TYPE_CHECKING:
    from wvflow.semantics.checked import Checked
    from wvflow.syntax.tokens import Token

MAIN = "duckdb"
"""The engine whose SQL has everything."""


def unsayable(bundle: Bundle | None, checked: Checked, engines: Mapping[str, str]) -> Iterator[Diagnostic]:
    """One for each operator that would be refused when its stage runs. ``engines``: of the connectors, by name."""
    from wvflow.semantics.mistakes_of_flows import not_said_there

    if bundle is None or not engines:
        return
    for flow in checked.flows:
        spans = {stage.name: stage.span for stage in flow.stages}
        stages = bundle.plan(flow.ref).stages
        views = {stage.name: view for stage in stages if (view := view_of(stage)) is not None}
        for stage in stages:
            engine = engines.get(stage.connector, MAIN)
            for refused in _refused(stage, views, engine):
                place = _place(refused.operator, spans[stage.name], spans.values())
                yield not_said_there(refused.operator, engine, place, refused.help)


def _place(operator: str, stage: Span, stages: Iterable[Span]) -> Span:
    """Where a stage writes an operator; its name, where that comes of something that it calls."""
    source = stage.source
    behind = (one.start for one in stages if one.source is source and one.start > stage.start)
    wanted = _keys(operator)
    body = [one for one in _tokens(source) if stage.end <= one.start < min(behind, default=len(source.text))]
    for at in range(len(body) - len(wanted) + 1):
        found = body[at : at + len(wanted)]
        if wanted and [one.key.lower() for one in found] == wanted:
            return Span(source, found[0].start, found[-1].end)
    return stage


def _keys(operator: str) -> list[str]:
    """The tokens that an operator begins with, up to what depends on the program."""
    from wvflow.syntax.lexer import tokenize

    written = re.split(r"['(…]", operator, maxsplit=1)[0]
    return [one.key.lower() for one in tokenize(Source("", written)).tokens if one.key]


@lru_cache(maxsize=1)
def _tokens(source: Source) -> Sequence[Token]:
    from wvflow.syntax.lexer import tokenize

    return tokenize(source).tokens


def _refused(stage: StagePlan, views: Mapping[str, Rel], engine: str) -> Iterator[DialectCannot]:
    tasks = stage.all_tasks if engine != MAIN else ()
    for query in chain.from_iterable(map(queries_of, tasks)):
        try:
            lower(files_as_inputs(inlined(query, views))[0], engine)
        except DialectCannot as refused:
            yield refused
        except UserError:
            pass  # it depends on the rows, and is told when they are there
