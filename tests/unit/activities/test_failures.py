"""What is recorded when the user's code fails: its own lines, its own words, whether to try again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from wvflow.activities.failures import LONGEST_MESSAGE, is_users, message_of, task_error, user_lines
from wvflow.activities.registry import Registry
from wvflow.errors import Bug, NonRetryable, Retry, StoreUnavailable, TaskError

Run = Callable[..., Any]


class Stern(NonRetryable):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("raised", "kind", "message", "retryable", "after"),
    [
        (ValueError("bad row"), "ValueError", "bad row", True, None),
        (KeyError("a"), "KeyError", "'a'", True, None),
        (NonRetryable("gone for good"), "NonRetryable", "gone for good", False, None),
        (Stern("gone"), "Stern", "gone", False, None),
        (Retry(after=timedelta(minutes=2)), "Retry", "the activity asked for a retry", True, timedelta(minutes=2)),
        (ValueError(), "ValueError", "a ValueError without a message", True, None),
        (Mute(), "Mute", "a Mute without a message", True, None),
        (SystemExit(3), "SystemExit", "the activity called exit(3)", True, None),
        (TaskError("Own", "as it is", retryable=False), "Own", "as it is", False, None),
        (
            ExceptionGroup("two failed", [OSError("left"), OSError("right")]),
            "ExceptionGroup",
            "two failed (2 sub-exceptions); OSError: left",
            True,
            None,
        ),
    ],
)
def test_an_exception_is_recorded_by_its_type_and_words(
    raised: BaseException, kind: str, message: str, retryable: bool, after: timedelta | None, run: Run
) -> None:
    def work() -> None:
        raise raised

    with pytest.raises(TaskError) as caught:
        run(work)
    error = caught.value
    assert (error.kind, error.message, error.retryable, error.after) == (kind, message, retryable, after)
    assert error.detail.startswith(f'  File "{__file__}", line ')
    assert error.detail.splitlines()[1].strip() == "raise raised"


@pytest.mark.parametrize("error", [StoreUnavailable("away"), Bug("ours"), KeyboardInterrupt()])
def test_what_is_not_the_activitys_failure_passes_as_it_is(error: BaseException, run: Run) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        run(work)
    assert caught.value is error


def test_an_interrupt_on_a_worker_thread_fails_the_attempt() -> None:
    found: list[BaseException] = []
    worker = threading.Thread(target=lambda: found.append(task_error(KeyboardInterrupt())))
    worker.start()
    worker.join()
    assert isinstance(found[0], TaskError)
    assert found[0].kind == "KeyboardInterrupt"


FAILING = {
    "activities.py": """
        import json
        from wvflow.activities.decorator import activity
        from helpers import parse

        @activity
        def load(*, text: str):
            try:
                return parse(text)
            except ValueError as error:
                raise RuntimeError("can't load") from error
        """,
    "helpers.py": """
        import json

        def parse(text):
            return json.loads(text)
        """,
}


def without_marks(detail: str) -> list[str]:
    """The lines without those that underline a part of the line above; which are given depends on the Python."""
    return [line for line in detail.splitlines() if line.strip(" ~^")]


def test_the_lines_are_the_users_own_also_those_of_the_cause(project: Run, call: Run, stop: Any) -> None:
    root: Path = project(FAILING)
    with pytest.raises(TaskError) as caught:
        Registry.discover(root).run(call("load", arguments={"text": "{"}), stop)
    assert without_marks(caught.value.detail) == [
        f'  File "{root}/activities.py", line 11, in load',
        '    raise RuntimeError("can\'t load") from error',
        "caused by JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        f'  File "{root}/activities.py", line 9, in load',
        "    return parse(text)",
        f'  File "{root}/helpers.py", line 5, in parse',
        "    return json.loads(text)",
    ]


def test_an_error_without_a_line_of_the_user_keeps_the_librarys() -> None:
    with pytest.raises(ValueError, match="property name") as caught:
        json.loads("{")
    assert caught.value.__traceback__ is not None
    assert "json/__init__.py" in user_lines(caught.value.with_traceback(caught.value.__traceback__.tb_next))


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("/home/me/project/activities.py", True),
        ("/home/me/project/.venv/lib/python3.11/site-packages/requests/api.py", False),
        (json.__file__, False),
        (user_lines.__code__.co_filename, False),
        ("<string>", False),
        ("pyarrow/ipc.pxi", False),
    ],
)
def test_libraries_are_not_the_users_files(file: str, own: bool) -> None:
    assert is_users(file) is own


def test_a_chain_of_causes_is_cut() -> None:
    error: Exception = ValueError("first")
    for depth in range(50):
        try:
            raise ValueError(f"error {depth}") from error
        except ValueError as caught:
            error = caught
    assert user_lines(error).count("caused by") == 4


def test_a_long_message_is_cut() -> None:
    assert len(message_of(ValueError("x" * 3 * LONGEST_MESSAGE))) == LONGEST_MESSAGE + 1


def test_deep_recursion_is_told_in_few_lines(run: Run) -> None:
    def work() -> Any:
        return work()

    with pytest.raises(TaskError) as caught:
        run(work)
    assert caught.value.kind == "RecursionError"
    assert len(caught.value.detail.splitlines()) < 20


def late(error: BaseException) -> Callable[[], Iterator[dict[str, int]]]:
    def work() -> Iterator[dict[str, int]]:
        yield from ({"a": n} for n in range(10_000))
        raise error

    return work


def test_a_generator_that_fails_late_fails_the_same_way(call: Run, stop: Any) -> None:
    rows = Registry.of(late(ValueError("late"))).run(call("work"), stop)
    assert rows is not None
    assert rows.read_next_batch().num_rows == 10_000
    with pytest.raises(TaskError, match="late") as caught:
        rows.read_next_batch()
    assert caught.value.kind == "ValueError"
    assert caught.value.detail.splitlines()[-1].strip() == "raise error"


def test_a_verdict_of_ours_has_no_lines_of_libraries(call: Run, stop: Any) -> None:
    def work() -> Iterator[dict[str, Any]]:
        yield from ({"a": n} for n in range(10_000))
        yield {"a": "x"}

    rows = Registry.of(work).run(call("work"), stop)
    assert rows is not None
    rows.read_next_batch()
    with pytest.raises(TaskError, match="column `a`") as caught:
        next(rows)
    assert "pyarrow" not in caught.value.detail


def test_a_stream_that_is_dropped_closes_its_generator(call: Run, stop: Any) -> None:
    closed: list[bool] = []

    def work() -> Iterator[dict[str, int]]:
        try:
            yield from ({"a": n} for n in range(100_000))
        finally:
            closed.append(True)

    rows = Registry.of(work).run(call("work"), stop)
    assert rows is not None
    rows.read_next_batch()
    del rows
    assert closed == [True]


def test_a_dataclass_that_refuses_its_row_fails_as_the_users_code(project: Run, call: Run, stop: Any) -> None:
    root = project(
        {
            "activities.py": """
                from dataclasses import dataclass
                from wvflow.activities.decorator import activity

                @dataclass
                class Row:
                    a: int
                    def __post_init__(self):
                        if self.a < 0:
                            raise ValueError("negative")

                @activity
                def check(rows: list[Row]):
                    return None
                """
        }
    )
    with pytest.raises(TaskError, match="negative") as caught:
        Registry.discover(root).run(call("check", [{"a": -1}]), stop)
    assert caught.value.detail.splitlines()[-1].strip() == 'raise ValueError("negative")'
