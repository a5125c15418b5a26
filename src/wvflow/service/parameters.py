"""A run's parameters as texts: given on a command line, checked against the flow before anything is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wvflow.errors import UserError
from wvflow.lang.values import parse_value
from wvflow.plan.nodes import FlowParam, FlowPlan
from wvflow.plan.parameters import known


def parse(plan: FlowPlan, texts: Mapping[str, str | None]) -> dict[str, object]:
    """Values from text (``-p k=v``), read as literals of the declared types; None is null.

    Raises: UserError, an unknown parameter or a text that isn't of its type.
    """
    return parse_all(f"flow {plan.flow}", plan.params, texts)


def parse_all(owner: str, params: Sequence[FlowParam], texts: Mapping[str, str | None]) -> dict[str, object]:
    """The same for anything with parameters; ``owner``: what it is. Raises as ``parse``."""
    declared = {param.name: param for param in params}
    return {name: _parsed(known(owner, declared, name), text) for name, text in texts.items()}


def _parsed(param: FlowParam, text: str | None) -> object:
    try:
        return None if text is None else parse_value(text, param.type)
    except ValueError as error:
        raise UserError(f"the parameter `{param.name}`: {error}") from error
