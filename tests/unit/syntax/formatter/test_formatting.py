"""The formatter: a table of texts, and what holds for every program of the repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wvflow.diagnostics import has_errors
from wvflow.source import Source
from wvflow.syntax import parse
from wvflow.syntax.formatter import format_text
from wvflow.syntax.lexer import tokenize

ROOT = Path(__file__).parents[4]
_BLOCK = re.compile(r"^```wv\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _corpus() -> list[str]:
    """Every program of the repository that can be read."""
    files = [
        path
        for folder in ("examples", "tests", "docs")
        for path in (ROOT / folder).rglob("*.wv")
        if path.stat().st_size < 100_000
    ]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(files)]
    for page in sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "tests" / "golden").rglob("*.md")]):
        texts += _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for text in texts if not has_errors(parse(Source("x", text))[1])]


CORPUS = _corpus()
LONG = "a_rather_long_name_of_a_column_that_takes_its_room"


def formatted(text: str) -> str:
    return format_text(Source("x", text))[0]


def trees(text: str, dump: Callable[[object], str]) -> list[str]:
    return [dump(one) for one in parse(Source("x", text))[0].statements]


def comments(text: str) -> list[str]:
    """Each comment, without blanks at the ends of its lines."""
    found = tokenize(Source("x", text)).comments
    return ["\n".join(line.rstrip() for line in text[one.start : one.end].split("\n")) for one in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("select   1+2 , -x\n", "select 1 + 2, -x\n", id="one blank around operators"),
        pytest.param("from t where a=1", "from t where a = 1\n", id="a short query stays on its line"),
        pytest.param("from t\nwhere a limit 3", "from t\nwhere a\nlimit 3\n", id="one break breaks a pipeline"),
        pytest.param("from t | count", "from t | count\n", id="a pipe stays"),
        pytest.param("select {k:1,'b c':2}, map{'a':1}", "select {k: 1, 'b c': 2}, map {'a': 1}\n", id="braces"),
        pytest.param("select '2026-01-01' : date", "select '2026-01-01':date\n", id="a typed literal"),
        pytest.param("from t sample 10 %", "from t sample 10%\n", id="a share"),
        pytest.param("from t where x in(1,2)", "from t where x in (1, 2)\n", id="a word before a parenthesis"),
        pytest.param("from a . b select f ( x ) [ 1 ]", "from a.b select f(x)[1]\n", id="calls and members"),
        pytest.param("from t -- why\nwhere a", "from t  -- why\nwhere a\n", id="a comment at the end of a line"),
        pytest.param(
            f"from t select {LONG}, {LONG}_too, b",
            f"from t\nselect\n  {LONG},\n  {LONG}_too,\n  b\n",
            id="a long list has an item a line",
        ),
        pytest.param(
            f"from t where {LONG} = 1 and {LONG}_too = 2 or c",
            f"from t\nwhere {LONG} = 1\n  and {LONG}_too = 2\n  or c\n",
            id="a long condition begins lines with its words",
        ),
        pytest.param(
            "flow F={stage a=from t stage b=from a\nwhere x}",
            "flow F = {\n  stage a = from t\n  stage b =\n    from a\n    where x\n}\n",
            id="stages",
        ),
        pytest.param("from a\n\n\n\nfrom t", "from a\n\nfrom t\n", id="one empty line stays"),
        pytest.param("  -- only a comment\n", "-- only a comment\n", id="nothing but a comment"),
    ],
)
def test_a_text_is_formatted_so(text: str, expected: str) -> None:
    assert formatted(text) == expected


@pytest.mark.parametrize("number", range(len(CORPUS)))
def test_formatting_keeps_the_tree_and_the_comments_and_is_idempotent(
    number: int, dump: Callable[[object], str]
) -> None:
    text = CORPUS[number]
    once = formatted(text)
    assert formatted(once) == once
    assert trees(once, dump) == trees(text, dump)
    assert comments(once) == comments(text)


@given(number=st.integers(0, len(CORPUS) - 1), draw=st.data())
@settings(max_examples=150, deadline=None)
def test_blanks_and_comments_between_tokens_change_nothing_but_layout(number: int, draw: st.DataObject) -> None:
    text = CORPUS[number]
    tokens = tokenize(Source("x", text)).tokens
    depth, places = 0, []
    for token in tokens:
        name = token.kind.name
        depth += (name == "INTERPOLATION_OPEN") - (name == "INTERPOLATION_CLOSE")
        if depth == 0 and name not in ("INTERPOLATION_CLOSE", "END"):
            places.append(token.end)
    place = draw.draw(st.sampled_from(places or [0]))
    inserted = draw.draw(st.sampled_from([" ", "\n", "  \n\n ", " /* c */ ", " -- c\n", "\n-- own line\n"]))
    other = f"{text[:place]}{inserted}{text[place:]}"
    module, found = parse(Source("x", other))
    if has_errors(found) or [one.key for one in tokenize(Source("x", other)).tokens] != [one.key for one in tokens]:
        return  # it became another program, such as a name parted from its quote
    once = formatted(other)
    assert formatted(once) == once
    assert comments(once) == comments(other)
    again = parse(Source("x", once))[0]
    assert len(again.statements) == len(module.statements)


def test_a_text_with_mistakes_is_left_as_it_is() -> None:
    text = "from  t   where"
    after, found = format_text(Source("x", text))
    assert after == text
    assert has_errors(found)
