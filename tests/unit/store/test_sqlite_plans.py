"""By which indexes the questions are answered that are asked again and again."""

from __future__ import annotations

import sqlite3

from wvflow.store.sqlite import dependencies, endings, orders, schema


def plan(question: str, *arguments: object, **named: object) -> list[str]:
    connection = sqlite3.connect(":memory:")
    schema.migrate(connection)
    found = connection.execute(f"explain query plan {question}", named or arguments).fetchall()
    connection.close()
    return [str(row[-1]) for row in found]


def test_runs_that_a_flow_may_come_after_are_read_in_order_from_where_they_count() -> None:
    steps = plan(dependencies.UNUSED, "A", 0, "/p", "[]", False, "B", 0, 1)
    assert "SEARCH runs USING INDEX runs_ended (flow=? AND ended>?)" in steps
    assert any("USING INDEX used_once (flow=? AND upstream=?)" in step for step in steps)
    assert not [step for step in steps if "TEMP B-TREE" in step]


def test_how_far_a_look_has_come_is_told_by_the_order_of_the_ends_alone() -> None:
    by_number = "INDEX runs_ended (flow=?"
    for question in (endings.LAST, endings.PASSED):
        (step,) = plan(question, upstream="A", since=0, until=1)
        assert by_number in step


def test_those_about_a_window_are_found_without_a_look_at_the_others() -> None:
    steps = plan(dependencies.UNUSED_ABOUT, "A", 0, "/p", "[]", False, "B", 1, 2, 1)
    assert "SEARCH runs USING INDEX runs_about (flow=? AND run_time>? AND run_time<?)" in steps
    assert not [step for step in steps if "TEMP B-TREE" in step]


def test_whose_turn_it_is_is_read_without_those_that_wait_or_have_ended() -> None:
    taken = "SEARCH runs USING INDEX runs_open (slots_of=? AND state"
    steps = plan(orders.GROUPS, project="/p")
    assert len([step for step in steps if step.startswith(taken)]) == 2
    of_orders = [step for step in steps if "orders" in step]
    assert len(of_orders) == 3
    assert all(step.startswith("SEARCH orders USING COVERING INDEX orders_") for step in of_orders)
    assert [step for step in plan(f"select {orders.TAKEN}", slots_of="a") if "runs" in step] == [
        taken + "<?)",
        taken + ">?)",
    ]
    assert plan(orders.FIRST, "/p", "a", 1) == ["SEARCH orders USING INDEX orders_in_turn (project=? AND slots_of=?)"]
    assert "SEARCH orders USING INDEX orders_of_any_number (project=?)" in plan(orders.OF_ANY_NUMBER, "/p", "[]", 1)


def test_of_groups_only_the_runs_are_read_that_have_not_ended() -> None:
    assert "SEARCH runs USING INDEX runs_open (slots_of=?)" in plan(orders.OCCUPANTS, "[]")
    free = plan(dependencies.ARE_FREE, "[]", "f")
    assert "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (run=?)" in free
