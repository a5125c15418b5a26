"""Queries of runs from Python: over maps, children, skipped and failed stages, and while the run goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from wvflow.errors import UserError, WvflowError
from wvflow.service.api import Program

ACTIVITIES = """
from wvflow import activity, NonRetryable

@activity
def fails(rows: list[dict]) -> list[dict]:
    raise NonRetryable("no")
"""
FLOW = """
flow Child(n: int) = {{ stage made = select n * 10 as n }}
flow F(day: date = '2024-01-02') = {{
  query answer{query}
  stage orders = from [[1], [2], [3]] as t(n)
  stage mapped [map: each] = from orders | select n = n * 2
  stage child = call Child(7)
  stage seen [materialize: view] = from mapped where n > 2
  stage gone = from orders | fails()
  stage after = from gone
  stage instead if gone.failed = from orders
  stage last [trigger: all_done] = from seen, child, instead
}}
"""

ANSWERS = [
    (" = total_steps - failed_steps - completed_steps", 0),
    (" = completed_steps", 7),
    (" = current_status()", "failed"),
    (" = day", "2024-01-02"),
    (" = elapsed() >= '0 seconds'::interval", True),
    (" = length(running_stages())", 0),
    (" = (from mapped agg _.n.sum)", 12),
    (" = from mapped", [{"n": 2}, {"n": 4}, {"n": 6}]),
    (" = from seen", [{"n": 4}, {"n": 6}]),
    (" = from child", [{"n": 70}]),
    (" = from gone", []),
    (" = from after", []),
    (" = from instead, gone | agg c = _.count", [{"c": 3}]),
    (" = from seen join orders as o on o.n = seen.n select o.n", []),
    (" = from orders where n in (from seen select n - 3)", [{"n": 1}, {"n": 3}]),
    (" = from stages where error is not null select stage, error", [{"stage": "gone", "error": "NonRetryable: no"}]),
    (" = from stages where state = 'skipped' select stage, reason", [{"stage": "after", "reason": "upstream_failed"}]),
    (" = from stages where row_count is null | agg c = _.count", [{"c": 3}]),
    (" = from stages | select flow, run_id, run_state | dedup", [{"flow": "F", "run_id": "r1", "run_state": "failed"}]),
]


@pytest.mark.parametrize(("query", "answer"), ANSWERS, ids=[query for query, _ in ANSWERS])
def test_a_run_answers_over_all_kinds_of_stages(make_program: Callable[..., Program], query: str, answer: Any) -> None:
    program = make_program(FLOW.format(query=query), ACTIVITIES)

    async def ask() -> object:
        handle = await program.start("F", run_id="r1")
        await handle.result()
        return await handle.query("answer")

    found = asyncio.run(ask())
    if isinstance(found, pa.Table):
        assert found.to_pylist() == answer
    else:
        assert (found if isinstance(found, int) else str(found)) == answer


WAITS = """
flow Waits = {
  query since(moment: timestamp) = from stages where started_at > moment | order by stage | select stage
  query waits = running_stages()
  query half(n: int, per: decimal[4,1] = 2.0) = n / per
  stage first = from [[1]] as t(n)
  stage hold depends on first = wait('10 days')
}
"""


def test_a_run_answers_while_it_goes_on(make_program: Callable[..., Program]) -> None:
    program = make_program(WAITS)

    async def ask() -> list[object]:
        held = asyncio.Event()
        handle = await program.start(
            "Waits", watch=lambda progress: held.set() if "waiting" in {one.phase for one in progress.stages} else None
        )
        await held.wait()
        found = [
            await handle.query("waits"),
            (await handle.query("since", moment=datetime(2020, 1, 1))).to_pydict(),  # noqa: DTZ001 -- as the language's
            await handle.query("half", n=3),
            await handle.query("half", n=3, per=Decimal("0.5")),
        ]
        for name, args, message in WRONG:
            with pytest.raises(UserError, match=message):
                await handle.query(name, **args)
        assert (await handle.cancel()).state == "cancelled"
        return [*found, await handle.query("waits")]

    assert asyncio.run(ask()) == [["hold"], {"stage": ["first", "hold"]}, 1.5, 6.0, []]


TOLD = """
flow Told(most: double = 100.0) = {
  state spent: double = 0.0
  state note: string = 'none'
  signal spend(amount: double, why: string = null) = set_spent(spent + amount), set_note(why)
  query left = most - spent
  query given(spent: int) = from state | select spent as own, note, paused
  query stands = from state
  query told = from signals order by received_at | select
    signal, a = arguments['amount']::double, why = arguments['why']
  stage hold = wait until spent >= 50.0
}
"""


def test_a_run_answers_with_what_it_was_told(make_program: Callable[..., Program]) -> None:
    program = make_program(TOLD)

    async def ask() -> list[Any]:
        handle = await program.start("Told")
        before = [await handle.query("left"), (await handle.query("told")).num_rows]
        await handle.signal("spend", amount=20, why="ink")
        await handle.signal("spend", amount=30)
        await handle.result()
        tables = [await handle.query("stands"), await handle.query("given", spent=7), await handle.query("told")]
        return [*before, await handle.query("left"), *[table.to_pylist() for table in tables]]

    assert asyncio.run(ask()) == [
        100.0,
        0,
        50.0,
        [{"paused": False, "spent": 50.0, "note": None}],
        [{"own": 7, "note": None, "paused": False}],
        [{"signal": "spend", "a": 20.0, "why": '"ink"'}, {"signal": "spend", "a": 30.0, "why": "null"}],
    ]


WRONG: list[tuple[str, dict[str, object], str]] = [
    ("half", {}, "query half needs the parameter `n`"),
    ("half", {"n": "x"}, "the parameter `n` must be int, not 'x'"),
    ("half", {"m": 1}, "query half has no parameter `m`"),
    ("halve", {}, "flow Waits has no query `halve`"),
]


@pytest.mark.parametrize("query", ["= 'x'::int", "= (from orders select n // 0)", "= from orders select 'x'::int as n"])
def test_a_query_without_an_answer_says_why(make_program: Callable[..., Program], query: str) -> None:
    program = make_program(FLOW.format(query=query), ACTIVITIES)

    async def ask() -> None:
        handle = await program.start("F")
        await handle.result()
        with pytest.raises(WvflowError, match="query `answer` has no answer"):
            await handle.query("answer")

    asyncio.run(ask())
