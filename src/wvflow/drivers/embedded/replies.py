"""What the call that an update ends with tells whoever sent the update."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wvflow.errors import TaskError
from wvflow.lang.catalog import SCALAR_COLUMN
from wvflow.lang.values import told

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST = 1 << 20


class Replied(msgspec.Struct, frozen=True):
    """The result of a call as a JSON value: of one value that, of rows a list of objects, of nothing None."""

    value: object


def reply_of(activity: str, rows: pa.RecordBatchReader | None) -> Replied:
    """What an activity returned, for its caller.

    Raises:
        TaskError: ``WrongResult``, it is too large, or holds what is no value of the language.
    """
    if rows is None:
        return Replied(None)
    table = rows.read_all()
    if table.nbytes > LARGEST:
        raise too_large(activity)
    records = table.to_pylist()
    is_value = table.column_names == [SCALAR_COLUMN] and len(records) == 1
    try:
        return Replied(told(records[0][SCALAR_COLUMN] if is_value else records))
    except ValueError as error:
        message = f"`{activity}` answers an update and returned what can't be told: {error}"
        raise TaskError("WrongResult", message, retryable=False) from error


def too_large(activity: str) -> TaskError:
    return TaskError(
        "WrongResult",
        f"`{activity}` answers an update and returned more than {LARGEST:,} bytes",
        help="return where they are, or leave them to a stage and ask the run for its rows",
        retryable=False,
    )
