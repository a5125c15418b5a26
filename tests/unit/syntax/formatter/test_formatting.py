"""The formatter: a table of texts, and what holds for every program of the repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from straining import examples
from wvflow.diagnostics import has_errors
from wvflow.source import Source
from wvflow.syntax import parse
from wvflow.syntax.formatter import format_text
from wvflow.syntax.lexer import tokenize
from wvflow.syntax.tokens import T

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
        pytest.param("def f(a: any *): int = g(a)", "def f(a: any*): int = g(a)\n", id="all remaining arguments"),
        pytest.param("val x: decimal[10, 2] = 1", "val x: decimal[10,2] = 1\n", id="sizes of a type"),
        pytest.param("from t\r\nwhere  a\r\n", "from t\r\nwhere a\r\n", id="line ends stay what they are"),
        pytest.param(
            'select """a\nb""",\r\n1', 'select """a\nb""", 1\r\n', id="a line end inside a string is the string's"
        ),
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


_BETWEEN = [" ", "\n", "  \n\n ", "\r\n", " /* c */ ", " /* a\n b */ ", " -- c\n", "\n-- own line\n", "\n--- doc ---\n"]


def tokens(text: str) -> list[tuple[object, str, str]]:
    """What the parser reads: with these the same, so is the tree."""
    return [(one.kind, one.key, one.value) for one in tokenize(Source("x", text)).tokens]


def gaps(text: str) -> list[int]:
    """The places behind tokens, outside of interpolated strings."""
    depth, places = 0, []
    for token in tokenize(Source("x", text)).tokens:
        depth += (token.kind is T.INTERPOLATION_OPEN) - (token.kind is T.INTERPOLATION_CLOSE)
        if depth == 0 and token.kind is not T.END:
            places.append(token.end)
    return places


@given(number=st.integers(0, len(CORPUS) - 1), draw=st.data())
@settings(max_examples=examples(70), deadline=None)
def test_blanks_and_comments_between_tokens_change_nothing_but_layout(number: int, draw: st.DataObject) -> None:
    text = CORPUS[number]
    other = text
    places = draw.draw(st.lists(st.sampled_from(gaps(text) or [0]), unique=True, max_size=8))
    for place in sorted(places, reverse=True):
        other = f"{other[:place]}{draw.draw(st.sampled_from(_BETWEEN))}{other[place:]}"
    if has_errors(parse(Source("x", other))[1]) or tokens(other) != tokens(text):
        return  # it became another program, such as a name parted from its quote
    once = formatted(other)
    assert formatted(once) == once
    assert tokens(once) == tokens(text)
    assert comments(once) == comments(other)


def test_a_text_with_mistakes_is_left_as_it_is() -> None:
    text = "from  t   where"
    after, found = format_text(Source("x", text))
    assert after == text
    assert has_errors(found)
