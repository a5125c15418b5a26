"""Defaults of parameters that are given from outside: constants, each with a value of its type."""

from __future__ import annotations

from collections.abc import Sequence

from wvflow.errors import EvaluationError
from wvflow.lang.algebra import Expr, Value
from wvflow.lang.evaluate import evaluate, is_static
from wvflow.lang.relations import nodes
from wvflow.lang.values import to_json, to_python
from wvflow.plan.nodes import FlowParam
from wvflow.semantics import mistakes
from wvflow.semantics.arguments import Formal, fits
from wvflow.semantics.infer import type_of
from wvflow.semantics.session import Session
from wvflow.syntax.nodes import Param


def check_defaults(written: Sequence[Param], params: Sequence[FlowParam], session: Session) -> None:
    """Report those that are none: there is nothing yet that could give them other values."""
    spans = {one.name.text: one.span for one in reversed(written)}
    for param in params:
        if param.default is None:
            continue
        if not _is_constant(param.default):
            session.report(mistakes.default_not_constant(param.name, spans[param.name]))
        elif fits(Formal(param.name, param.type), type_of(param.default)) and not _has_value(param):
            session.report(mistakes.unreadable_default(param.name, param.type, spans[param.name]))


def _has_value(param: FlowParam) -> bool:
    """Whether the default can be computed, and read as what a text of the type may be."""
    try:
        to_python(None if param.default is None else to_json(evaluate(param.default, {})), param.type)
    except (EvaluationError, ValueError):
        return False
    return True


def _is_constant(default: Expr) -> bool:
    return is_static(default) and not any(isinstance(node, Value) for node in nodes(default))
