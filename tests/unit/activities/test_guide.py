"""Every example of the user guide runs: its Python as a project's activities, its flows through the compiler."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wvflow.activities.modules import ModuleSpace
from wvflow.activities.registry import Registry
from wvflow.service.api import load

GUIDE = Path(__file__).parents[3] / "docs" / "activities.md"
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
PYTHON = [text for language, text in BLOCKS if language == "python"]
FLOWS = [text for language, text in BLOCKS if language == "wv"]

ORDERS = [{"id": 1, "price": 9.5}, {"id": 2, "price": 20.0}]
# What each example's activity is called with, and what comes out.
CALLS: dict[str, tuple[list[dict[str, Any]] | None, dict[str, Any], Any]] = {
    "with_tax": (ORDERS, {"rate": 0.5}, [{**row, "gross": row["price"] * 1.5} for row in ORDERS]),
    "dear": (ORDERS, {}, [{"id": 2, "currency": "EUR"}]),
    "calendar": (None, {"start": "2024-01-31", "days": 2, "form": "short"}, [{"day": "31.01."}, {"day": "01.02."}]),
    "pages": (None, {"count": 1}, [{"number": 0, "title": "page 0"}]),
    "crunch": (ORDERS, {}, [{**row, "squared": row["price"] ** 2} for row in ORDERS]),
    "how_many": (ORDERS, {}, [{"value": 2}]),
    "announce": (ORDERS, {}, None),
    "fetch": (None, {"url": "u"}, [{"url": "u", "status": 200}]),
    "send_mail": (ORDERS, {}, None),
    "page": (None, {"number": 3}, [{"number": 3}]),
    "squares": (None, {"count": 2}, [{"number": 0, "square": 0}, {"number": 1, "square": 1}]),
    "one_by_one": (None, {"count": 1}, [{"number": 0, "square": 0}]),
    "sink.pager": (ORDERS, {"team": "red"}, None),
    "greet": ([{"name": "Ada"}], {}, [{"greeting": "Ada, attempt 1"}]),
}
# Its rows tell of the attempt.
LOOSE = {"import_all": {"pages": 3}}


@pytest.mark.parametrize("text", PYTHON)
def test_an_example_in_python_runs(text: str, tmp_path: Path, call: Callable[..., Any], stop: Any) -> None:
    (tmp_path / "activities.py").write_text(text, encoding="utf-8")
    registry = Registry.discover(tmp_path)
    assert registry.problems == ()
    assert registry.activities
    for name in registry.activities.keys() - LOOSE.keys():
        rows, arguments, expected = CALLS[name]
        result = registry.run(call(name, rows, arguments=arguments), stop)
        assert (None if result is None else result.read_all().to_pylist()) == expected
    for name in registry.activities.keys() & LOOSE.keys():
        (row,) = registry.run(call(name, arguments=LOOSE[name], last_heartbeat=1), stop).read_all().to_pylist()
        assert (row["run"], row["pages"]) == ("r1", 2)


def test_the_tests_in_the_examples_pass(tmp_path: Path) -> None:
    ran = 0
    for number, text in enumerate(PYTHON):
        (tmp_path / f"example{number}.py").write_text(text, encoding="utf-8")
        module = ModuleSpace([tmp_path]).load(f"example{number}")
        for name in vars(module):
            if name.startswith("test_"):
                getattr(module, name)()
                ran += 1
    assert ran == 1


@pytest.mark.parametrize("text", FLOWS)
def test_an_example_flow_has_no_mistakes_and_runs(text: str, tmp_path: Path) -> None:
    (tmp_path / "activities.py").write_text("\n".join(PYTHON), encoding="utf-8")
    (tmp_path / "flow.wv").write_text(text, encoding="utf-8")
    program = load(tmp_path / "flow.wv")
    assert program.check() == ()
    for plan in program.bundle.flows.values():
        result = program.run(plan.flow)
        assert result.state == "success", result.error
