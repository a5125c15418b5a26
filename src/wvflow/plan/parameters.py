"""A flow's parameters: values given by people, programs or other flows, checked before anything is recorded."""

from __future__ import annotations

from collections.abc import Mapping

from wvflow.diagnostics import nearest
from wvflow.errors import UserError
from wvflow.lang.evaluate import evaluate
from wvflow.lang.types import UNKNOWN
from wvflow.lang.values import to_json, to_python
from wvflow.plan.nodes import FlowParam, FlowPlan


def bind(plan: FlowPlan, given: Mapping[str, object]) -> dict[str, object]:
    """All parameters of a flow as JSON values: those given, checked against their types, and defaults for the rest.

    Raises: UserError, naming the parameter and what was wanted.
    """
    declared = {param.name: param for param in plan.params}
    for name in given:
        known(plan, declared, name)
    return {param.name: _bound(plan, param, given) for param in plan.params}


def known(plan: FlowPlan, declared: Mapping[str, FlowParam], name: str) -> FlowParam:
    """The parameter of that name. Raises: UserError, there is none."""
    if name in declared:
        return declared[name]
    near = nearest(name, declared)
    names = f"its parameters: {', '.join(declared)}" if declared else "it takes none"
    raise UserError(f"flow {plan.flow} has no parameter `{name}`", help=f"did you mean `{near}`?" if near else names)


def _bound(plan: FlowPlan, param: FlowParam, given: Mapping[str, object]) -> object:
    if param.name in given:
        return _checked(param, given[param.name])
    if param.default is not None:
        return to_json(evaluate(param.default, {}))
    raise UserError(f"flow {plan.flow} needs the parameter `{param.name}` ({param.type})", help=f"-p {param.name}=…")


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
