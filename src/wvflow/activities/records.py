"""Classes whose instances are rows: dataclasses, named tuples, msgspec structs. And the columns that they declare."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wvflow.activities.annotations import without_none

if TYPE_CHECKING:
    import pyarrow as pa


def is_record(kind: Any) -> bool:
    """Whether instances of this class are rows."""
    if not isinstance(kind, type):
        return False
    return (
        dataclasses.is_dataclass(kind)
        or hasattr(kind, "__struct_fields__")
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )


def field_names(kind: Any) -> tuple[str, ...]:
    """The columns of a record class, in its order."""
    if dataclasses.is_dataclass(kind):
        return tuple(one.name for one in dataclasses.fields(kind))
    return tuple(getattr(kind, "__struct_fields__", None) or kind._fields)


def taken_names(kind: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that the class's constructor takes: all, and those without a default."""
    parameters = inspect.signature(kind).parameters.values()
    needed = tuple(one.name for one in parameters if one.default is inspect.Parameter.empty)
    return tuple(one.name for one in parameters), needed


def row_of(record: object) -> dict[str, object]:
    """A record as a row; records in its fields become structs."""
    return {name: _plain(getattr(record, name)) for name in field_names(type(record))}


def _plain(value: object) -> object:
    return row_of(value) if is_record(type(value)) else value


def _exact() -> Mapping[object, pa.DataType]:
    import pyarrow as pa

    return {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        date: pa.date32(),
        time: pa.time64("us"),
        timedelta: pa.duration("us"),
        bytes: pa.binary(),
    }


def _usual() -> Mapping[object, pa.DataType]:
    """Types whose values say more than the annotation does (scale, time zone): used where there are no values."""
    import pyarrow as pa

    return {Decimal: pa.decimal128(18, 3), datetime: pa.timestamp("us")}


class Columns(typing.NamedTuple):
    """Types of columns that a record class declares. ``usual`` stand where no value tells better."""

    names: tuple[str, ...]
    exact: dict[str, pa.DataType]
    usual: dict[str, pa.DataType]


def columns_of(kind: type) -> Columns:
    """The columns that a record class declares; those with other annotations are known by name only."""
    try:
        hints: Mapping[str, Any] = typing.get_type_hints(kind)
    except Exception:  # any code may stand in an annotation
        hints = {}
    names = field_names(kind)
    bare = {name: without_none(hints.get(name))[0] for name in names}
    exact, usual = _exact(), _usual()
    return Columns(names, _known(bare, exact.get), _known(bare, usual.get))


def _known(annotations: Mapping[str, Any], lookup: Callable[[Any], pa.DataType | None]) -> dict[str, pa.DataType]:
    found = {name: _arrow_type(annotation, lookup) for name, annotation in annotations.items()}
    return {name: known for name, known in found.items() if known is not None}


def _arrow_type(annotation: Any, lookup: Callable[[Any], pa.DataType | None]) -> pa.DataType | None:
    if typing.get_origin(annotation) is list:
        import pyarrow as pa

        item = _arrow_type(without_none(typing.get_args(annotation)[0])[0], lookup)
        return None if item is None else pa.list_(item)
    return lookup(annotation) if isinstance(annotation, type) else None
