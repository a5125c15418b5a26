"""What all built-in functions have in common, the log, and sinks: registered ones and those that aren't there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from inspect import getmodule, getsource, unwrap
from pathlib import Path
from typing import Any

import pytest

from wvflow.activities.builtin import functions
from wvflow.activities.builtin.plain import json_line
from wvflow.activities.isolation import Isolated
from wvflow.activities.registry import Registry
from wvflow.activities.settings import Settings
from wvflow.activities.types import signature_of
from wvflow.errors import TaskError
from wvflow.lang import builtins
from wvflow.lang.catalog import ActivitySignature
from wvflow.lang.keys import ENGINE_FILE, ENGINE_SQL, RUN_SIGNAL

ELSEWHERE = {ENGINE_SQL, ENGINE_FILE, RUN_SIGNAL}
"""What the engine and the driver do themselves."""
KNOWN = dict((*builtins.ACTIVITIES.values(), *builtins.SINKS.values()))
LOG = "builtin.log"


def as_checked(signature: ActivitySignature) -> Any:
    parameters = {
        one.name: (str(one.type).partition("[")[0], one.required, one.nullable, one.choices)
        for one in signature.parameters
    }
    return parameters, signature.open, signature.takes_rows


@pytest.mark.parametrize("key", sorted(KNOWN.keys() - ELSEWHERE))
def test_the_checker_knows_each_function_as_it_is(key: str) -> None:
    assert as_checked(KNOWN[key]) == as_checked(signature_of(functions(Settings())[key]))


def test_those_that_send_heartbeats_are_known() -> None:
    modules = {key: getmodule(unwrap(one.function)) for key, one in functions(Settings()).items()}
    assert {key for key, module in modules.items() if module and ".heartbeat(" in getsource(module)} == builtins.TELLING


def test_there_is_no_other() -> None:
    assert functions(Settings()).keys() == KNOWN.keys() - ELSEWHERE


@pytest.mark.parametrize("key", sorted(KNOWN.keys() - ELSEWHERE))
def test_an_argument_that_it_does_not_have_is_told(failure: Any, key: str) -> None:
    if not KNOWN[key].open:
        assert failure(key, [], nonsense=1).kind == "WrongArgument"


def test_a_function_of_another_version_is_told(failure: Any) -> None:
    error = failure("builtin.fax")
    assert (error.kind, error.message) == ("ActivityNotFound", "this version has no `fax`")


# --- the log --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [LOG, "sink.log"])
@pytest.mark.parametrize(
    ("rows", "given", "lines"),
    [
        (None, {"message": "100 %s"}, [("info", "100 %s")]),
        ([{"n": 1}], {"message": "hello", "level": "error"}, [("error", "hello")]),
        ([{"n": 1}, {"n": 2}], {"level": "debug"}, [("debug", '{"n":1}'), ("debug", '{"n":2}')]),
        ([{"n": n} for n in range(1500)], {"max_rows": 1}, [("info", '{"n":0}'), ("info", "… and 1,499 more rows")]),
        ([], {}, [("info", "no rows")]),
        (None, {}, []),
    ],
)
def test_what_is_logged(use: Any, logged: list[Any], key: str, rows: Any, given: Any, lines: Any) -> None:
    assert use(key, rows, **given) is None
    assert logged == lines


def test_values_are_written_as_json_has_them() -> None:
    value = {
        "a": Decimal("1.50"), "b": date(2024, 1, 2), "c": timedelta(minutes=1), "d": b"x", "e": float("nan"),
        "f": [(1, "x")], "g": {1: None},
    }  # fmt: skip
    assert json_line(value) == '{"a":1.50,"b":"2024-01-02","c":60.0,"d":"eA==","e":null,"f":[[1,"x"]],"g":{"1":null}}'


# --- sinks ----------------------------------------------------------------------------------------------------------

SINKS = """
from wvflow import ActivityContext, activity, sink

SENT = []

@sink("pager", retries=2)
def page(rows: list[dict], *, team: str = "all", ctx: ActivityContext):
    ctx.logger.info("%s gets %s", team, [row["n"] for row in rows])
    return [{"of": "no account"}]

@sink("slow")
def bit_by_bit(rows: list[dict], *, ctx: ActivityContext):
    for row in rows:
        ctx.logger.info("sent %s", row["n"])
        yield row

@activity
def pager(rows: list[dict]) -> int:
    return len(rows)

@sink("log")
def own_log(rows: list[dict], *, ctx: ActivityContext) -> None:
    ctx.logger.info("mine")
"""


@pytest.fixture
def registry(project: Callable[..., Path]) -> Registry:
    registry = Registry.discover(project({"activities.py": SINKS}))
    assert registry.problems == ()
    return registry


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize(
    ("target", "given", "line"),
    [
        ("pager", {"team": "red"}, "red gets [1]"),
        ("slow", {}, "sent 1"),
        ("log", {}, "mine"),
    ],
)
def test_a_registered_sink_gets_the_rows_and_gives_none(
    registry: Registry, project: Any, call: Any, stop: Any, isolation: str, target: str, given: Any, line: str
) -> None:
    logged: list[str] = []
    fields = {"function": f"sink.{target}", "arguments": given, "isolation": isolation}
    isolated = Isolated(registry, project({}))
    try:
        made = call(target, [{"n": 1}], log=lambda level, message: logged.append(message), **fields)
        assert isolated.run(made, stop) is None
    finally:
        isolated.close()
    assert logged == [line]


def test_an_activity_of_a_sinks_name_is_another_thing(registry: Registry, call: Any, stop: Any) -> None:
    result = registry.run(call("pager", [{"n": 1}]), stop)
    assert result is not None
    assert result.read_all().to_pylist() == [{"value": 1}]


def test_built_in_functions_run_in_no_process_of_the_projects(registry: Registry, call: Any, stop: Any) -> None:
    isolated = Isolated(registry, Path("nowhere"))
    assert isolated.run(call("it", function=LOG, isolation="process"), stop) is None
    assert isolated.pool.processes == 0


def test_two_sinks_of_one_name_are_told(project: Callable[..., Path]) -> None:
    text = "from wvflow import sink\n@sink('a')\ndef one(rows): ...\n@sink('a')\ndef two(rows): ...\n"
    (problem,) = Registry.discover(project({"activities.py": text})).problems
    assert problem.message.startswith("two sinks are named `a`: ")


def test_a_delivery_to_nowhere_is_logged_with_a_warning(use: Any, logged: list[Any]) -> None:
    assert use("sink.slack", [{"n": 1}], channel="#a", level=2) is None
    assert logged == [
        ("warning", "activate('slack', channel: \"#a\", level: 2) is only logged: no sink is named `slack`"),
        ("info", '{"n":1}'),
    ]


def test_a_delivery_to_nowhere_fails_where_sinks_are_strict(failure: Any) -> None:
    error: TaskError = failure("sink.slack", [{"n": 1}], Settings(strict_sinks=True))
    assert (error.kind, error.retryable) == ("NotDelivered", False)
    assert error.message == "activate('slack') can't be delivered: no sink is named `slack`"
