"""What the checker learns of activities, and when it needs no import for it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest

from wvflow.activities import read_signatures
from wvflow.activities.registry import Registry
from wvflow.activities.types import signature_of, type_of
from wvflow.diagnostics import Code
from wvflow.lang.catalog import ActivitySignature, Parameter
from wvflow.lang.types import DATE, LONG, STRING

Project = Callable[..., Path]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Flight:
    carrier: str


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (str, "string"),
        (int, "long"),
        (float, "double"),
        (bool, "boolean"),
        (Decimal, "decimal[18,3]"),
        (date, "date"),
        (datetime, "timestamp"),
        (time, "time"),
        (timedelta, "duration"),
        (list, "array[any]"),
        (list[int], "array[long]"),
        (tuple[str, ...], "array[string]"),
        (dict, "map[any,any]"),
        (dict[str, list[int]], "map[string,array[long]]"),
        (int | None, "long"),
        (Literal["a", "b"], "string"),
        (Literal[1, "b"], "any"),
        (Colour, "string"),
        (int | str, "any"),
        (Flight, "any"),
        (Any, "any"),
        ("NotResolved", "any"),
    ],
)
def test_annotations_are_types_of_the_language(annotation: Any, name: str) -> None:
    assert str(type_of(annotation)) == name


def signature(function: Callable[..., Any]) -> ActivitySignature:
    (activity,) = Registry.of(function).activities.values()
    return signature_of(activity)


def test_parameters_are_told_without_rows_and_context() -> None:
    def work(
        rows: pa.Table,
        day: date,
        *,
        limit: int = 3,
        note: str | None = None,
        colour: Colour = Colour.RED,
        mode: Literal["fast", "safe"] = "fast",
        ctx: ActivityContext,  # type: ignore[name-defined]  # noqa: F821
        **more: Any,
    ) -> None: ...

    found = signature(work)
    assert found.parameters == (
        Parameter("day", DATE),
        Parameter("limit", LONG, required=False),
        Parameter("note", STRING, required=False, nullable=True),
        Parameter("colour", STRING, required=False, choices=("red", "blue")),
        Parameter("mode", STRING, required=False, choices=("fast", "safe")),
    )
    assert (found.takes_rows, found.open) == (True, True)


@pytest.mark.parametrize(
    ("annotation", "returns"),
    [
        (pa.Table, "rows"),
        (list[dict], "rows"),
        (Iterator[Flight], "rows"),
        (AsyncIterator[Flight], "rows"),
        (pa.Table | None, "rows"),
        ("pl.DataFrame", "rows"),
        (int, "scalar"),
        (Decimal | None, "scalar"),
        (None, "nothing"),
        (Any, "unknown"),
        (list[int], "unknown"),
        ("Unresolved", "unknown"),
    ],
)
def test_the_kind_of_the_result_follows_its_annotation(annotation: Any, returns: str) -> None:
    def work() -> None: ...

    work.__annotations__["return"] = annotation
    assert signature(work).returns == returns


def needed(rows: pa.Table) -> None: ...


def nullable(rows: pa.Table | None) -> None: ...


def left_out(rows: list[dict] = ()) -> None: ...  # type: ignore[assignment]


def no_rows(*, rows: list[dict]) -> None: ...


@pytest.mark.parametrize(
    ("function", "takes"), [(needed, True), (nullable, False), (left_out, False), (no_rows, False)]
)
def test_rows_that_may_be_left_out_are_not_asked_for(function: Callable[..., Any], takes: bool) -> None:
    assert signature(function).takes_rows is takes


def test_a_function_without_annotations_has_unknown_types() -> None:
    def work(rows, x):  # type: ignore[no-untyped-def]
        ...

    assert signature(work) == ActivitySignature(
        "work", (Parameter("x"),), takes_rows=True, returns="unknown", origin=signature(work).origin
    )


SOURCE = """
    import counter
    from wvflow.activities.decorator import activity

    counter.imported()

    @activity(retries=2, timeout="5m")
    def fetch(*, day: str) -> list[dict]:
        return []
    """


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one with every import of a module that says so."""
    seen: list[str] = []
    counter = type(sys)("counter")
    counter.imported = lambda: seen.append("imported")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "counter", counter)
    return seen


def test_a_warm_cache_answers_without_importing(project: Project, tmp_path: Path, imports: list[str]) -> None:
    root, cache = project({"activities.py": SOURCE}), tmp_path / "cache"
    cold = read_signatures(root, ["activities"], cache)
    warm = read_signatures(root, ["activities"], cache)
    assert warm == cold
    assert imports == ["imported"]
    assert cold[0]["fetch"] == ActivitySignature(
        name="fetch",
        parameters=(Parameter("day", STRING),),
        properties={"retries": 2, "timeout": "5m"},
        returns="rows",
        origin="activities.py:7",
    )


@pytest.mark.parametrize(
    ("edited", "again"),
    [
        ({"activities.py": SOURCE + "\n    x = 1"}, True),
        ({"helpers.py": "x = 1"}, True),
        ({"flow.wv": "flow F = {}"}, False),
    ],
    ids=["the module", "a module beside it", "a flow"],
)
def test_the_cache_follows_the_content_of_the_python_files(
    edited: dict[str, str], again: bool, project: Project, tmp_path: Path, imports: list[str]
) -> None:
    root, cache = project({"activities.py": SOURCE, "helpers.py": "x = 0"}), tmp_path / "cache"
    read_signatures(root, ["activities"], cache)
    project(edited)
    read_signatures(root, ["activities"], cache)
    assert len(imports) == 1 + again


def test_all_files_of_a_package_count(project: Project, tmp_path: Path, imports: list[str]) -> None:
    files = {"activities/__init__.py": SOURCE, "activities/deep/more.py": "x = 0"}
    root, cache = project(files), tmp_path / "cache"
    read_signatures(root, ["activities"], cache)
    project({"activities/deep/more.py": "x = 1"})
    read_signatures(root, ["activities"], cache)
    assert len(imports) == 2


@pytest.mark.parametrize("content", [b"", b"{", b'{"key": 1}', b"\xff"])
def test_a_broken_cache_is_read_past(content: bytes, project: Project, tmp_path: Path, imports: list[str]) -> None:
    root, cache = project({"activities.py": SOURCE}), tmp_path / "cache"
    cache.mkdir()
    (cache / "activities.json").write_bytes(content)
    assert set(read_signatures(root, ["activities"], cache)[0]) == {"fetch"}


def test_a_cache_that_can_not_be_written_is_done_without(project: Project, tmp_path: Path, imports: list[str]) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    root = project({"activities.py": SOURCE})
    assert set(read_signatures(root, ["activities"], tmp_path / "cache")[0]) == {"fetch"}


def test_signatures_with_problems_are_not_kept(project: Project, tmp_path: Path, imports: list[str]) -> None:
    root, cache = project({"activities.py": SOURCE + "\n    1 / 0"}), tmp_path / "cache"
    for _ in range(2):
        signatures, (problem,) = read_signatures(root, ["activities"], cache)
        assert (signatures, problem.code) == ({}, Code.ACTIVITY_IMPORT)
    assert len(imports) == 2


def test_a_problem_points_at_the_line_of_the_python_file(project: Project) -> None:
    root = project({"activities.py": "x = 1\nif x:\n    1 / 0  # here\n"})
    _, (problem,) = read_signatures(root)
    assert (problem.span.source.name, problem.span.position.line, problem.span.text) == (
        "activities.py",
        3,
        "1 / 0  # here",
    )
    assert problem.notes == ()


def test_a_problem_behind_calls_tells_the_way_there(project: Project) -> None:
    _, (problem,) = read_signatures(project({"activities.py": "def f():\n    1 / 0\n\n\nf()\n"}))
    (note,) = problem.notes
    assert note.message.startswith('File "')
    assert note.message.count("activities.py") == 2


def test_a_problem_without_a_file_points_at_the_modules_name(project: Project) -> None:
    _, (problem,) = read_signatures(project({}), ["module_that_is_nowhere"])
    assert (problem.span.source.name, problem.span.start) == ("module_that_is_nowhere", 0)


def test_a_wrong_function_has_a_code_of_its_own(project: Project) -> None:
    text = "from wvflow.activities.decorator import activity\n@activity\ndef f(url: str): ...\n"
    signatures, (problem,) = read_signatures(project({"activities.py": text}))
    assert (list(signatures), problem.code) == (["f"], Code.ACTIVITY_UNDEFINED)
