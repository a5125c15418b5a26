"""Diagnostics as people and programs see them."""

import pytest
from rich.cells import cell_len

from wvflow.cli.diagnostics import as_json, render, tally
from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.source import Source, Span

SOURCE = Source("flights.wv", "flow A = {\n  stage x = from extrct | where y > 3\n}\n")


def place(text: str, word: str) -> Span:
    source = Source("a.wv", text)
    start = text.index(word)
    return Span(source, start, start + len(word))


def spot(word: str) -> Span:
    start = SOURCE.text.index(word)
    return Span(SOURCE, start, start + len(word))


WHOLE = Diagnostic(
    Code.UNKNOWN_STAGE,
    "no stage named `extrct` in this flow",
    spot("extrct"),
    help="did you mean `extract`?",
    notes=(Note("the flow begins here", spot("A")), Note("names are case-sensitive")),
)


def test_a_diagnostic_shows_its_line_its_notes_and_the_way_out() -> None:
    assert render(WHOLE).plain == (
        "error[WV0201]: no stage named `extrct` in this flow\n"
        " --> flights.wv:2:18\n"
        "  |\n"
        "2 |   stage x = from extrct | where y > 3\n"
        "  |                  ^^^^^^\n"
        "  = note: the flow begins here\n"
        " --> flights.wv:1:6\n"
        "  |\n"
        "1 | flow A = {\n"
        "  |      ^\n"
        "  = note: names are case-sensitive\n"
        "  = help: did you mean `extract`?"
    )


def test_json_has_all_that_the_text_has() -> None:
    assert as_json(WHOLE, lambda name: f"sub/{name}") == {
        "code": "WV0201",
        "class": "STAGE_NOT_FOUND",
        "severity": "error",
        "message": "no stage named `extrct` in this flow",
        "file": "sub/flights.wv",
        "line": 2,
        "column": 18,
        "end_line": 2,
        "end_column": 24,
        "help": "did you mean `extract`?",
        "notes": [
            {
                "message": "the flow begins here",
                "file": "sub/flights.wv",
                "line": 1,
                "column": 6,
                "end_line": 1,
                "end_column": 7,
            },
            {"message": "names are case-sensitive"},
        ],
    }


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("from bad", id="plain"),
        pytest.param("\tfrom\tbad", id="tabs"),
        pytest.param("from `日本語` bad", id="wide characters"),
        pytest.param("'e\u0301' bad", id="combining characters"),
        pytest.param("'\x1b[31m' bad", id="escape sequences"),
        pytest.param("x" * 500 + " bad " + "y" * 500, id="a very long line"),
        pytest.param("-- é\r\nfrom bad\r\n", id="CRLF"),
    ],
)
def test_the_underline_stands_below_the_words_on_a_terminal(line: str) -> None:
    lines = render(Diagnostic(Code.UNKNOWN_TABLE, "m", place(line, "bad"))).plain.splitlines()
    shown, underline = lines[-2], lines[-1]
    column = cell_len(underline[: underline.index("^")])
    before = shown[: shown.index("bad")]
    assert (column, underline.count("^")) == (cell_len(before), 3)
    assert len(shown) < 140
    assert "\x1b" not in shown


def test_a_wide_word_is_underlined_as_wide_as_it_is() -> None:
    lines = render(Diagnostic(Code.UNKNOWN_TABLE, "m", place("from `日本`", "`日本`"))).plain.splitlines()
    assert lines[-1].count("^") == 6


def test_a_place_over_lines_is_underlined_to_the_end_of_its_first() -> None:
    lines = render(Diagnostic(Code.CYCLE, "m", place("a b\nc", "b\nc"))).plain.splitlines()
    assert lines[-2:] == ["1 | a b", "  |   ^"]


def test_the_end_of_the_text_is_a_place() -> None:
    source = Source("a.wv", "flow A = {\n")
    lines = render(Diagnostic(Code.UNEXPECTED_TOKEN, "m", Span(source, 11, 11))).plain.splitlines()
    assert lines[1:] == [" --> a.wv:2:1", "  |", "2 | ", "  | ^"]


def test_a_file_without_text_is_named_without_a_line() -> None:
    found = Diagnostic(Code.FILE_EMPTY, "the file is empty", Span(Source("a.wv", ""), 0, 0))
    assert render(found).plain == "error[WV0110]: the file is empty\n --> a.wv"


def test_line_numbers_of_all_places_line_up() -> None:
    source = Source("a.wv", "x\n" * 120)
    found = Diagnostic(Code.CYCLE, "m", Span(source, 0, 1), notes=(Note("n", Span(source, 200, 201)),))
    assert "\n  1 | x" in render(found).plain
    assert "\n101 | x" in render(found).plain


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        ([], "no mistakes found"),
        ([Code.CYCLE], "1 error"),
        ([Code.CYCLE, Code.CYCLE, Code.UNREAD_STAGE], "2 errors, 1 warning"),
    ],
)
def test_the_tally_counts_by_severity(codes: list[Code], text: str) -> None:
    assert tally(Diagnostic(code, "m", spot("A")) for code in codes) == text
