"""Rows of a session: times as the engine writes them, structs and maps as it prints them (query reference, 13.1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wvflow.data.interactive import Interactive
from wvflow.lang.algebra import SqlText
from wvflow.lang.cells import text

NESTED = """
    {'s': 'it''s', 'n': NULL, 'l': ['a,b', NULL, '', ' x', 'null', 'plain'], 'at': TIMESTAMP '2024-01-01 10:00:00'}
    {'f': 1.1::FLOAT, 'd': 1e16::DOUBLE, 'e': 1e-5::DOUBLE, 'i': 1e10::DOUBLE, 'p': 16777217::FLOAT, 'x': 1.50}
    {'nan': 'nan'::DOUBLE, 'inf': '-inf'::FLOAT, 'b': true, 'h': 170141183460469231731687303715884105727::HUGEINT}
    {'b': '\\xAA\\x27'::BLOB, 'u': '550e8400-e29b-41d4-a716-446655440000'::UUID, 't': TIME '10:00:00.5'}
    {'i': INTERVAL '1 month 1 day', 'c': INTERVAL '25:00:00', 'd': DATE '2024-01-01', 'e': 'x,y'::ENUM('x,y')}
    {'z': TIMESTAMPTZ '2024-01-01 10:00:00+02', 'ns': TIMESTAMP_NS '2024-01-01 10:00:00.123456789'}
    {'a''b': 1, 'c\\d': {'e': [{'f': 1}]}}
    MAP {'a=b': 1, 'c': NULL}
    MAP {{'k': 1}: [1, NULL]}
    MAP {[1, 2]: INTERVAL '1 year'}
    MAP {DATE '2024-01-01': 1.1::FLOAT}
    (1, NULL, 'a,b', [INTERVAL '1 month'])
""".strip().splitlines()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interactive]:
    folder = tmp_path_factory.mktemp("session")
    session = Interactive(root=folder, database=Path(folder / "none.duckdb"), state=folder, keeps=False)
    yield session
    session.close()


def _shown(engine: Interactive, select: str) -> list[str]:
    result = engine.query(SqlText((select,)), {}, (), None)
    return [text(value, column.kind) for value, column in zip(result.rows[0], result.columns, strict=True)]


@pytest.mark.parametrize("value", NESTED, ids=str.strip)
def test_what_is_nested_is_printed_as_the_engine_does(engine: Interactive, value: str) -> None:
    ours, its = _shown(engine, f"SELECT x, x::VARCHAR FROM (SELECT {value} AS x)")
    assert ours == its


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from(" \t\n'\"\\,:=()[]{}aNULlé"), max_size=5))
def test_texts_are_quoted_as_the_engine_does(engine: Interactive, value: str) -> None:
    literal = "'" + value.replace("'", "''") + "'"
    ours, its = _shown(engine, f"SELECT x, x::VARCHAR FROM (SELECT {{'k': {literal}}} AS x)")
    assert ours == its


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("INTERVAL '1 month 3 days'", "1 month 3 days"),
        ("INTERVAL '14 months'", "1 year 2 months"),
        ("INTERVAL '25 hours'", "25:00:00"),
        ("INTERVAL '-3 seconds'", "-00:00:03"),
        ("[INTERVAL '1 month', NULL]", "[1 month, ]"),
        ("[INTERVAL '1 month', NULL]::INTERVAL[2]", "[1 month, ]"),
        ("TIMESTAMP_NS '2024-01-01 10:00:00.123456789'", "2024-01-01 10:00:00.123456789"),
        ("TIME_NS '10:00:00.123456789'", "10:00:00.123456789"),
        ("TIMESTAMPTZ '2024-01-01 10:00:00+02'", "2024-01-01 08:00:00.0"),
        ("TIMETZ '10:00:00+02'", "10:00:00+02"),
        ("TIMESTAMP 'infinity'", "infinity"),
        ("TIMESTAMP '9999-12-31 23:59:59.999999'", "9999-12-31 23:59:59.999999"),
        ("DATE '12345-01-01'", "12345-01-01"),
        ("NULL::DATE", ""),
    ],
)
def test_times_are_more_than_python_can_hold(engine: Interactive, value: str, shown: str) -> None:
    assert _shown(engine, f"SELECT {value} AS x") == [shown]


def test_columns_keep_their_names_kinds_and_order_beside_times(engine: Interactive) -> None:
    select = (
        "SELECT i AS a, DATE '2024-01-01' + i::INTEGER AS b, {'c d': TIME '10:00:00'} AS \"x y\" FROM range(3) t(i)"
    )
    result = engine.query(SqlText((f"{select} ORDER BY i DESC",)), {}, (), 2)
    assert [(one.name, one.kind.text) for one in result.columns] == [
        ("a", "long"),
        ("b", "date"),
        ("x y", "struct(c d time)"),
    ]
    rows: list[Any] = list(result.rows)
    assert (rows, result.size) == (
        [(2, "2024-01-03", {"c d": "10:00:00"}), (1, "2024-01-02", {"c d": "10:00:00"})],
        3,
    )
