"""Expectations beside the line: ``--! WV0201 "part of the message"``; and the world that golden programs see."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from wvflow.diagnostics import Diagnostic
from wvflow.lang.catalog import ActivitySignature, Catalog, Parameter, RecordedFlow
from wvflow.lang.types import BOOLEAN, DATE, LONG, STRING
from wvflow.plan.codec import encode
from wvflow.plan.nodes import Bundle, FlowPlan

EXPECTED = re.compile(r'(WV\d{4})\s+"([^"]*)"')
_CATALOG = Catalog(
    activities={
        "fetch": ActivitySignature(
            "fetch",
            (Parameter("endpoint", STRING), Parameter("limit", LONG, required=False), Parameter("since", DATE, False)),
            takes_rows=True,
        ),
        "notify": ActivitySignature("notify", (Parameter("message", STRING),), returns="nothing"),
        "anything": ActivitySignature("anything", takes_rows=True, open=True, returns="rows"),
        "counted": ActivitySignature("counted", returns="scalar", result=LONG),
        "not_done": ActivitySignature(
            "not_done", (Parameter("within", LONG, required=False),), returns="scalar", result=BOOLEAN
        ),
        "measured": ActivitySignature("measured", returns="scalar", result=LONG),
        "picky": ActivitySignature(
            "picky", (Parameter("mode", STRING, choices=("fast", "slow")), Parameter("level", LONG, choices=(1, 2)))
        ),
        "hasty": ActivitySignature("hasty", takes_rows=True, properties={"retries": "many", "retrys": 3}),
        "sink.pager": ActivitySignature("pager", (Parameter("team", STRING, required=False),), takes_rows=True),
        "undecorated": ActivitySignature("undecorated", (Parameter("a", LONG),)),
        **{
            name: ActivitySignature(name, takes_rows=True, open=True)
            for name in ("fetch_data", "normalize", "fetch_api", "send_email", "validate", "transform")
        },
    },
    modules=("activities", "shared.tasks"),
    tables=("orders", "users", "riders", "api_source", "customer_id", "source"),
    pools=("api",),
    data_files=frozenset({"trips.csv", "riders.csv"}),
    recorded={
        ("Gone", 1): RecordedFlow(
            (Parameter("n", LONG, required=False),),
            (("id", LONG),),
            encode(Bundle({"Gone@1": FlowPlan("Gone", 1, (), (), ())})),
        )
    },
)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return _CATALOG


@pytest.fixture(scope="session")
def told_as_marked() -> Callable[[str, Sequence[Diagnostic]], None]:
    """Asserts that exactly what the marks of a text say was found, each on its line."""
    return _told_as_marked


def _told_as_marked(text: str, found: Sequence[Diagnostic]) -> None:
    lines = [line.partition("--!")[2] for line in text.splitlines()]
    marks = [(number, code, part) for number, line in enumerate(lines, 1) for code, part in EXPECTED.findall(line)]
    assert Counter(map(_place, found)) == Counter((number, code) for number, code, _ in marks), _shown(found)
    for number, code, part in marks:
        told = [_told(one) for one in found if _place(one) == (number, code)]
        assert any(part in one for one in told), told


def _place(found: Diagnostic) -> tuple[int, str]:
    return found.span.position.line, found.code.number


def _shown(found: Sequence[Diagnostic]) -> str:
    return "\n".join(f"{_place(one)} {_told(one)}" for one in found)


def _told(found: Diagnostic) -> str:
    return " | ".join([found.message, found.help or "", *[note.message for note in found.notes]])
