"""Versions of flows on the command line: which one is run and shown, and what is told of edited ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Call = Callable[..., Result]
ONE = "flow Order = { stage a = from [[1]] as t(n) }\n"
TWO = "flow Order @version(2) = { stage a = from [[2]] as t(n)  stage b = from a }\n"


@pytest.fixture
def orders(project: Path) -> Path:
    file = project / "orders.wv"
    file.write_text(ONE + TWO)
    return file


@pytest.mark.parametrize(
    ("flow", "version", "stages"),
    [
        ("Order", 2, ["a", "b"]),
        ("Order @version(1)", 1, ["a"]),
        ("Order@1", 1, ["a"]),
        ("Order @version(2)()", 2, ["a", "b"]),
        ("Order() @version(1)", 1, ["a"]),
    ],
)
def test_a_version_is_named_or_the_highest_is_meant(
    orders: Path, wvflow: Call, flow: str, version: int, stages: list[str]
) -> None:
    summary = json.loads(wvflow("run", "orders.wv", flow, "--json").stdout)
    assert (summary["version"], [stage["stage"] for stage in summary["stages"]]) == (version, stages)
    shown = json.loads(wvflow("show", "orders.wv", flow, "--json").stdout)
    assert (shown["version"], [stage["stage"] for stage in shown["stages"]]) == (version, stages)
    texts = [json.loads(line) for line in wvflow("compile", "orders.wv", flow, "--json").stdout.splitlines()]
    assert [(text["version"], text["name"]) for text in texts] == [(version, stage) for stage in stages]


def test_a_run_tells_its_version_and_the_hash_of_its_plan(orders: Path, wvflow: Call) -> None:
    for number, flow in enumerate(("Order@1", "Order", "Order")):
        wvflow("run", "orders.wv", flow, "-q", "--run-id", f"r{number}")
    old, new, same = (json.loads(wvflow("runs", "show", f"r{number}", "--json").stdout) for number in range(3))
    assert old["plan"] != new["plan"] == same["plan"]
    assert re.fullmatch("[0-9a-f]{64}", new["plan"])
    assert f"version   2, plan {new['plan'][:12]}\n" in wvflow("runs", "show", "r1").stdout
    listed = wvflow("runs", "list").stdout
    assert re.search(r"r1 +Order @version\(2\) +✓", listed)
    assert re.search(r"r0 +Order +✓", listed)


def test_the_plan_of_a_flow_has_nothing_to_do_with_its_neighbours(orders: Path, wvflow: Call) -> None:
    wvflow("run", "orders.wv", "-q", "--run-id", "r1")
    orders.write_text(ONE + TWO + "flow Other = { stage x = from [[1]] as t(n) }\n")
    wvflow("run", "orders.wv", "Order", "-q", "--run-id", "r2")
    first, second = (json.loads(wvflow("runs", "show", run, "--json").stdout)["plan"] for run in ("r1", "r2"))
    assert first == second


def test_a_version_that_is_gone_is_run_from_what_runs_have_recorded(orders: Path, wvflow: Call) -> None:
    assert "no flow `Order` in version 9" in wvflow("run", "orders.wv", "Order @version(9)", status=2).stderr
    wvflow("run", "orders.wv", "Order @version(1)", "-q", "--run-id", "r1")
    orders.write_text(TWO + "flow Hooked with { on_finish: Order @version(1) } = { stage h = from [[1]] as t(n) }\n")
    hooked = json.loads(wvflow("run", "orders.wv", "Hooked", "--json").stdout)
    assert (hooked["state"], hooked["children"][0]["version"]) == ("success", 1)
    orders.write_text(TWO + "flow Uses = { stage u = call Order @version(1) | select n }\n")
    again = wvflow("run", "orders.wv", "Order @version(1)", "--run-id", "r2")
    assert "the program has no version 1 of Order any more; the plan that runs have recorded is used" in again.stderr
    shown = [json.loads(wvflow("runs", "show", run, "--json").stdout) for run in ("r1", "r2")]
    assert shown[0]["plan"] == shown[1]["plan"]
    assert "flow Order\n" in wvflow("show", "orders.wv", "Order@1").stdout
    assert "-- Order.a\n" in wvflow("compile", "orders.wv", "Order @version(1)").stdout
    (warning,) = json.loads(wvflow("check", "--json", "orders.wv").stdout)
    assert (warning["code"], warning["severity"]) == ("WV0550", "warning")
    uses = json.loads(wvflow("run", "orders.wv", "Uses", "--json").stdout)
    assert (uses["state"], uses["children"][0]["version"]) == ("success", 1)
    wvflow("runs", "clean", "--keep", "0")
    gone = wvflow("run", "orders.wv", "Order @version(1)", status=1)
    assert "the flow `Order` has no version 1" in gone.stdout + gone.stderr


def test_check_warns_of_a_version_that_does_something_else_until_it_has_run(orders: Path, wvflow: Call) -> None:
    wvflow("run", "orders.wv", "-q", "--run-id", "r1")
    orders.write_text(ONE + TWO.replace("stage b", "stage b with { retries: 3 }"))
    assert json.loads(wvflow("check", "--json").stdout) == []
    orders.write_text(ONE + TWO.replace("[[2]]", "[[3]]"))
    (warning,) = json.loads(wvflow("check", "--json").stdout)
    assert (warning["code"], warning["severity"], warning["line"]) == ("WV0551", "warning", 2)
    assert warning["message"] == "version 2 of `Order` does something else than run r1 did with it"
    assert "`flow Order @version(3)`" in warning["help"]
    wvflow("run", "orders.wv", "-q")
    assert json.loads(wvflow("check", "--json").stdout) == []


def test_looking_makes_no_state_folder(orders: Path, wvflow: Call) -> None:
    wvflow("check", "orders.wv")
    assert not (orders.parent / ".wvflow" / "state.db").exists()


def test_a_retry_is_linked_both_ways_and_refused_with_a_list(orders: Path, wvflow: Call) -> None:
    wvflow("run", "orders.wv", "-q", "--run-id", "r1")
    wvflow("runs", "retry", "r1", "--run-id", "r2", "--from", "b")
    assert "retry of  run r1\n" in wvflow("runs", "show", "r2").stdout
    assert "retries   run r2\n" in wvflow("runs", "show", "r1").stdout
    assert json.loads(wvflow("runs", "show", "r1", "--json").stdout)["retries"] == ["r2"]
    assert re.search(r"RunStarted .* a retry of run r1", wvflow("runs", "events", "r2").stdout)
    assert json.loads(wvflow("runs", "list", "--limit", "1", "--json").stdout)[0]["retry_of"] == "r1"
    orders.write_text(ONE + TWO.replace("[[2]]", "[[3]]"))
    refused = wvflow("runs", "retry", "r1", status=1)
    assert "  a: it does something else now\n  b: it depends on one of these\n" in refused.stderr
    assert "wvflow runs retry r1 --from a" in refused.stderr
    wvflow("runs", "retry", "r1", "--from", "a", "-q")
    orders.write_text("flow Order = {")
    assert "WV01" in wvflow("runs", "retry", "r1", "--json", status=1).stdout
