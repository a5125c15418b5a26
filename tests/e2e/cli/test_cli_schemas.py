"""What the engine tells of files and tables is known when a program is checked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, CompletedProcess, Popen

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
    assert "the columns here are `id: long`, `name: string`" in told
    assert "did you mean `name`?" in told


@pytest.mark.parametrize(
    "source",
    [
        "sql\"select 1 as id, 'x' as name\"",
        'sql"""select id, name from kept"""',
        "read_csv('people.csv')",
        "kept",
    ],
)
def test_check_asks_for_the_columns_of_everything_that_is_read(people: Path, wvflow: Call, source: str) -> None:
    wvflow("run", "-e", "from 'people.csv' save to kept")
    (people / "q.wv").write_text(f"flow Q = {{ stage a = from {source} select nme }}\n")
    assert "did you mean `name`?" in wvflow("check", "q.wv", status=1).stderr
    wvflow("check", "q.wv", "--offline")


def test_a_table_found_nowhere_is_a_warning_with_the_nearest(people: Path, wvflow: Call) -> None:
    (people / "q.wv").write_text("flow Q = { stage a = from keptt stage b = from other.t stage c = from gone.csv }\n")
    told = wvflow("check", "q.wv").stderr
    assert told.count("warning[WV0204]: no stage, model or table named") == 3
    assert "did you mean" not in told
    wvflow("run", "-e", "from 'people.csv' save to kept; from 'people.csv' save to other.t")
    told = wvflow("check", "q.wv").stderr
    assert "no stage, model or table named `keptt` is known" in told
    assert "did you mean `kept`?" in told
    assert "named `other.t`" not in told
    assert "WV0204" not in wvflow("check", "q.wv", "--offline").stderr


def test_a_file_without_quotes_is_told_from_a_table(people: Path, wvflow: Call) -> None:
    assert "`from 'gone.csv'`" in wvflow("run", "-e", "from gone.csv", status=1).stderr


def test_tables_that_statements_make_are_not_missed(people: Path, wvflow: Call) -> None:
    made = 'execute sql"create table made(a int)" from made'
    (people / "q.wv").write_text(f"{made} use other from hidden use main select 1 as x save to m from m")
    assert "WV0204" not in wvflow("check", "q.wv").stderr


def test_a_plan_is_made_anew_when_sql_has_other_columns(people: Path, wvflow: Call) -> None:
    (people / "q.wv").write_text('flow Q = { stage a = from sql"from kept" select v = id + 1 }\n')
    wvflow("run", "-e", "select 1 as id save to kept")
    wvflow("run", "q.wv", "Q")
    wvflow("run", "-e", "select 'a' as id save to kept")
    wvflow("run", "q.wv", "Q")
    assert '"a1"' in wvflow("runs", "output", "last", "--format", "json").stdout


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


def told(project: Path, wvflow: Call, text: str, status: int) -> set[str]:
    """The errors of checking one file."""
    (project / "q.wv").write_text(text)
    return {
        one["message"]
        for one in json.loads(wvflow("check", "q.wv", "--json", status=status).stdout)
        if one["severity"] == "error"
    }


OLD = "select 1 as old"


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("from 'people.csv' save to t; from t select name;", set()),
        ("from 'people.csv' save to t; from t select old;", {"no column named `old`"}),
        ("from 'people.csv' save to t; from T select name;", set()),
        ("from 'people.csv' append to t; from t select name;", set()),
        ("from t select old, nme; from 'people.csv' save to t;", set()),
        ('execute sql"create or replace table t as select 1 as new"; from t select new;', set()),
        ("from 'people.csv' select id as key save to 'old.csv'; from 'old.csv' select key;", set()),
        ("from 'people.csv' select id as key save to 'old.csv'; from './old.csv' select key;", set()),
        ("from 'people.csv' select id as key save to 'old.csv'; from 'o*.csv' select key;", set()),
        ("from 'people.csv' select id as key save to 'old.csv'; from 'old.csv' select old;", {"no column named `old`"}),
        ("from 'people.csv' save to 'old.csv' with header: false; from 'old.csv' select column0;", set()),
        ("flow F = { stage a = from 'people.csv' save to t  stage b depends on a = from t select name }", set()),
        ("from t select new;", {"no column named `new`"}),
    ],
)
def test_what_the_program_writes_has_the_columns_that_it_wrote(
    people: Path, wvflow: Call, text: str, mistakes: set[str]
) -> None:
    wvflow("run", "-e", f"{OLD} save to t")
    (people / "old.csv").write_text("old\n1\n")
    assert told(people, wvflow, text, 1 if mistakes else 0) == mistakes


def test_a_statement_that_replaces_what_it_reads_later_runs_again(people: Path, wvflow: Call) -> None:
    (people / "q.wv").write_text("from 'people.csv' select id as key save to t;\nfrom t select key;\n")
    wvflow("run", "-e", f"{OLD} save to t")
    wvflow("run", "q.wv")
    wvflow("run", "q.wv")


def test_a_warehouse_that_another_has_open_leaves_its_tables_unknown_and_nothing_else(
    people: Path, wvflow: Call
) -> None:
    wvflow("run", "-e", f"{OLD} save to t")
    project = load_project(people)
    database = str(project.database)
    script = f"import duckdb, sys; held = duckdb.connect({database!r}); print('open', flush=True); sys.stdin.read()"
    with Popen([sys.executable, "-c", script], stdin=PIPE, stdout=PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        asked = Schemas(project).ask([Table(("t",), ""), File("people.csv")])
        other.communicate()
    assert list(asked) == [File("people.csv")]


@pytest.mark.parametrize("source", ["'words.csv'", "kept"])
def test_what_an_operator_means_in_a_flow_follows_the_types_of_what_is_read(
    people: Path, wvflow: Call, source: str
) -> None:
    (people / "words.csv").write_text("a,b\nx,y\n")
    wvflow("run", "-e", "from 'words.csv' save to kept")
    (people / "q.wv").write_text(f"flow Q = {{ stage s = from {source} select a + b as ab }}\n")
    for _ in range(2):
        wvflow("run", "q.wv", "Q", "--quiet")
        assert "xy" in wvflow("runs", "output", "last", "--format", "csv").stdout


def test_a_flow_is_compiled_again_for_another_table(people: Path, wvflow: Call) -> None:
    (people / "q.wv").write_text("flow Q = { stage s = from kept select a + a as twice }\n")
    for value, twice in (("1", "2"), ("'x'", "xx")):
        wvflow("run", "-e", f"select {value} as a save to kept")
        wvflow("run", "q.wv", "Q", "--quiet")
        assert twice in wvflow("runs", "output", "last", "--format", "csv").stdout
