"""A function's annotations in the language's types, for the checker."""

from __future__ import annotations

import inspect
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from wvflow.activities.annotations import MISSING, Shape, choices_of, without_none
from wvflow.activities.discovery import Registered
from wvflow.activities.rows import form_of
from wvflow.lang.catalog import ActivitySignature, Parameter
from wvflow.lang.types import (
    BOOLEAN,
    DATE,
    DECIMAL,
    DOUBLE,
    DURATION,
    LONG,
    NULL,
    STRING,
    TIME,
    TIMESTAMP,
    UNKNOWN,
    Type,
    array_of,
)

SCALARS: Mapping[Any, Type] = {
    str: STRING,
    int: LONG,
    float: DOUBLE,
    bool: BOOLEAN,
    Decimal: DECIMAL,
    date: DATE,
    datetime: TIMESTAMP,
    time: TIME,
    timedelta: DURATION,
    bytes: Type("binary"),
    UUID: Type("uuid"),
    NoneType: NULL,
}
_ARRAYS = (list, tuple, Sequence, Collection, Iterable, Iterator)
_MAPS = (dict, Mapping)
_STREAMS = (Generator, AsyncGenerator, AsyncIterable, AsyncIterator)


def signature_of(activity: Registered) -> ActivitySignature:
    """An activity as the checker sees it."""
    shape = activity.shape
    return ActivitySignature(
        name=activity.name,
        parameters=tuple(_parameter(one) for one in shape.arguments.values()),
        takes_rows=shape.rows is not None and needs_rows(shape.rows),
        open=shape.open,
        properties=dict(activity.spec.properties),
        returns=_returns(shape),
        result=type_of(shape.returns) if _returns(shape) == "scalar" else UNKNOWN,
        origin=activity.origin,
    )


def needs_rows(rows: inspect.Parameter) -> bool:
    """Whether the function can't be called without rows: they have no default and may not be None."""
    return rows.default is MISSING and not without_none(rows.annotation)[1]


def _parameter(parameter: inspect.Parameter) -> Parameter:
    bare, nullable = without_none(parameter.annotation)
    return Parameter(
        parameter.name,
        type_of(bare),
        required=parameter.default is MISSING,
        nullable=nullable or parameter.default is None,
        choices=tuple(one for one in choices_of(bare) if isinstance(one, (str, int))),
    )


def type_of(annotation: Any) -> Type:
    """The language's type for an annotation, UNKNOWN where it has none.

    >>> str(type_of(list[int])), str(type_of(complex))
    ('array[long]', 'any')
    """
    bare, _ = without_none(annotation)
    if choices := choices_of(bare):
        kinds = {type(choice) for choice in choices}
        return SCALARS.get(kinds.pop(), UNKNOWN) if len(kinds) == 1 else UNKNOWN
    origin, args = typing.get_origin(bare) or bare, typing.get_args(bare)
    if origin in _ARRAYS:
        return array_of(type_of(args[0]) if args else UNKNOWN)
    if origin in _MAPS:
        return Type("map", tuple(type_of(one) for one in args) or (UNKNOWN, UNKNOWN))
    return SCALARS.get(bare, UNKNOWN) if isinstance(bare, type) else UNKNOWN


def _returns(shape: Shape) -> str:
    bare, _ = without_none(shape.returns)
    if bare is None or bare is NoneType:
        return "nothing"
    if bare in (MISSING, Any, object):
        return "unknown"
    if isinstance(bare, type) and bare in SCALARS:
        return "scalar"
    streams = (typing.get_origin(bare) or bare) in _STREAMS
    return "rows" if streams or form_of(bare) is not None else "unknown"
