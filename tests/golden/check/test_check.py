"""Programs with expectations beside the line: ``--! WV0201 "part of the message"``. Nothing else may be found."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from wvflow.diagnostics import Diagnostic, has_errors
from wvflow.lang.catalog import ActivitySignature, Catalog, Parameter
from wvflow.lang.types import DATE, LONG, STRING
from wvflow.plan.codec import decode, encode
from wvflow.planner import build
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.syntax import parse

HERE = Path(__file__).parent
EXPECTED = re.compile(r'(WV\d{4})\s+"([^"]*)"')
CATALOG = Catalog(
    activities={
        "fetch": ActivitySignature(
            "fetch",
            (Parameter("endpoint", STRING), Parameter("limit", LONG, required=False), Parameter("since", DATE, False)),
            takes_rows=True,
        ),
        "notify": ActivitySignature("notify", (Parameter("message", STRING),), returns="nothing"),
        "anything": ActivitySignature("anything", takes_rows=True, open=True, returns="rows"),
        "counted": ActivitySignature("counted", returns="scalar", result=LONG),
        "measured": ActivitySignature("measured", returns="scalar", result=LONG),
        "picky": ActivitySignature(
            "picky", (Parameter("mode", STRING, choices=("fast", "slow")), Parameter("level", LONG, choices=(1, 2)))
        ),
        "hasty": ActivitySignature("hasty", takes_rows=True, properties={"retries": "many", "retrys": 3}),
        "undecorated": ActivitySignature("undecorated", (Parameter("a", LONG),)),
        **{
            name: ActivitySignature(name, takes_rows=True, open=True)
            for name in ("fetch_data", "normalize", "fetch_api", "send_email", "validate", "transform")
        },
    },
    modules=("activities", "shared.tasks"),
    tables=("orders", "users", "riders", "api_source", "customer_id", "source"),
    data_files=frozenset({"trips.csv", "riders.csv"}),
)


def _expected(text: str) -> Counter[tuple[int, str]]:
    lines = enumerate(text.splitlines(), 1)
    marked = ((number, line.partition("--!")[2]) for number, line in lines)
    return Counter((number, code) for number, rest in marked for code, _ in EXPECTED.findall(rest))


def _place(found: Diagnostic) -> tuple[int, str]:
    return found.span.position.line, found.code.number


@pytest.mark.parametrize("path", sorted(HERE.glob("*.wv")), ids=lambda path: path.stem)
def test_exactly_the_expected_is_found(path: Path) -> None:
    text = path.read_text()
    module, unread = parse(Source(path.name, text))
    assert not unread
    checked, found = check([module], CATALOG)
    assert Counter(map(_place, found)) == _expected(text)
    for number, line in enumerate(text.splitlines(), 1):
        for code, part in EXPECTED.findall(line.partition("--!")[2]):
            told = [one for one in found if _place(one) == (number, code)]
            assert any(part in _told(one) for one in told), [_told(one) for one in told]
    if not has_errors(found):
        bundle = build(checked, CATALOG)
        assert decode(encode(bundle)) == bundle


def _told(found: Diagnostic) -> str:
    return " | ".join([found.message, found.help or "", *[note.message for note in found.notes]])
