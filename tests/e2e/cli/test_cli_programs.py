"""Commands over programs: check, show, compile, and making a project."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import Result

Call = Callable[..., Result]


def test_a_good_program_has_no_mistakes(wvflow: Call) -> None:
    result = wvflow("check")
    assert (result.stdout, result.stderr) == ("", "no mistakes found\n")
    assert wvflow("check", "--json").stdout == "[]\n"


FILES = [
    pytest.param("gone.wv", None, "WV0114", id="missing"),
    pytest.param("x.wv", b"", "WV0110", id="empty"),
    pytest.param("x.wv", b"\x7fELF\x00\x01", "WV0111", id="binary"),
    pytest.param("x.wv", "flow × = 1".encode("latin-1"), "WV0112", id="not UTF-8"),
    pytest.param("x.wv", b"-- " + b"x" * (10 << 20), "WV0113", id="over 10 MiB"),
    pytest.param("x.wv", b"flow A = { stage b = from [[1]] as t(x) | where " + b"(" * 20_000, None, id="deep nesting"),
]


@pytest.mark.parametrize("command", [["check"], ["run"], ["show"], ["compile"]], ids=" ".join)
@pytest.mark.parametrize(("name", "data", "code"), FILES)
def test_a_file_that_cannot_be_read_is_told(
    wvflow: Call, command: list[str], name: str, data: bytes | None, code: str | None
) -> None:
    if data is not None:
        Path(name).write_bytes(data)
    found = json.loads(wvflow(*command, name, "--json", status=1).stdout)
    assert {one["file"] for one in found} == {name}
    assert code is None or [one["code"] for one in found] == [code]


def test_a_mistake_is_shown_with_its_line(project: Path, wvflow: Call) -> None:
    sales = project / "sales.wv"
    sales.write_text(sales.read_text().replace("from orders |", "from ordrs |").replace("with_tax", "with_tux"))
    result = wvflow("check", status=1)
    assert result.stdout == ""
    assert "sales.wv:3:" in result.stderr
    assert "did you mean `with_tax`?" in result.stderr
    found = json.loads(wvflow("check", "--json", status=1).stdout)
    assert {one["severity"] for one in found} <= {"error", "warning"}
    assert set(found[0]) == {
        "code", "class", "severity", "message", "file", "line", "column", "end_line", "end_column", "help", "notes",
    }  # fmt: skip


@pytest.mark.parametrize("command", ["run", "show"])
def test_a_flow_that_another_file_defines_first_is_not_taken_for_the_one_of_the_file(
    project: Path, wvflow: Call, command: str
) -> None:
    for name in ("a", "b"):
        (project / f"{name}.wv").write_text(f"flow F = {{ stage {name} = from [[1]] as t(n) }}\n")
    refused = wvflow(command, "b.wv", "F", status=2).stderr
    assert "a.wv defines the flow `F`, too, and the program uses that one, not the one of b.wv" in refused
    assert "`flow F @version(2)`" in refused
    wvflow(command, "a.wv", "F")
    wvflow(command, "sales.wv", "F")
    (project / "b.wv").write_text("flow F @version(2) = { stage b = from [[1]] as t(n) }\n")
    wvflow(command, "b.wv", "F")


@pytest.mark.parametrize("command", ["run", "show", "schedule next", "compile"])
def test_a_files_only_flow_is_not_taken_from_another_file(project: Path, wvflow: Call, command: str) -> None:
    for name in ("a", "b"):
        (project / f"{name}.wv").write_text(f"flow F = {{ stage {name} = from [[1]] as t(n) }}\n")
    assert "a.wv defines the flow `F`, too" in wvflow(*command.split(), "b.wv", status=2).stderr
    assert wvflow("show", ".").stdout.count("flow F") == 1


def test_of_a_missing_data_file_one_with_a_name_like_it_is_told(project: Path, wvflow: Call) -> None:
    sales = project / "sales.wv"
    sales.write_text(sales.read_text().replace("'orders.csv'", "'ordrs.csv'"))
    assert "help: did you mean 'orders.csv'?" in wvflow("check").stderr
    sales.write_text(sales.read_text().replace("'ordrs.csv'", "'no/such/folder.csv'"))
    assert "help: paths are relative to the program's root folder" in wvflow("check").stderr


def test_an_unknown_property_is_forgiven_when_lenient(project: Path, wvflow: Call) -> None:
    sales = project / "sales.wv"
    sales.write_text(sales.read_text().replace("retries: 1", "retriez: 1"))
    assert "error[WV0401]" in wvflow("check", status=1).stderr
    assert "warning[WV0401]" in wvflow("check", "--lenient").stderr


def test_a_folder_without_programs_is_wrong_usage(project: Path, wvflow: Call) -> None:
    (project / "none").mkdir()
    assert "there are no .wv files" in wvflow("check", "none", status=2).stderr


def test_an_activity_module_that_cannot_be_imported_is_a_diagnostic(project: Path, wvflow: Call) -> None:
    (project / "activities.py").write_text("import nothing_of_that_name\n")
    result = wvflow("check", status=1)
    assert "WV0701" in result.stderr
    assert "nothing_of_that_name" in result.stderr
    assert result.stderr.endswith("\n1 error\n")  # that `with_tax` is unknown only follows


def test_a_wrong_project_file_is_told_by_every_command(project: Path, wvflow: Call) -> None:
    (project / "wvflow.toml").write_text("stat = 'x'")
    for args in (["check"], ["run", "sales.wv"], ["runs", "list"], ["show", "sales.wv"]):
        assert "there is no key `stat`" in wvflow(*args, status=2).stderr
    assert "there is no key `stat`" in wvflow("doctor", status=1).stdout


def test_show_draws_the_plan(wvflow: Call) -> None:
    assert wvflow("show", "sales.wv").stdout == (
        "flow Sales (smallest: double, zone: string)\n"
        "└─ orders\n"
        "   │  from 'orders.csv' | where\n"
        "   └─ taxed\n"
        "      │  from orders | with_tax(rate)\n"
        "      │  [retries: 1, retry_delay: 1ms]\n"
        "      └─ by_region  (output)\n"
        "         │  from taxed | group by region | order by\n"
        "         └─ saved\n"
        "               from by_region | save to out.csv\n"
    )
    assert "s0 --> s1" in wvflow("show", "sales.wv", "Sales", "--format", "mermaid").stdout


def test_show_draws_a_picture_of_one_flow(project: Path, wvflow: Call) -> None:
    drawn = ElementTree.fromstring(wvflow("show", "sales.wv", "Sales", "--format", "svg").stdout)
    stages = [group.get("data-stage") for group in drawn.iter("{http://www.w3.org/2000/svg}g")]
    assert [stage for stage in stages if stage] == ["orders", "taxed", "by_region", "saved"]
    (project / "sales.wv").write_text("flow A = { stage a = select 1 } flow B = { stage b = select 1 }")
    refused = wvflow("show", "sales.wv", "--format", "svg", status=2)
    assert (refused.stdout, "name one: A, B" in refused.stderr) == ("", True)


def test_show_prints_json(wvflow: Call) -> None:
    found: dict[str, Any] = json.loads(wvflow("show", "sales.wv", "--json").stdout)
    assert found == json.loads(wvflow("show", "sales.wv", "--format", "json").stdout)
    assert [stage["stage"] for stage in found["stages"]] == ["orders", "taxed", "by_region", "saved"]


def test_compile_shows_the_sql_of_each_stage(wvflow: Call) -> None:
    text = wvflow("compile", "sales.wv").stdout
    assert "-- Sales.orders\n" in text
    assert "-- Sales.taxed: calls with_tax" in text
    assert "GROUP BY" in wvflow("compile", "sales.wv", "by_region", "--dialect", "trino").stdout
    lines = [json.loads(line) for line in wvflow("compile", "sales.wv", "--json").stdout.splitlines()]
    assert {line["name"] for line in lines} == {"orders", "taxed", "by_region", "saved"}


def test_compile_shows_models_and_queries(project: Path, wvflow: Call) -> None:
    model = "model big(least: double) = { from 'orders.csv' | where amount > least }\n"
    (project / "big.wv").write_text(model)
    expected = '-- big\nSELECT * FROM "orders.csv" WHERE amount > CAST($least AS DOUBLE);\n'
    assert wvflow("compile", "big.wv").stdout == wvflow("compile", "sales.wv", "big").stdout == expected
    (project / "query.wv").write_text("from 'orders.csv' | count\n")
    found = json.loads(wvflow("compile", "query.wv", "--json").stdout)
    assert (found["kind"], found["name"]) == ("query", "query.wv:1")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["compile", "sales.wv", "order"], "did you mean `orders`?"),
        (["compile", "sales.wv", "--dialect", "klingon"], "klingon"),
        (["show", "sales.wv", "Salez"], "did you mean `Sales`?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_shown_is_told(wvflow: Call, args: list[str], message: str) -> None:
    assert message in wvflow(*args, status=2).stderr


def test_init_makes_a_project_that_runs_at_once(wvflow: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    result = wvflow("init", "shop")
    assert "shop/sales.wv" in result.stdout
    assert "run it:  cd shop && wvflow run sales.wv\ntest it: cd shop && wvflow test\n" in result.stderr
    monkeypatch.chdir("shop")
    assert wvflow("check").stderr == "no mistakes found\n"
    assert wvflow("fmt", "--check").exit_code == 0
    assert wvflow("test").stdout.endswith("2 files, 5 tests: 5 passed\n")
    assert json.loads(wvflow("run", "sales.wv", "--json").stdout)["state"] == "success"
    assert wvflow("runs", "output", "last").stderr == "3 rows\n"


def test_init_overwrites_nothing(project: Path, wvflow: Call) -> None:
    before = (project / "sales.wv").read_text()
    assert "exists already; nothing was written" in wvflow("init", status=1).stderr
    assert (project / "sales.wv").read_text() == before


def test_doctor_reports_and_fails_only_on_errors(ran: Call) -> None:
    assert "newest r1, success" in ran("doctor").stdout
    assert {"wvflow", "sqlite", "fsync", "warehouse"} <= {
        one["name"] for one in json.loads(ran("doctor", "--json").stdout)
    }
