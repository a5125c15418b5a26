"""What an activity answers that is the condition of a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wvflow.errors import TaskError

if TYPE_CHECKING:
    import pyarrow as pa


def true_or_false(activity: str, answer: pa.RecordBatchReader | None) -> bool:
    """The one value that it gave.

    Raises:
        TaskError: ``WrongResult``, it gave something else.
    """
    rows = None if answer is None else answer.read_all()
    if rows is None:
        raise _wrong(activity, "nothing")
    if (rows.num_rows, rows.num_columns) != (1, 1):
        raise _wrong(activity, f"{rows.num_rows:,} rows of {rows.num_columns:,} columns")
    value = rows.column(0)[0].as_py()
    if not isinstance(value, bool):
        raise _wrong(activity, repr(value))
    return value


def no_rows_to_test(stage: str) -> TaskError:
    """The condition is over rows, and the stage has none."""
    return TaskError(
        "NoRows",
        f"stage `{stage}` has no rows that the condition of its loop could look at",
        help="its activity returned nothing; return rows, or test what an activity says: `while not_done()`",
        retryable=False,
    )


def _wrong(activity: str, found: str) -> TaskError:
    message = f"`{activity}` is the condition of a loop and returned {found}"
    return TaskError("WrongResult", message, help="return true or false", retryable=False)
