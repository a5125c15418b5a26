"""``s.col`` and ``_.col`` in arguments and ``when``: the value in the one row of a stage or of the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wvflow.errors import TaskError
from wvflow.kernel.events import Output
from wvflow.lang.algebra import Cell

if TYPE_CHECKING:
    import pyarrow as pa


def value_of(
    cell: Cell, output: Output | None, rows: Callable[[], pa.RecordBatchReader], *, use: str, most: int
) -> object:
    """The value. ``output``: what holds it, None when that was never put out; ``use``: what it is for; ``most``: of how
    many rows the first counts.

    Raises:
        TaskError: there is no such column, no row, or more than these.
    """
    if output is None or (output.rows or 0) > most:
        raise _wrong_count(cell, use, output, 0 if output is None else output.rows or 0)
    table = rows().read_all()
    if cell.column not in table.column_names:
        raise TaskError(
            "ColumnNotFound",
            f"`{cell.shown}`: {_owner(cell)} has no column named `{cell.column}`",
            help=f"its columns: {', '.join(table.column_names) or 'none'}",
            retryable=False,
        )
    if not 1 <= table.num_rows <= most:
        raise _wrong_count(cell, use, output, table.num_rows)
    return table.column(cell.column)[0].as_py()


def _owner(cell: Cell) -> str:
    return f"stage `{cell.owner}`" if cell.owner else "the input"


def _wrong_count(cell: Cell, use: str, output: Output | None, rows: int) -> TaskError:
    whose = f"one row of {_owner(cell)}" if cell.owner else "one input row"
    failed = ", as it did not succeed" if output is None else ""
    return TaskError(
        "ScalarExpected",
        f"`{use}: {cell.shown}` needs {whose}, there are {rows}{failed}",
        help="reduce the rows to one first, for example with `agg` or `limit 1`; "
        "or raise `limits.scalar_rows` in wvflow.toml, and the first of so many counts",
        retryable=False,
    )
