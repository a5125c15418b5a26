from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from wvflow.service import planned
from wvflow.service.planned import planned_program
from wvflow.service.project import load_project

FLOW = "flow F = { stage a = from 'rows.csv' | hello() }\n"
ACTIVITIES = "from wvflow import activity\n\n@activity\ndef hello(rows: list[dict]) -> list[dict]: return rows\n"


class Compiler:
    """Counts how often it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self._compile = planned.compile_program
        monkeypatch.setattr(planned, "compile_program", self)

    def __call__(self, *arguments: Any) -> Any:
        self.asked += 1
        return self._compile(*arguments)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    return Compiler(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wvflow.toml").write_text("")
    (tmp_path / "rows.csv").write_text("x\n1\n")
    (tmp_path / "flow.wv").write_text(FLOW)
    (tmp_path / "activities.py").write_text(ACTIVITIES)
    return tmp_path


def plan(folder: Path, wanted: str = "flow.wv") -> Any:
    return planned_program(load_project(folder), folder / wanted)


def texts(compiled: Any) -> dict[str, str]:
    return {name: source.text for name, source in compiled.sources.items()}


def test_a_program_that_did_not_change_is_not_compiled_again(folder: Path, compiler: Compiler) -> None:
    first, second = plan(folder), plan(folder)
    assert compiler.asked == 1
    for part in ("bundle", "flows", "queries", "diagnostics", "left_out"):
        assert getattr(first, part) == getattr(second, part)
    assert texts(first) == texts(second)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("flow.wv", FLOW + "\n"),
        ("more.wv", "flow G = { stage a = from [[1]] as t(x) }\n"),
        ("activities.py", ACTIVITIES.replace("-> list", ", n: int = 1) -> list").replace("[dict])", "[dict]")),
        ("wvflow.toml", "[defaults]\nretries = 3\n"),
    ],
    ids=["its text", "a file beside it", "an activity", "the project's defaults"],
)
def test_whatever_it_is_made_of_may_change_it(folder: Path, compiler: Compiler, file: str, text: str) -> None:
    before = plan(folder)
    (folder / file).write_text(text)
    after = plan(folder)
    assert compiler.asked == 2
    assert not after.has_errors
    assert (before.bundle, texts(before)) != (after.bundle, texts(after)) or file == "activities.py"


def test_a_data_file_that_is_gone_is_told(folder: Path, compiler: Compiler) -> None:
    plan(folder)
    (folder / "rows.csv").unlink()
    assert [one.code.number for one in plan(folder).diagnostics] == ["WV0211"]


def test_other_columns_of_a_data_file_are_another_program(folder: Path, compiler: Compiler) -> None:
    (folder / "flow.wv").write_text("flow F = { stage a = from 'rows.csv' select x + x as y }\n")
    numbers = plan(folder)
    (folder / "rows.csv").write_text("x\nword\n")
    words = plan(folder)
    assert words.bundle != numbers.bundle
    (folder / "rows.csv").write_text("z\n1\n")
    assert {one.message for one in plan(folder).diagnostics} == {"no column named `x`"}
    assert compiler.asked == 3


@pytest.mark.parametrize("text", ["flow F = { stage a = from 'gone.csv' }", "flow F = { stage a = frm x }"])
def test_what_there_is_to_say_is_said_every_time(folder: Path, compiler: Compiler, text: str) -> None:
    (folder / "flow.wv").write_text(text)
    first, second = plan(folder).diagnostics, plan(folder).diagnostics
    assert [one.message for one in first] == [one.message for one in second] != []
    assert compiler.asked == 2


def test_a_broken_neighbour_is_left_out_and_said_every_time(folder: Path) -> None:
    (folder / "broken.wv").write_text("flow G = {")
    assert [plan(folder).left_out for _ in range(2)] == [("broken.wv",)] * 2


def test_a_cache_that_cannot_be_read_or_written_costs_nothing_but_time(folder: Path, compiler: Compiler) -> None:
    first = plan(folder)
    (entry,) = (folder / ".wvflow" / "cache" / "plans").iterdir()
    entry.write_bytes(b"no plan")
    assert plan(folder).bundle == first.bundle
    plans = entry.parent
    for file in plans.iterdir():
        file.unlink()
    plans.rmdir()
    plans.write_text("a file")
    assert plan(folder).bundle == first.bundle
    assert compiler.asked == 3


def test_another_compiler_of_the_same_version_compiles_anew(
    folder: Path, compiler: Compiler, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    package = tmp_path_factory.mktemp("planner")
    monkeypatch.setattr(planned, "COMPILER", (package,))
    plan(folder)
    plan(folder)
    (package / "build.py").write_text("")
    plan(folder)
    assert compiler.asked == 2


def test_only_the_newest_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "KEPT", 2)
    plans = folder / ".wvflow" / "cache" / "plans"
    seen: list[str] = []
    for number in range(4):
        (folder / "flow.wv").write_text(FLOW + f"-- {number}\n")
        plan(folder)
        (new,) = {file.name for file in plans.iterdir()} - set(seen)
        seen.append(new)
        os.utime(plans / new, (number, number))
    assert {file.name for file in plans.iterdir()} == set(seen[-2:])
