"""The box table, byte for byte (query reference, section 13.1), JSON lines and tab-separated values (13.2)."""

from __future__ import annotations

from typing import Any

import pytest

from wvflow.lang.kinds import parse
from wvflow.lang.tables import Column, Result, box, cut, json_lines, tsv, width

RED, PLAIN = "\x1b[31m", "\x1b[0m"


def _result(columns: dict[str, str], *rows: tuple[Any, ...], size: int | None = None) -> Result:
    heads = tuple(Column(name, parse(kind)) for name, kind in columns.items())
    return Result(heads, rows, len(rows) if size is None else size)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("東京", 4),
        ("ｱ", 1),
        ("é", 1),
        ("e\u0301x", 2),
        ("กำ", 2),
        ("नि", 2),
        ("\u1112\u1161\u11ab", 2),
        ("a\u200bb\u200d", 2),
        ("a\u00adb", 3),
        ("…", 1),
        ("👍", 2),
        (f"{RED}ab{PLAIN}", 2),
        (f"{RED}東{PLAIN}", 2),
    ],
)
def test_the_columns_that_a_text_takes(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "room", "kept"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("東京都", 5, "東京…"),
        ("東京都", 4, "東…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        ("abcd", 1, "…"),
        ("abcd", 0, ""),
        (f"{RED}abcd{PLAIN}", 3, f"{RED}ab{PLAIN}…"),
        (f"{RED}a{PLAIN}bcd", 3, f"{RED}a{PLAIN}b…"),
    ],
)
def test_a_text_is_cut_to_its_room(text: str, room: int, kept: str) -> None:
    assert cut(text, room) == kept


def test_numbers_stand_right_others_left_heads_in_the_middle() -> None:
    result = _result({"id": "INTEGER", "city": "VARCHAR", "fare": "DECIMAL(5,2)"}, (1, "東京", 12.5), (20, None, None))
    assert box(result).splitlines() == [
        "┌─────┬────────┬──────────────┐",
        "│ id  │  city  │     fare     │",
        "│ int │ string │ decimal(5,2) │",
        "├─────┼────────┼──────────────┤",
        "│   1 │ 東京   │         12.5 │",
        "│  20 │        │              │",
        "├─────┴────────┴──────────────┤",
        "│ 2 rows                      │",
        "└─────────────────────────────┘",
    ]


def test_no_rows_have_both_rules_and_a_footer() -> None:
    assert box(_result({"numbers": "BIGINT"})).splitlines() == [
        "┌─────────┐",
        "│ numbers │",
        "│  long   │",
        "├─────────┤",
        "├─────────┤",
        "│ 0 rows  │",
        "└─────────┘",
    ]


@pytest.mark.parametrize(
    ("size", "shown", "footer"),
    [(1, 1, "1 rows"), (1234, 1234, "1,234 rows"), (1234, 40, "1,234 rows (40 shown)")],
)
def test_the_footer_counts_all_rows_and_those_shown(size: int, shown: int, footer: str) -> None:
    lines = box(_result({"a column of some width": "INTEGER"}, *[(1,)] * shown, size=size)).splitlines()
    assert lines[-2] == f"│ {footer:22} │"


def test_a_column_has_at_most_150_columns_of_the_screen() -> None:
    lines = box(_result({"a": "VARCHAR"}, ("x" * 150,), ("y" * 151,))).splitlines()
    assert lines[4:6] == [f"│ {'x' * 150} │", f"│ {'y' * 149}… │"]


def test_a_screen_cuts_every_line() -> None:
    lines = box(_result({"a": "VARCHAR", "b": "INTEGER"}, ("東京都", 1)), screen=9).splitlines()
    assert [width(line) for line in lines] == [9] * 8
    assert lines[4] == "│ 東京都…"


def test_what_breaks_a_line_is_shown_also_in_names() -> None:
    result = _result({"a\nb": "VARCHAR"}, ("c\td",))
    assert box(result).splitlines()[1::3] == ["│  a\\nb  │", "│ c\\td   │", "└────────┘"]
    assert tsv(result) == "a\\nb\nc\\td"


def test_json_lines_have_no_blanks_and_the_last_of_two_columns_of_a_name() -> None:
    columns = (Column("a", parse("INTEGER")), Column("b", parse("FLOAT")), Column("a", parse("DATE")))
    rows = [(1, 0.10000000149011612, "2024-01-01"), (2, None, None)]
    assert json_lines(Result(columns, rows, 2)) == '{"a":"2024-01-01","b":0.1}\n{"a":null,"b":null}'
