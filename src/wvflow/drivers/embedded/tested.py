"""``test`` and ``debug`` in a stage: what they find of the rows so far (flow language, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from wvflow.errors import TaskError
from wvflow.lang.algebra import Piped, Rel
from wvflow.lang.assertions import Assertion, judge
from wvflow.lang.tables import ROW_LIMIT, Result, box
from wvflow.plan.tasks import RowTest, TestTask

SAMPLE = 5
"""How many of the rows that failed a test are shown."""

Look = Callable[[Rel, int], Result]
"""The first rows of a relation, at most so many, and how many there are."""


class Failed(NamedTuple):
    """A test that rows failed. ``rows``: some of those, as a table."""

    message: str
    rows: str = ""


def failed(task: TestTask, look: Look, values: Mapping[str, object]) -> list[Failed]:
    """The tests that don't hold, in their order. Assertions share the rows that they are about."""
    seen = look(Piped(), ROW_LIMIT) if any(isinstance(one, Assertion) for one in task.tests) else None
    return list(_failed(task, seen, look, values))


def _failed(task: TestTask, seen: Result | None, look: Look, values: Mapping[str, object]) -> Iterator[Failed]:
    for test in task.tests:
        if isinstance(test, RowTest):
            wrong = look(test.failing, SAMPLE)
            if wrong.size:
                rows = f"{wrong.size:,} row{'' if wrong.size == 1 else 's'}"
                yield Failed(f"`test {test.text}`: not true for {rows}", box(wrong))
        elif seen is not None and not (verdict := judge(test, seen, values)).passed:
            yield Failed(f"`test {test.text}`: {verdict.message}")


def failure(found: list[Failed]) -> TaskError:
    """What becomes of the attempt. Nothing makes other rows of the same input, so it isn't tried again."""
    rows = "\n".join(one.rows for one in found if one.rows)
    return TaskError("TestFailed", "; ".join(one.message for one in found), detail=rows, retryable=False)
