"""Wall-clock functions in a stage: each attempt gets another value, and a run for an earlier day today's."""

from __future__ import annotations

from wvflow.lang.algebra import Call, Column
from wvflow.lang.relations import nodes
from wvflow.lang.reuse import CLOCKS, WALL_CLOCK
from wvflow.semantics import mistakes_of_properties as mistakes
from wvflow.semantics.checked import CheckedStage, UntilStep
from wvflow.semantics.session import Session
from wvflow.source import Span
from wvflow.syntax.nodes import Name, SyntaxNode
from wvflow.syntax.walk import walk

_OF_A_DAY = frozenset({"current_date", "today"})


def check_clocks(stage: CheckedStage, body: SyntaxNode, session: Session) -> None:
    """Warn of the functions that tell the time in a stage's body, or in what it uses. A `wait until` is about the time
    of each poll, so it may ask for it."""
    found: dict[str, None] = {}
    for node in nodes(tuple(step for step in stage.steps if not isinstance(step, UntilStep))):
        match node:
            case Call(function=name) if name.lower() in WALL_CLOCK | CLOCKS:
                found[name.lower()] = None
            case Column(name=name, table="") if name.lower() in CLOCKS:
                found[name.lower()] = None
    for name in found:
        instead = "run_date" if name in _OF_A_DAY else "run_time"
        session.report(mistakes.wall_clock(name, instead, _place(name, body) or stage.span))


def _place(name: str, body: SyntaxNode) -> Span | None:
    """Where the body names the function, None where it is in a definition that the body uses."""
    written = (node for node in walk(body) if isinstance(node, Name))
    return next((one.span for one in written if one.text.lower() == name), None)
