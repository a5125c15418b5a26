"""The rows that runs have kept, read for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wvflow.data.connection import Connection
from wvflow.data.pieces import Places
from wvflow.data.reading import read_output
from wvflow.drivers.embedded.mapped import is_row, parse_row
from wvflow.errors import OutputMissing
from wvflow.kernel.events import NOTHING, Output
from wvflow.ports.engine import FileRows, InlineRows, Located
from wvflow.ports.store import Store

if TYPE_CHECKING:
    import pyarrow as pa


def rows_of(output: Output, whose: str, store: Store, folder: Path, *, is_view: bool = False) -> pa.RecordBatchReader:
    """The rows of an output; ``whose`` says of what it is one.

    Raises: OutputMissing (says where the rows were saved, if they were).
    """
    if output.ref == NOTHING:
        return _no_rows()
    if output.ref:
        return read_output(located(output.ref, store, folder), folder)
    if is_view:
        missing = "it is a view, computed by each stage that reads it"
    else:
        missing = f"its rows were saved to {output.target}" if output.target else "its activity returned none"
    raise OutputMissing(f"{whose} keeps no rows of its own: {missing}")


def located(ref: str, store: Store, folder: Path) -> Located:
    """Where the rows of a reference are. Raises: OutputMissing."""
    if is_row(ref):
        rows, place, ahead = parse_row(ref)
        places = Places(folder, Connection(folder / "spill"))
        return InlineRows(places.row(located(rows, store, folder), place, ahead))
    kind, _, path = ref.partition(":")
    return FileRows(path) if kind == "file" else InlineRows(store.inline(ref))


def found_anywhere(ref: str, store: Store, folder: Path) -> Located:
    """As ``located``, for an engine that has its own folder."""
    rows = located(ref, store, folder)
    return FileRows(str((folder / rows.path).absolute())) if isinstance(rows, FileRows) else rows


def _no_rows() -> pa.RecordBatchReader:
    """Those of a stage that is read as no rows, of columns that nobody knows."""
    import pyarrow as pa

    return pa.table({}).to_reader()
