"""Text to tokens: query language, section 1."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wvflow.source import Source
from wvflow.syntax import tokenize
from wvflow.syntax.tokens import T

TOKENS = [
    ("from a", [(T.WORD, "from"), (T.WORD, "a")]),
    ("_ _1 $x a$1", [(T.UNDERSCORE, "_"), (T.WORD, "_1"), (T.WORD, "$x"), (T.WORD, "a$1")]),
    ("`a b.c` ``", [(T.QUOTED, "a b.c"), (T.QUOTED, "")]),
    (
        "25_000 2.5 .5 1e5 2.5E-3",
        [(T.INT, "25000"), (T.DECIMAL, "2.5"), (T.DECIMAL, ".5"), (T.EXP, "1e5"), (T.EXP, "2.5E-3")],
    ),
    ("1f 1.5F 2D 1.5d", [(T.FLOAT, "1f"), (T.FLOAT, "1.5F"), (T.DOUBLE, "2D"), (T.DOUBLE, "1.5d")]),
    ("5m 1h30m 10ms 1d", [(T.DURATION, "5m"), (T.DURATION, "1h30m"), (T.DURATION, "10ms"), (T.DURATION, "1d")]),
    ("7.to", [(T.INT, "7"), (T.SYMBOL, "."), (T.WORD, "to")]),
    ("a::b:c", [(T.WORD, "a"), (T.SYMBOL, "::"), (T.WORD, "b"), (T.SYMBOL, ":"), (T.WORD, "c")]),
    ("<= >= != == -> // <-", [(T.SYMBOL, symbol) for symbol in ("<=", ">=", "!=", "==", "->", "//", "<-")]),
    ("a>>b", [(T.WORD, "a"), (T.SYMBOL, ">"), (T.SYMBOL, ">"), (T.WORD, "b")]),
    ("'it''s' ''", [(T.STRING, "it's"), (T.STRING, "")]),
    (r"'a\b'", [(T.STRING, r"a\b")]),
    ("'two\nlines'", [(T.STRING, "two\nlines")]),
    ("\"a 'b'\"", [(T.STRING, "a 'b'")]),
    ('""', [(T.STRING, "")]),
    ('""""""', [(T.STRING, "")]),
    ('"""a "b" c"""', [(T.STRING, 'a "b" c')]),
    ('"""say "hi""""', [(T.STRING, 'say "hi"')]),
    ("\ufefffrom", [(T.WORD, "from")]),
    ("from'a'", [(T.WORD, "from"), (T.STRING, "a")]),
    ('from"a"', [(T.WORD, "from"), (T.STRING, "a")]),
    ("a\r\n\f\tb", [(T.WORD, "a"), (T.WORD, "b")]),
    ("a -- b\nc", [(T.WORD, "a"), (T.WORD, "c")]),
    ("a --\nc", [(T.WORD, "a"), (T.WORD, "c")]),
    ("--- a\nb --- c", [(T.WORD, "c")]),
    ("---\n---\nc", [(T.WORD, "c")]),
    ("-----\na\n------ c", [(T.WORD, "c")]),
    ("/* a /* b */ c", [(T.WORD, "c")]),
    ("'--- a' b", [(T.STRING, "--- a"), (T.WORD, "b")]),
    (
        's"a${b}"',
        [
            (T.INTERPOLATION_OPEN, "s"),
            (T.TEXT, "a"),
            (T.HOLE_OPEN, ""),
            (T.WORD, "b"),
            (T.HOLE_CLOSE, ""),
            (T.INTERPOLATION_CLOSE, ""),
        ],
    ),
    (r's"\$ \" \n $"', [(T.INTERPOLATION_OPEN, "s"), (T.TEXT, r'$ " \n $'), (T.INTERPOLATION_CLOSE, "")]),
    ('sql"""a "b""""', [(T.INTERPOLATION_OPEN, "sql"), (T.TEXT, 'a "b"'), (T.INTERPOLATION_CLOSE, "")]),
    (r"s`a\`b`", [(T.INTERPOLATION_OPEN, "s`"), (T.TEXT, "a`b"), (T.INTERPOLATION_CLOSE, "")]),
]

MALFORMED = [
    ("'abc\nfrom", ["1:1 WV0103"], [(T.STRING, "abc"), (T.WORD, "from")]),
    ('"abc', ["1:1 WV0103"], [(T.STRING, "abc")]),
    ("a `b\nc", ["1:3 WV0103"], [(T.WORD, "a"), (T.QUOTED, "b"), (T.WORD, "c")]),
    ('"""abc\nd', ["1:1 WV0104"], [(T.STRING, "abc\nd")]),
    ("a --- b", ["1:3 WV0108"], [(T.WORD, "a")]),
    ("a /* b", ["1:3 WV0117"], [(T.WORD, "a")]),
    ("25_", ["1:1 WV0105"], [(T.INT, "0")]),
    ("0x1F 9L 1h30 5min", ["1:1 WV0105", "1:6 WV0105", "1:9 WV0105", "1:14 WV0105"], [(T.INT, "0")] * 4),
    ("9" * 401, ["1:1 WV0105"], [(T.INT, "0")]),
    ("a § b", ["1:3 WV0102"], [(T.WORD, "a"), (T.WORD, "b")]),
    ("a\x00b", ["1:2 WV0102"], [(T.WORD, "a"), (T.WORD, "b")]),
    ("größe", ["1:1 WV0102"], [(T.QUOTED, "größe")]),
    ("a <> b", ["1:3 WV0101"], [(T.WORD, "a"), (T.SYMBOL, "!="), (T.WORD, "b")]),
    ("a && b", ["1:3 WV0101"], [(T.WORD, "a"), (T.WORD, "and"), (T.WORD, "b")]),
    ('x"a"', ["1:1 WV0109"], [(T.INTERPOLATION_OPEN, "s"), (T.TEXT, "a"), (T.INTERPOLATION_CLOSE, "")]),
    (
        's"abc\nfrom',
        ["1:1 WV0103"],
        [(T.INTERPOLATION_OPEN, "s"), (T.TEXT, "abc"), (T.INTERPOLATION_CLOSE, ""), (T.WORD, "from")],
    ),
    ('sql"""abc', ["1:1 WV0104"], [(T.INTERPOLATION_OPEN, "sql"), (T.TEXT, "abc"), (T.INTERPOLATION_CLOSE, "")]),
    (
        's"${a',
        ["1:1 WV0103"],
        [
            (T.INTERPOLATION_OPEN, "s"),
            (T.HOLE_OPEN, ""),
            (T.WORD, "a"),
            (T.HOLE_CLOSE, ""),
            (T.INTERPOLATION_CLOSE, ""),
        ],
    ),
]


def _read(text: str) -> tuple[list[tuple[T, str]], list[str]]:
    tokens, found, _ = tokenize(Source("test.wv", text))
    places = [f"{one.span.position.line}:{one.span.position.column} {one.code.number}" for one in found]
    assert tokens[-1].kind is T.END
    return [(token.kind, token.value) for token in tokens[:-1]], places


@pytest.mark.parametrize(("text", "tokens"), TOKENS, ids=[text for text, _ in TOKENS])
def test_a_text_has_its_tokens(text: str, tokens: list[tuple[T, str]]) -> None:
    assert _read(text) == (tokens, [])


@pytest.mark.parametrize(("text", "places", "tokens"), MALFORMED, ids=[text[:20] for text, _, _ in MALFORMED])
def test_a_malformed_token_is_reported_and_replaced(text: str, places: list[str], tokens: list[tuple[T, str]]) -> None:
    assert _read(text) == (tokens, places)


def test_comments_are_kept_in_order_with_their_place() -> None:
    text = "a -- one\n--- two\n--- b /* three */ 'no -- comment'"
    comments = tokenize(Source("test.wv", text)).comments
    assert [text[comment.start : comment.end] for comment in comments] == ["-- one", "--- two\n---", "/* three */"]


def test_every_token_lies_where_it_is_written() -> None:
    text = "from `a b` where x >= 25_000 and s\"q${ {k: 1} }r\" = 'it''s' -- end\n| limit 5"
    tokens = tokenize(Source("test.wv", text)).tokens
    assert [text[token.start : token.end] for token in tokens] == [
        *[
            "from",
            "`a b`",
            "where",
            "x",
            ">=",
            "25_000",
            "and",
            's"',
            "q",
            "${",
            "{",
            "k",
            ":",
            "1",
            "}",
            "}",
            "r",
            '"',
        ],
        *["=", "'it''s'", "|", "limit", "5", ""],
    ]


@given(st.text(alphabet=st.sampled_from("'\"`\\$s{}-/* \na1_.é"), max_size=40))
def test_tokens_never_overlap_and_cover_the_text_in_order(text: str) -> None:
    tokens, _, comments = tokenize(Source("test.wv", text))
    places = [(token.start, token.end) for token in tokens]
    assert all(start <= end for start, end in places)
    assert all(before[1] <= after[0] for before, after in pairwise(places))
    assert tokens[-1].end == len(text)
    assert all(0 <= comment.start < comment.end <= len(text) for comment in comments)
