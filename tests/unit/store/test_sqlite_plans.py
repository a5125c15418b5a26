"""By which indexes the questions are answered that are asked again and again."""

from __future__ import annotations

import sqlite3

from wvflow.store.sqlite import dependencies, schema


def plan(question: str, *arguments: object) -> list[str]:
    connection = sqlite3.connect(":memory:")
    schema.migrate(connection)
    found = connection.execute(f"explain query plan {question}", arguments).fetchall()
    connection.close()
    return [str(row[-1]) for row in found]


def test_runs_that_a_flow_may_come_after_are_read_in_order_from_where_they_count() -> None:
    steps = plan(dependencies.UNUSED, "A", 0, "/p", "[]", False, "B", 1)
    assert "SEARCH runs USING INDEX runs_ended (flow=? AND finished_at>?)" in steps
    assert any("USING INDEX used_once (flow=? AND upstream=?)" in step for step in steps)
    assert not [step for step in steps if "TEMP B-TREE" in step]


def test_those_about_a_window_are_found_without_a_look_at_the_others() -> None:
    steps = plan(dependencies.UNUSED_ABOUT, "A", 0, "/p", "[]", False, "B", 1, 2, 1)
    assert "SEARCH runs USING INDEX runs_about (flow=? AND run_time>? AND run_time<?)" in steps
    assert not [step for step in steps if "TEMP B-TREE" in step]
