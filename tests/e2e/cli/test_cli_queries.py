"""`wvflow runs query`: what runs answer while another process drives them, when nobody does, and at their end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Call = Callable[..., Result]
PATIENCE = 60
ORDERS = """\
flow Orders(least: int = 2) with { output: kept } = {
  query status = current_status()
  query progress = completed_steps / total_steps
  query running = running_stages()
  query took = elapsed() > '0 seconds'::interval
  query big(most: int = 10) = from orders where n >= least and n <= most | order by n desc
  query many = (from orders | count) + 1
  query names = from stages where state = 'success' | select stage
  query after = from held select n
  query saved = from kept | join orders as o on o.n = kept.n | select total = kept.n + o.n
  query broken = from loose where nothing > 1
  stage orders = from [[1], [2], [3]] as t(n)
  stage loose = from orders | anything()
  stage held = from orders | hold()
  stage kept depends on held = from orders where n > 2 | save to kept_orders
  stage never [when: least > 2] = from orders
  query none = from never select n
}
"""
HOLD = """\
import threading
from pathlib import Path

from wvflow import activity, ActivityContext

@activity
def anything(rows: list[dict]) -> list[dict]:
    return rows

@activity
def hold(rows: list[dict], *, ctx: ActivityContext) -> list[dict]:
    print("holding", flush=True)
    while not Path(__file__).with_name("open").exists() and not ctx.is_cancelled():
        threading.Event().wait(0.01)
    return rows
"""


@pytest.fixture
def orders(project: Path) -> Path:
    (project / "sales.wv").unlink()
    (project / "orders.wv").write_text(ORDERS)
    (project / "activities.py").write_text(HOLD)
    return project


@contextmanager
def holding() -> Iterator[subprocess.Popen[str]]:
    """A run that another process drives, and that waits."""
    command = [sys.executable, "-m", "wvflow", "run", "orders.wv", "--run-id", "r1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert any("holding" in line for line in process.stderr)
            yield process
        finally:
            process.kill()
            process.communicate(timeout=PATIENCE)


def asked(wvflow: Call, name: str, *args: str) -> Any:
    answer = json.loads(wvflow("runs", "query", "r1", name, *args, "--json").stdout)
    return answer["value"] if "value" in answer else answer["rows"]


ANSWERS = [
    # query, arguments; while the run waits; when it has ended
    ("status", (), "running", "success"),
    ("progress", (), 0.6, 1.0),
    ("running", (), ["held"], []),
    ("took", (), True, True),
    ("big", (), [[3], [2]], [[3], [2]]),
    ("big", ("most=2",), [[2]], [[2]]),
    ("many", (), 4, 4),
    ("names", (), [["orders"], ["loose"]], [["orders"], ["loose"], ["held"], ["kept"]]),
    ("after", (), [], [[1], [2], [3]]),
    ("saved", (), [], [[6]]),
    ("none", (), [], []),
]


def test_a_run_answers_while_it_is_driven_and_when_it_is_left_and_when_it_has_ended(orders: Path, wvflow: Call) -> None:
    with holding() as process:
        wait_for(wvflow, "loose", "never")
        while_driven = [asked(wvflow, name, *args) for name, args, *_ in ANSWERS]
        recorded = wvflow("runs", "events", "r1", "--json").stdout
        process.send_signal(signal.SIGKILL)
    left = [asked(wvflow, name, *args) for name, args, *_ in ANSWERS]
    assert wvflow("runs", "events", "r1", "--json").stdout == recorded
    (orders / "open").touch()
    wvflow("runs", "resume", "r1", "--quiet")
    files = sorted(path for path in (orders / ".wvflow" / "runs").rglob("*"))
    ended = [asked(wvflow, name, *args) for name, args, *_ in ANSWERS]
    assert while_driven == [waiting for *_, waiting, _ in ANSWERS]
    assert left == while_driven
    assert ended == [end for *_, end in ANSWERS]
    assert sorted(path for path in (orders / ".wvflow" / "runs").rglob("*")) == files


def wait_for(wvflow: Call, *stages: str) -> None:
    """Until these stages, which are under way beside the one that waits, have ended."""
    for _ in range(PATIENCE * 20):
        summary = json.loads(wvflow("runs", "show", "r1", "--json").stdout)
        if {one["state"] for one in summary["stages"] if one["stage"] in stages} <= {"success", "skipped"}:
            return
    raise AssertionError(summary)


@pytest.fixture
def ended(orders: Path, wvflow: Call) -> Call:
    (orders / "open").touch()
    wvflow("run", "orders.wv", "--run-id", "r1", "--quiet")
    return wvflow


def test_values_are_printed_as_they_are_and_rows_as_a_table(ended: Call) -> None:
    assert ended("runs", "query", "r1", "status").stdout == "success\n"
    assert ended("runs", "query", "last", "running").stdout == "[]\n"
    assert ended("runs", "query", "r1", "big", "most=2").stdout.splitlines() == [
        "┌─────┐",
        "│  n  │",
        "│ int │",
        "├─────┤",
        "│   2 │",
        "├─────┤",
        "│ 1 … │",
        "└─────┘",
    ]


def test_what_can_be_asked_is_listed_with_its_types(ended: Call) -> None:
    lines = ended("runs", "query", "r1").stdout.splitlines()
    assert lines[:5] == [
        "status: string",
        "progress: double",
        "running: array[string]",
        "took: boolean",
        "big(most: int): rows of n: long",
    ]
    assert [line for line in ended("show", "orders.wv").stdout.splitlines() if line.startswith("query")] == [
        f"query {line}" for line in lines
    ]
    listed = json.loads(ended("runs", "query", "r1", "--json").stdout)
    assert listed[4] == {
        "query": "big",
        "params": [{"name": "most", "type": "int", "required": False}],
        "type": None,
        "columns": [{"name": "n", "type": "long"}],
    }


REFUSED = [
    (("bog",), 2, "flow Orders has no query `bog`", "did you mean `big`?"),
    (("big", "mots=1"), 2, "query big has no parameter `mots`", "did you mean `most`?"),
    (("big", "most=x"), 2, "the parameter `most`: 'x' is not a whole number (int)", ""),
    (("status", "x=1"), 2, "query status has no parameter `x`", "it takes none"),
    (("big", "most"), 2, "'most' is not of the form name=value", ""),
    (("big", "most=1", "most=2"), 2, "`most` is given twice", ""),
    (("broken",), 1, "orders.wv:11:35: query `broken` has no answer", "nothing"),
]


@pytest.mark.parametrize(("words", "status", "message", "help"), REFUSED, ids=[" ".join(one[0]) for one in REFUSED])
def test_what_cannot_be_answered_is_refused(
    ended: Call, words: tuple[str, ...], status: int, message: str, help: str
) -> None:
    refused = ended("runs", "query", "r1", *words, status=status)
    assert message in refused.stderr
    assert help in refused.stderr
    assert refused.stdout == ""


def test_a_run_answers_by_the_plan_that_it_is_pinned_to(orders: Path, ended: Call) -> None:
    (orders / "orders.wv").write_text("flow Orders = { query status = 'new' stage orders = from [[1]] as t(n) }")
    assert ended("runs", "query", "r1", "status").stdout == "success\n"


def test_a_run_of_a_flow_without_queries_says_so(project: Path, ran: Call) -> None:
    assert ran("runs", "query", "r1").stderr.startswith("flow Sales has no queries")
    assert "it has none" in ran("runs", "query", "r1", "status", status=2).stderr
