"""A run's parameters: given by people or programs, checked against the flow before anything is recorded."""

from __future__ import annotations

from collections.abc import Mapping

from wvflow.diagnostics import nearest
from wvflow.errors import UserError
from wvflow.lang.evaluate import evaluate
from wvflow.lang.types import UNKNOWN
from wvflow.lang.values import parse_value, to_json, to_python
from wvflow.plan.nodes import FlowParam, FlowPlan


def parse(plan: FlowPlan, texts: Mapping[str, str]) -> dict[str, object]:
    """Values from text (``-p k=v``), read as literals of the declared types.

    Raises: UserError, an unknown parameter or a text that isn't of its type.
    """
    declared = {param.name: param for param in plan.params}
    return {name: _parsed(_known(plan, declared, name), text) for name, text in texts.items()}


def bind(plan: FlowPlan, given: Mapping[str, object]) -> dict[str, object]:
    """All parameters of a flow as JSON values: those given, checked against their types, and defaults for the rest.

    Raises: UserError, naming the parameter and what was wanted.
    """
    declared = {param.name: param for param in plan.params}
    for name in given:
        _known(plan, declared, name)
    return {param.name: _bound(plan, param, given) for param in plan.params}


def _bound(plan: FlowPlan, param: FlowParam, given: Mapping[str, object]) -> object:
    if param.name in given:
        return _checked(param, given[param.name])
    if param.default is not None:
        return to_json(evaluate(param.default, {}))
    raise UserError(f"flow {plan.flow} needs the parameter `{param.name}` ({param.type})", help=f"-p {param.name}=…")


def _known(plan: FlowPlan, declared: Mapping[str, FlowParam], name: str) -> FlowParam:
    if name in declared:
        return declared[name]
    near = nearest(name, declared)
    known = f"its parameters: {', '.join(declared)}" if declared else "it takes none"
    raise UserError(f"flow {plan.flow} has no parameter `{name}`", help=f"did you mean `{near}`?" if near else known)


def _parsed(param: FlowParam, text: str) -> object:
    try:
        return parse_value(text, param.type)
    except ValueError as error:
        raise UserError(f"the parameter `{param.name}`: {error}") from error


def _checked(param: FlowParam, value: object) -> object:
    """The value as JSON, if it is of its type."""
    json = to_json(value)
    if value is None or param.type == UNKNOWN:
        return json
    try:
        to_python(json, param.type)
    except (ValueError, TypeError) as error:
        raise UserError(f"the parameter `{param.name}` must be {param.type}, not {value!r}") from error
    return json
