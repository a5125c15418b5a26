"""A flow's parameters: values given by people, programs or other flows, checked before anything is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wvflow.diagnostics import nearest
from wvflow.errors import UserError
from wvflow.lang.evaluate import evaluate
from wvflow.lang.types import UNKNOWN
from wvflow.lang.values import to_json, to_python, told
from wvflow.plan.nodes import FlowParam, FlowPlan


def bind(plan: FlowPlan, given: Mapping[str, object]) -> dict[str, object]:
    """All parameters of a flow as JSON values: those given, checked against their types, and defaults for the rest.

    Raises: UserError, naming the parameter and what was wanted.
    """
    return bind_all(f"flow {plan.flow}", plan.params, given, "-p ")


def bind_all(owner: str, params: Sequence[FlowParam], given: Mapping[str, object], how: str = "") -> dict[str, object]:
    """The same for anything with parameters. ``owner``: what it is; ``how``: what stands before ``name=…`` where they
    are given. Raises as ``bind``."""
    declared = {param.name: param for param in params}
    for name in given:
        known(owner, declared, name)
    return {param.name: _bound(owner, param, given, how) for param in params}


def shown(params: Sequence[FlowParam], values: Mapping[str, object]) -> dict[str, object]:
    """Their JSON values for people and programs that don't know their types."""
    types = {param.name: param.type for param in params}
    return {name: told(to_python(value, types.get(name, UNKNOWN))) for name, value in values.items()}


def known(owner: str, declared: Mapping[str, FlowParam], name: str) -> FlowParam:
    """The parameter of that name. Raises: UserError, there is none."""
    if name in declared:
        return declared[name]
    near = nearest(name, declared)
    names = f"its parameters: {', '.join(declared)}" if declared else "it takes none"
    raise UserError(f"{owner} has no parameter `{name}`", help=f"did you mean `{near}`?" if near else names)


def _bound(owner: str, param: FlowParam, given: Mapping[str, object], how: str) -> object:
    if param.name in given:
        return _checked(param, given[param.name])
    if param.default is not None:
        return to_json(evaluate(param.default, {}))
    raise UserError(f"{owner} needs the parameter `{param.name}` ({param.type})", help=f"{how}{param.name}=…")


def _checked(param: FlowParam, value: object) -> object:
    """The value as JSON, if it is of its type."""
    try:
        json = to_json(value)
        if value is not None and param.type != UNKNOWN:
            to_python(json, param.type)
    except (ValueError, TypeError) as error:
        raise UserError(f"the parameter `{param.name}` must be {param.type}, not {value!r}") from error
    return json
