"""``wvflow run FILE`` and ``wvflow run -e``: statements in order, what they print, and how they fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import Result

Call = Callable[..., Result]
WVFLOW = [sys.executable, "-m", "wvflow"]
PATIENCE = 60
ENDLESS = 'from sql"select count(*) as n from range(100000000000) as a"'


def test_json_is_one_object_a_line_per_result(wvflow: Call) -> None:
    done = wvflow("--json", "run", "-e", "from 'orders.csv' count; execute sql\"select 1\"; select 'x' as a")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"columns": ["count_star()"], "rows": [[4]]},
        {"columns": ["a"], "rows": [["x"]]},
    ]


def test_what_is_saved_is_in_the_warehouse_of_the_next_session(wvflow: Call) -> None:
    assert wvflow("run", "-e", "from 'orders.csv' save to kept").stderr == "saved 4 rows: kept\n"
    assert "│      4 │" not in wvflow("run", "-e", "from kept where id = 4 delete").stdout
    assert '"rows":[[3]]' in wvflow("--json", "run", "-e", "from kept count").stdout


def test_a_statement_reads_one_table_of_the_warehouse_and_writes_another(wvflow: Call) -> None:
    wvflow("run", "-e", "from 'orders.csv' save to kept")
    told = wvflow(
        "run", "-e", "from kept where id > 1 save to later; from kept append to later; from later append to kept"
    )
    assert told.stderr == "saved 3 rows: later\nappended 4 rows: later\nappended 7 rows: kept\n"


def test_sql_of_the_program_reads_and_changes_the_warehouse(wvflow: Call, project: Path) -> None:
    wvflow("run", "-e", "from 'orders.csv' select id save to kept")
    wvflow("run", "-e", 'execute sql"delete from kept where id > 2"; from sql"select * from kept" save to few')
    (project / "f.wv").write_text('flow F = { stage a = from sql"select sum(id) as n from few" }')
    wvflow("run", "f.wv", "F")
    assert '"n": 3' in wvflow("runs", "output", "last", "--format", "json").stdout.replace('":3', '": 3')


def test_bare_names_are_of_the_schema_in_use_in_the_warehouse_too(wvflow: Call) -> None:
    text = "select 1 as x save to kept; select 2 as x save to other.kept; use other; from kept"
    assert '"rows":[[2]]' in wvflow("--json", "run", "-e", text).stdout
    wvflow("run", "-e", "use other; select 3 as x append to kept")
    assert '"rows":[[2]]' in wvflow("--json", "run", "-e", "from other.kept count").stdout
    assert '"rows":[[5]]' in wvflow("--json", "run", "-e", 'from sql"select sum(x) as s from other.kept"').stdout


def test_a_warehouse_that_nothing_needs_is_not_listed(wvflow: Call) -> None:
    wvflow("run", "-e", "from 'orders.csv' save to kept")
    assert "warehouse" not in wvflow("run", "-e", "show catalogs").stdout


def test_a_session_lists_what_it_keeps(wvflow: Call) -> None:
    wvflow("run", "-e", "from 'orders.csv' save to kept")
    assert '"rows":[["kept"]]' in wvflow("--json", "run", "-e", "show tables").stdout
    assert '"id"' in wvflow("--json", "run", "-e", "show columns in kept select column_name").stdout


def test_under_test_the_warehouse_is_read_but_not_listed(wvflow: Call, project: Path) -> None:
    wvflow("run", "-e", "from 'orders.csv' save to kept")
    (project / "listed.wv").write_text("from kept test _.size should be 4\nshow tables test _.size should be 0\n")
    wvflow("test", "listed.wv")
    (project / "listed.wv").write_text("select 1 as a save to here\nshow tables test _.rows should be [['here']]\n")
    wvflow("test", "listed.wv")


def test_rows_go_to_the_table_in_memory_of_that_name(wvflow: Call, project: Path) -> None:
    text = 'execute sql"create schema s; create table s.t as select 1 as a, 2 as b"; select 3 as x append to s.t (a)'
    done = wvflow("--json", "run", "-e", f"{text} ; from s.t order by a")
    assert json.loads(done.stdout)["rows"] == [[1, 2], [3, None]]
    assert not (project / ".wvflow/warehouse.duckdb").exists()


def test_the_rows_that_are_appended_to_a_file_are_counted_alone(wvflow: Call) -> None:
    once = "from 'orders.csv' append to 'all.csv'"
    assert wvflow("run", "-e", f"{once} ; {once}").stderr == "appended 4 rows: all.csv\n" * 2
    assert '"rows":[[8]]' in wvflow("--json", "run", "-e", "from 'all.csv' count").stdout


def test_a_mistake_in_the_file_lets_nothing_run(wvflow: Call, project: Path) -> None:
    (project / "two.wv").write_text("from 'orders.csv' save to 'copy.csv'\nfrom 'orders.csv' select nothing\n")
    assert "two.wv:2:26" in wvflow("run", "two.wv", status=1).stderr
    assert not (project / "copy.csv").exists()


def test_a_failure_stops_at_its_statement_with_its_place_and_sql(wvflow: Call, project: Path) -> None:
    (project / "two.wv").write_text("select 1 as a;\n  select nosuch(1) as b;\nselect 2 as c\n")
    done = wvflow("run", "two.wv", status=1)
    assert done.stdout.count("rows") + done.stdout.count("1 …") == 1
    assert "error[SYNTAX_ERROR]: no function named `nosuch`" in done.stderr
    assert "two.wv:2:" in done.stderr
    assert "SQL: SELECT nosuch(1) AS b" in done.stderr


def test_a_file_that_is_no_data_is_told_by_line_and_reason(project: Path, wvflow: Call) -> None:
    (project / "bin.csv").write_bytes(b"\xff\xfe\x00")
    told = wvflow("run", "-e", "from 'bin.csv'", status=1).stderr
    assert "not utf-8 encoded: line 1 of" in told


@pytest.mark.parametrize(("files", "rows"), [("many/*.csv", 300), ("many/**/*.csv", 600), ("many/[0-9].csv", 10)])
def test_many_files_are_one_source(project: Path, wvflow: Call, files: str, rows: int) -> None:
    (project / "many/deep").mkdir(parents=True)
    for number in range(300):
        (project / f"many/{number}.csv").write_text("id\n1\n")
        (project / f"many/deep/{number}.csv").write_text("id\n1\n")
    (project / "f.wv").write_text(f"flow F = {{ stage a = from '{files}' select idd }}")
    assert "no column named `idd`" in wvflow("check", "f.wv", status=1).stderr
    assert f'"rows":[[{rows}]]' in wvflow("--json", "run", "-e", f"from '{files}' count").stdout


def test_a_failure_as_json_has_class_and_place(wvflow: Call) -> None:
    found = json.loads(wvflow("--json", "run", "-e", "select nosuch(1) as b", status=1).stderr.splitlines()[0])
    assert (found["class"], found["file"], found["line"]) == ("SYNTAX_ERROR", "-e", 1)


def test_a_failure_is_placed_where_the_engine_traced_it_to(wvflow: Call, project: Path) -> None:
    (project / "models.wv").write_text("model broken = {\n  from [[1]] as t(x)\n  where nosuch(x) > 1\n}\n")
    (project / "two.wv").write_text("select 1 as a;\nfrom broken\nselect x\n")
    run = json.loads(wvflow("--json", "run", "two.wv", status=1).stderr.splitlines()[0])
    tested = json.loads(wvflow("test", "--json", "two.wv", status=1).stdout)["error"]
    assert [(one["file"], one["line"], one["column"], one["code"]) for one in (run, tested)] == [
        ("models.wv", 3, 9, "SYNTAX_ERROR")
    ] * 2
    assert "where nosuch(x) > 1" in wvflow("run", "two.wv", status=1).stderr


def test_explain_runs_nothing(wvflow: Call) -> None:
    assert wvflow("run", "-e", 'explain sql"drop table nothing"').stdout == "drop table nothing\n"
    assert "count_star()" in wvflow("run", "-e", "explain from 'orders.csv' count").stdout


@pytest.mark.parametrize("option", [("-p", "x=1"), ("--at", "2026-01-31"), ("--run-id", "r1")], ids=lambda one: one[0])
def test_options_of_a_flow_are_no_options_of_statements(wvflow: Call, option: tuple[str, str]) -> None:
    assert f"{option[0]} is of a flow" in wvflow("run", "-e", "select 1 as a", *option, status=2).stderr


def test_an_interrupt_stops_the_query(project: Path) -> None:
    command = [*WVFLOW, "run", "-e", f"select 'ready' as a; {ENDLESS}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("ready" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, chatter = process.communicate(timeout=PATIENCE)
    assert (process.returncode, chatter) == (130, "interrupted\n")


def test_an_interrupt_stops_a_test(project: Path) -> None:
    (project / "first.wv").write_text("select 1 as a")
    (project / "second.wv").write_text(ENDLESS)
    command = [*WVFLOW, "test", "first.wv", "second.wv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "first.wv" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        told, chatter = process.communicate(timeout=PATIENCE)
    assert (process.returncode, told, chatter) == (130, "", "interrupted\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe that has a name")
@pytest.mark.parametrize("command", ["check", "run", "test"])
def test_an_interrupt_stops_what_is_asked_before_anything_runs(project: Path, command: str) -> None:
    os.mkfifo(project / "pipe.csv")
    (project / "slow.wv").write_text("from sql\"from read_csv('pipe.csv')\"")
    with subprocess.Popen([*WVFLOW, command, "slow.wv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with (project / "pipe.csv").open("w"):  # opened as soon as the engine reads it
            process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=PATIENCE)
    assert (process.returncode, *told) == (130, b"", b"interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such terminals")
def test_on_a_terminal_a_statement_that_takes_its_time_shows_for_how_long(project: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen([*WVFLOW, "run", "-e", ENDLESS], stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while b"running, " not in seen:
            seen += os.read(ours, 1_000)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # at its end
            while more := os.read(ours, 1_000):
                seen += more
        told, _ = process.communicate(timeout=PATIENCE)
    os.close(ours)
    assert (process.returncode, told) == (130, b"")
    assert seen.endswith(b"interrupted\r\n")


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("json", '{"id":1,"name":"a"}\n{"id":2,"name":null}\n'),
        ("tsv", "id\tname\n1\ta\n2\t\n"),
    ],
)
def test_rows_are_printed_in_the_form_that_is_asked_for(project: Path, wvflow: Call, form: str, printed: str) -> None:
    text = "from [[1, 'a'], [2, null]] as t(id, name)"
    assert wvflow("run", "-e", text, "--format", form).stdout == printed


def test_without_rows_json_lines_are_empty(project: Path, wvflow: Call) -> None:
    assert wvflow("run", "-e", "from [[1]] as t(id) where id > 1", "--format", "json").stdout == ""


def test_a_flow_has_no_form_of_statements(project: Path, wvflow: Call) -> None:
    assert "runs output --format" in wvflow("run", "sales.wv", "--format", "tsv", status=2).stderr


def test_a_test_that_cannot_be_judged_neither_passes_nor_fails(wvflow: Call, project: Path) -> None:
    (project / "odd.wv").write_text(
        "select 1 as a\ntest _.size should be 1\ntest _.sise should be 1\ntest _.rows < 2\n"
    )
    told = wvflow("test", "odd.wv").stdout
    assert "✓ odd.wv  1 test, 2 not judged" in told
    assert "NOT_JUDGED odd.wv:3:1" in told
    assert "there is no `_.sise`, but `_.size`" in told
    assert "`<` is of two numbers or two texts, not of a list and a number" in told
    assert told.endswith("1 file, 1 test: 1 passed, 2 not judged\n")
    report = json.loads(wvflow("test", "--json", "odd.wv").stdout)
    assert [report[name] for name in ("tests", "passed", "failed", "unjudged", "error")] == [1, 1, 0, 2, None]


def test_a_definition_that_is_there_twice_fails_the_file(wvflow: Call, project: Path) -> None:
    (project / "twice.wv").write_text("model m = { select 1 as a }\nmodel m = { select 2 as a }\nfrom m\n")
    error = json.loads(wvflow("test", "--json", "twice.wv", status=1).stdout)["error"]
    assert (error["class"], error["line"], error["column"]) == ("SYNTAX_ERROR", 2, 7)
    assert "twice.wv:2:7" in wvflow("run", "twice.wv", status=1).stderr


def test_the_definitions_of_the_dialect_that_is_asked_for_count(wvflow: Call, project: Path) -> None:
    (project / "in.wv").write_text(
        "type long = { def sort in duckdb: string = 'd'\n def sort in trino: string = 't' }\n"
        "def all_of in td_trino: string = 'td'\ndef all_of: string = 'any'\nselect a = 1.sort, b = all_of"
    )
    for dialect, a, b in (("duckdb", "d", "any"), ("trino", "t", "any"), ("td_trino", "t", "td")):
        assert f"'{a}' AS a, '{b}' AS b" in " ".join(wvflow("compile", "in.wv", "--dialect", dialect).stdout.split())


@pytest.mark.parametrize(
    ("call", "dialect", "sql"),
    [
        ("1.within('1d')", "td_trino", "td_interval(1, '1d')"),
        ("1.td_interval('1d')", "td_hive", "td_interval(1, '1d')"),
        ("1.td_time_string(f = 'd!')", "td_trino", "td_time_string(1, 'd!')"),
        ("1.td_time_string('d!')", "td_hive", "td_time_string(1, 'd!')"),
    ],
)
def test_methods_of_one_dialect_are_refused_in_the_others(
    wvflow: Call, project: Path, call: str, dialect: str, sql: str
) -> None:
    (project / "td.wv").write_text(f"select a = {call}")
    assert sql in wvflow("compile", "td.wv", "--dialect", dialect).stdout.lower()
    assert "is not implemented in duckdb" in wvflow("check", "td.wv", status=1).stderr
