"""Rows going in: which form a function wants, by the annotation of its first parameter, and how it is made.

Recognising a form imports nothing: classes are compared by the package and the name that they bear, annotations that
stayed text by the usual short names of the packages.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wvflow.activities.annotations import MISSING, spelled, without_none
from wvflow.activities.records import is_record, taken_names
from wvflow.errors import TaskError

if TYPE_CHECKING:
    import pyarrow as pa

Reader = Callable[["pa.RecordBatchReader"], object]

ACCEPTED = (
    "pa.Table, pa.RecordBatchReader, pl.DataFrame, pl.LazyFrame, pd.DataFrame, duckdb.DuckDBPyRelation, "
    "list[dict], Iterable[dict], or list or Iterable of a dataclass"
)


class Form(typing.NamedTuple):
    """A form of rows. ``item`` is the record class of each row, where the form has one."""

    name: str
    make: Reader
    item: type | None = None


def _table(rows: pa.RecordBatchReader) -> object:
    return rows.read_all()


def _polars(rows: pa.RecordBatchReader) -> Any:
    return _optional("polars").from_arrow(rows.read_all())


def _polars_lazy(rows: pa.RecordBatchReader) -> object:
    return _polars(rows).lazy()


def _pandas(rows: pa.RecordBatchReader) -> object:
    _optional("pandas")
    return rows.read_all().to_pandas()


def _relation(rows: pa.RecordBatchReader) -> object:
    import duckdb

    # A relation may be evaluated more than once, a stream can't: hence the table. The relation keeps its connection.
    return duckdb.connect().from_arrow(rows.read_all())


def _optional(package: str) -> Any:
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError as error:
        raise TaskError(
            "ModuleNotFoundError",
            f"the rows are wanted as a {package} frame, but {package} can't be imported: {error}",
            retryable=False,
            help=f"pip install 'wvflow[{package}]'",
        ) from None


def _dicts(rows: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    for batch in rows:
        yield from batch.to_pylist()


def _records(item: type, rows: pa.RecordBatchReader) -> Iterator[Any]:
    taken, needed = taken_names(item)
    names = rows.schema.names
    lacking = [name for name in needed if name not in names] if names else []
    if lacking:
        raise TaskError(
            "WrongRows",
            f"`{item.__name__}` needs the column `{lacking[0]}`, which the rows don't have",
            retryable=False,
            help=f"their columns are {', '.join(names)}",
        )
    present = [name for name in taken if name in names]
    return (item(**{name: row[name] for name in present}) for row in _dicts(rows))


TABLE = Form("pa.Table", _table)
_CLASSES: Mapping[tuple[str, str], Form] = {
    ("pyarrow", "Table"): TABLE,
    ("pyarrow", "RecordBatchReader"): Form("pa.RecordBatchReader", lambda rows: rows),
    ("polars", "DataFrame"): Form("pl.DataFrame", _polars),
    ("polars", "LazyFrame"): Form("pl.LazyFrame", _polars_lazy),
    ("pandas", "DataFrame"): Form("pd.DataFrame", _pandas),
    ("duckdb", "DuckDBPyRelation"): Form("duckdb.DuckDBPyRelation", _relation),
}
_SHORT = {"pa": "pyarrow", "pl": "polars", "pd": "pandas", "_duckdb": "duckdb"}
_LISTS = (list, Sequence, Collection)
_STREAMS = (Iterable, Iterator)
_DICTS = (dict, Mapping)


def form_of(annotation: Any) -> Form | None:
    """The form that an annotation names; None when rows don't come in that form."""
    wanted, _ = without_none(annotation)
    if wanted in (MISSING, Any, object):
        return TABLE
    if isinstance(wanted, str):
        return _named(wanted)
    origin = typing.get_origin(wanted) or wanted
    if origin in _LISTS or origin in _STREAMS:
        return _of_items(spelled(wanted), origin, typing.get_args(wanted))
    return _CLASSES.get((_package(wanted.__module__), wanted.__name__)) if isinstance(wanted, type) else None


def _of_items(name: str, origin: object, args: tuple[Any, ...]) -> Form | None:
    item = args[0] if args else dict
    as_list = origin in _LISTS
    if item is Any or (typing.get_origin(item) or item) in _DICTS or typing.is_typeddict(item):
        return Form(name, lambda rows: _collected(_dicts(rows), as_list))
    if is_record(item):
        return Form(name, lambda rows: _collected(_records(item, rows), as_list), item)
    return None


def _collected(items: Iterator[Any], as_list: bool) -> object:
    return list(items) if as_list else items


def _named(text: str) -> Form | None:
    """By name alone: of an annotation that can't be resolved, as its import is for type checkers only."""
    outer, bracket, rest = text.partition("[")
    if bracket:
        origin = {one.__name__: one for one in (*_LISTS, *_STREAMS)}.get(outer.rpartition(".")[2])
        is_dicts = rest.startswith(("dict[", "Dict[", "Mapping[", "dict]", "Dict]", "Mapping]"))
        return _of_items(text, origin, (dict,)) if origin and is_dicts else None
    package, _, name = text.rpartition(".")
    if package:
        return _CLASSES.get((_package(package), name))
    same_name = [form for (_, known), form in _CLASSES.items() if known == name]
    return same_name[0] if len(same_name) == 1 else None


def _package(dotted: str) -> str:
    top = dotted.partition(".")[0]
    return _SHORT.get(top, top)
