"""What the engine tells of files and tables is known when a program is checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from wvflow.data.interactive import Interactive
from wvflow.lang.algebra import File, Table
from wvflow.lang.types import LONG, STRING
from wvflow.service.project import load_project
from wvflow.service.schemas import Schemas

Call = Callable[..., "CompletedProcess[str]"]

FLOW = "flow Q = { stage a = from 'people.csv' select nme }\n"


@pytest.fixture
def people(project: Path) -> Path:
    (project / "people.csv").write_text("id,name\n1,ana\n")
    (project / "q.wv").write_text(FLOW)
    return project


def test_an_unknown_column_of_a_file_is_an_error_with_the_columns_in_a_note(people: Path, wvflow: Call) -> None:
    told = wvflow("check", "q.wv", status=1).stderr
    assert "no column named `nme`" in told
    assert "the columns here are `id`, `name`" in told
    assert "did you mean `name`?" in told


def test_offline_nothing_is_asked(people: Path, wvflow: Call) -> None:
    wvflow("check", "q.wv", "--offline")


def test_a_file_that_was_written_since_is_asked_again(people: Path, wvflow: Call) -> None:
    wvflow("check", "q.wv", status=1)
    (people / "people.csv").write_text("id,nme,more\n1,ana,2\n")
    wvflow("check", "q.wv")


def test_what_was_asked_is_kept(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schemas = Schemas(load_project(people))
    asked = schemas.ask([File("people.csv")])
    assert asked == {File("people.csv"): (("id", LONG), ("name", STRING))}
    monkeypatch.setattr(Interactive, "columns", None)  # asking again would fail
    assert Schemas(load_project(people)).ask([File("people.csv")]) == asked


def test_a_table_is_asked_for_only_where_nobody_else_has_the_warehouse(people: Path, wvflow: Call) -> None:
    wvflow("run", "-e", "select 1 as id, 'x' as name save to kept")
    project = load_project(people)
    assert Schemas(project).ask([Table(("kept",), "")])[Table(("kept",), "")][1] == ("name", STRING)


def test_files_that_are_gone_or_no_data_stay_unknown(people: Path) -> None:
    (people / "broken.parquet").write_text("no parquet")
    assert Schemas(load_project(people)).ask([File("gone.csv"), File("broken.parquet")]) == {}
