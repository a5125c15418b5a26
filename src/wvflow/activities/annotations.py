"""Annotations of a function, resolved one by one.

A name that exists for type checkers only (``if TYPE_CHECKING: import polars as pl``) can't be resolved; such an
annotation stays the text it is and is compared by name. The others don't suffer from it.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from enum import Enum
from types import NoneType, SimpleNamespace, UnionType
from typing import Any

MISSING = inspect.Parameter.empty
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Shape(typing.NamedTuple):
    """A function's parameters by the part they play. ``open``: it takes any keyword argument."""

    signature: inspect.Signature
    rows: inspect.Parameter | None
    context: str | None
    arguments: dict[str, inspect.Parameter]
    open: bool

    @property
    def returns(self) -> Any:
        return self.signature.return_annotation


def shape_of(function: Callable[..., Any]) -> Shape:
    """Which parameter is the rows (the first that is not keyword-only), the context, and which are arguments.

    Source: interfaces, section 4.
    """
    signature = _resolved_signature(function)
    parameters = signature.parameters.values()
    context = next((one.name for one in parameters if _is_context(one)), None)
    others = [one for one in parameters if one.name != context]
    rows = others[0] if others and others[0].kind in _POSITIONAL else None
    arguments = {one.name: one for one in others if one is not rows and one.kind not in _VARIADIC}
    return Shape(signature, rows, context, arguments, any(one.kind is inspect.Parameter.VAR_KEYWORD for one in others))


def _resolved_signature(function: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function)
    names = getattr(inspect.unwrap(function), "__globals__", {})
    parameters = [one.replace(annotation=_resolved(one.annotation, names)) for one in signature.parameters.values()]
    returns = _resolved(signature.return_annotation, names)
    return signature.replace(parameters=parameters, return_annotation=returns)


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    if annotation is MISSING:
        return annotation
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, globalns=names)["it"]
    except Exception:  # any code may stand in an annotation
        return annotation


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = without_none(parameter.annotation)[0]
    if annotation is MISSING:
        return parameter.name == "ctx"
    return last_name(annotation) == "ActivityContext"


def without_none(annotation: Any) -> tuple[Any, bool]:
    """The annotation without ``| None``, and whether it had it."""
    if isinstance(annotation, str):
        return _text_without_none(annotation)
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        members = typing.get_args(annotation)
        rest = tuple(one for one in members if one is not NoneType)
        if len(rest) < len(members):
            return (rest[0] if len(rest) == 1 else typing.Union[rest]), True  # noqa: UP007  (built at run time)
    return annotation, False


def _text_without_none(text: str) -> tuple[str, bool]:
    text = text.strip()
    if text.startswith("Optional[") and text.endswith("]"):
        return text[len("Optional[") : -1].strip(), True
    short = text.removesuffix("None").rstrip()
    return (short[:-1].rstrip(), True) if short != text and short.endswith("|") else (text, False)


def last_name(annotation: Any) -> str:
    """The class's own name, of a class or of an annotation that stayed text: ``wvflow.ActivityContext`` is
    ``ActivityContext``."""
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2]
    return getattr(annotation, "__name__", "")


def spelled(annotation: Any) -> str:
    """An annotation as a person would write it."""
    if isinstance(annotation, str):
        return annotation
    is_class = isinstance(annotation, type) and not typing.get_args(annotation)
    return annotation.__qualname__ if is_class else str(annotation).replace("typing.", "")


def choices_of(annotation: Any) -> tuple[Any, ...]:
    """The only values allowed, by ``Literal`` or an ``Enum``; none where others are."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(member.value for member in annotation)
    return ()
