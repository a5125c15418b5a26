"""What failed runs did is undone (flow language, section 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wvflow.errors import NotPossible
from wvflow.service.api import RunResult
from wvflow.testing import Sandbox, after, dies

ACTIVITIES = """
from wvflow import activity

@activity
def reserve(rows: list[dict], *, what: str) -> list[dict]:
    return [{**row, what: f"{what} {row['id']}"} for row in rows]

@activity
def notify(rows: list[dict]) -> None:
    pass
""" + "".join(
    f"""
@activity
def reserve_{what}(rows: list[dict]) -> list[dict]:
    return [{{**row, "{what}": "{what} " + str(row["id"])}} for row in rows]

@activity
def cancel_{what}(rows: list[dict], *, why: str = "") -> None:
    pass
"""
    for what in ("flight", "hotel", "car")
)
BOOKING = """
flow BookingFlow with { timeout: 1d } = {
  stage book_flight with { compensate: cancel_flight timeout: 1h } = from request | reserve_flight()
  stage book_hotel with { compensate: cancel_hotel timeout: 1h } = from book_flight | reserve_hotel()
  stage book_car with { compensate: cancel_car timeout: 1h } = from book_hotel | reserve_car()
  stage request = from [[7]] as t(id)
}
"""
THINGS = ("flight", "hotel", "car")
FLIGHT = {"id": 7, "flight": "flight 7"}
HOTEL = {**FLIGHT, "hotel": "hotel 7"}
CAR = {**HOTEL, "car": "car 7"}
ROWS = {"request": {"id": 7}, "flight": FLIGHT, "hotel": HOTEL, "car": CAR}
Make = Callable[[str], Sandbox]


class Undone:
    """What each cancellation was called with, in the order of the calls."""

    def __init__(self, sandbox: Sandbox, *names: str) -> None:
        self.calls: list[tuple[str, Any]] = []
        for name in names:
            sandbox.fake(name, self._called(name))

    def _called(self, name: str) -> Callable[..., None]:
        def call(rows: list[dict[str, Any]], *, why: str = "") -> None:
            self.calls.append((name.removeprefix("cancel_"), rows))

        return call


def compensations(result: RunResult) -> dict[str, str | None]:
    return {one.stage: one.compensation for one in result.summary.stages if one.compensation}


ERROR = ValueError("none is left")
POINTS = [
    # where it breaks, how, when it is cancelled, how the run ends, what is undone with which rows
    ("flight", ERROR, None, "failed", []),
    ("hotel", ERROR, None, "failed", ["flight with flight"]),
    ("car", ERROR, None, "failed", ["hotel with hotel", "flight with flight"]),
    ("flight", after("2h"), None, "failed", ["flight with request"]),
    ("hotel", after("2h"), None, "failed", ["hotel with flight", "flight with flight"]),
    ("car", after("2h"), None, "failed", ["car with hotel", "hotel with hotel", "flight with flight"]),
    ("flight", after("30m"), "10m", "cancelled", ["flight with request"]),
    ("hotel", after("30m"), "10m", "cancelled", ["hotel with flight", "flight with flight"]),
    ("car", after("30m"), "10m", "cancelled", ["car with hotel", "hotel with hotel", "flight with flight"]),
    ("", None, None, "success", []),
]


@pytest.mark.parametrize(("where", "how", "cancel_after", "state", "undone"), POINTS)
def test_a_booking_is_undone_wherever_it_breaks(
    make: Make, where: str, how: object, cancel_after: str | None, state: str, undone: list[str]
) -> None:
    sandbox = make(BOOKING)
    seen = Undone(sandbox, *[f"cancel_{what}" for what in THINGS])
    if where:
        sandbox.fake(f"reserve_{where}", how)
    result = sandbox.run("BookingFlow", cancel_after=cancel_after)
    wanted = [tuple(one.split(" with ")) for one in undone]
    assert result.state == state
    assert seen.calls == [(what, [ROWS[rows]]) for what, rows in wanted]
    assert compensations(result) == {f"book_{what}": "success" for what, _ in wanted}
    assert [one.stage for one in result.summary.compensations] == [f"compensate book_{what}" for what, _ in wanted]
    if wanted:
        with pytest.raises(NotPossible, match="can't go on: what it did has been undone") as refusal:
            sandbox.resume(result)
        assert refusal.value.help == f"begin another: `wvflow runs retry {result.run_id}`"


@pytest.mark.parametrize("stuck", THINGS[:2])
def test_a_compensation_that_fails_for_good_leaves_the_others_and_both_errors(make: Make, stuck: str) -> None:
    sandbox = make(BOOKING)
    seen = Undone(sandbox, *[f"cancel_{what}" for what in THINGS])
    sandbox.fake("reserve_car", ERROR)
    tries = sandbox.fake(f"cancel_{stuck}", RuntimeError("the line is dead"))
    result = sandbox.run("BookingFlow")
    other = next(one for one in THINGS[:2] if one != stuck)
    assert len(tries.calls) == 6
    assert [what for what, _ in seen.calls] == [other]
    assert compensations(result) == {f"book_{stuck}": "compensation_failed", f"book_{other}": "success"}
    assert (result.state, result.summary.error) == (
        "failed",
        f"ValueError: none is left; then `compensate book_{stuck}` failed: RuntimeError: the line is dead",
    )


def test_a_cancelled_run_that_can_not_be_undone_has_failed(make: Make) -> None:
    sandbox = make(BOOKING)
    sandbox.fake("reserve_hotel", after("30m"))
    sandbox.fake("cancel_flight", RuntimeError("the line is dead"))
    result = sandbox.run("BookingFlow", cancel_after="10m")
    assert result.state == "failed"
    assert compensations(result) == {"book_hotel": "success", "book_flight": "compensation_failed"}


def test_compensations_are_tried_again_whatever_becomes_of_their_worker(make: Make) -> None:
    sandbox = make(BOOKING)
    sandbox.fake("reserve_car", ERROR)
    flight = sandbox.fake("cancel_flight", OSError("busy"), OSError("busy"), None)
    hotel = sandbox.fake("cancel_hotel", dies(), None)
    result = sandbox.run("BookingFlow")
    assert (len(hotel.calls), len(flight.calls)) == (2, 3)
    assert [(one.stage, one.attempts) for one in result.summary.compensations] == [
        ("compensate book_hotel", 1),
        ("compensate book_flight", 3),
    ]


def test_what_is_being_undone_is_shielded_from_a_cancel_and_the_timeout_of_the_flow(make: Make) -> None:
    sandbox = make(BOOKING)
    sandbox.fake("reserve_hotel", ERROR)
    done = sandbox.fake("cancel_flight", after("3d"))
    result = sandbox.run("BookingFlow", cancel_after="1h")
    assert (result.state, len(done.calls)) == ("failed", 1)
    assert compensations(result) == {"book_flight": "success"}


def test_a_run_that_takes_too_long_is_undone(make: Make) -> None:
    sandbox = make(BOOKING.replace("timeout: 1h }", "}"))
    seen = Undone(sandbox, *[f"cancel_{what}" for what in THINGS])
    sandbox.fake("reserve_hotel", after("3d"))
    assert sandbox.run("BookingFlow").state == "timed_out"
    assert [what for what, _ in seen.calls] == ["hotel", "flight"]


def test_a_run_with_nothing_to_undo_goes_on(make: Make) -> None:
    sandbox = make(BOOKING)
    sandbox.fake("reserve_flight", ERROR, [FLIGHT])
    result = sandbox.resume(sandbox.run("BookingFlow"))
    assert (result.state, compensations(result)) == ("success", {})


def test_branches_are_undone_in_the_order_of_their_ends_and_alerts_run_before(make: Make) -> None:
    sandbox = make("""
flow F = {
  stage request = from [[7]] as t(id)
  stage book_flight with { compensate: cancel_flight } = from request | reserve_flight()
  stage book_hotel with { compensate: cancel_hotel } = from request | reserve_hotel()
  stage book_car with { compensate: cancel_car } = from book_flight | reserve_car()
  stage alert if book_car.failed = from request | notify()
}
""")
    order = list[str]()
    seen = Undone(sandbox, "cancel_flight", "cancel_hotel", "cancel_car")
    seen.calls = order  # type: ignore[assignment]
    sandbox.fake("reserve_flight", after("2m", [FLIGHT]))
    sandbox.fake("reserve_hotel", after("5m", [{"id": 7}]))
    sandbox.fake("reserve_car", after("10m", ERROR))
    told = sandbox.fake("notify", after("1h"))
    result = sandbox.run("F")
    assert [one[0] for one in order] == ["hotel", "flight"]
    assert len(told.calls) == 1
    stages = result.stages
    ended = {one.stage: one.started_at for one in result.summary.compensations}
    assert str(stages["alert"].finished_at) <= str(ended["compensate book_hotel"])


def test_a_failure_that_is_handled_undoes_nothing(make: Make) -> None:
    sandbox = make("""
flow F = {
  stage request = from [[7]] as t(id)
  stage book_flight with { compensate: cancel_flight } = from request | reserve_flight()
  stage book_hotel with { compensate: cancel_hotel, on_failure: book_car } = from book_flight | reserve_hotel()
  stage book_car with { compensate: cancel_car } = from book_flight | reserve_car()
  stage whole with { trigger: none_failed } = from book_hotel, book_car | notify()
}
""")
    seen = Undone(sandbox, "cancel_flight", "cancel_hotel", "cancel_car")
    sandbox.fake("reserve_hotel", ERROR)
    result = sandbox.run("F")
    assert (result.state, seen.calls, compensations(result)) == ("success", [], {})


def test_what_may_have_been_done_is_undone_before_its_fallback_begins(make: Make) -> None:
    sandbox = make("""
flow F = {
  stage request = from [[7]] as t(id)
  stage book_hotel with { compensate: cancel_hotel, on_failure: book_car, timeout: 1h } = from request | reserve_hotel()
  stage book_car = from request | reserve_car()
  stage whole = from book_hotel, book_car
}
""")
    calls = list[str]()
    sandbox.fake("reserve_hotel", after("2h"))
    sandbox.fake("cancel_hotel", lambda rows, *, why="": calls.append("cancel_hotel"))
    sandbox.fake("reserve_car", lambda rows: calls.append("reserve_car"))
    result = sandbox.run("F")
    assert (result.state, calls) == ("success", ["cancel_hotel", "reserve_car"])
    assert compensations(result) == {"book_hotel": "success"}


@pytest.mark.parametrize(("on", "undone"), [("", []), ("compensate_on: attempt", ["hotel"])])
def test_an_attempt_that_returned_an_error_counts_where_it_is_said(make: Make, on: str, undone: list[str]) -> None:
    sandbox = make(f"""
flow F = {{
  stage request = from [[7]] as t(id)
  stage book_hotel with {{ compensate: cancel_hotel {on} }} = from request | reserve_hotel()
}}
""")
    seen = Undone(sandbox, "cancel_hotel")
    sandbox.fake("reserve_hotel", ERROR)
    assert sandbox.run("F").state == "failed"
    assert seen.calls == [(what, [{"id": 7}]) for what in undone]


def test_a_stage_with_one_of_two_effects_done_is_undone_with_the_rows_so_far(make: Make) -> None:
    sandbox = make("""
flow F = {
  stage request = from [[7]] as t(id)
  stage book with { compensate: cancel_car(why: 'late') } = from request | reserve_flight() | reserve_hotel()
}
""")
    sandbox.fake("reserve_hotel", ERROR)
    cancelled = sandbox.fake("cancel_car", None)
    sandbox.run("F")
    assert [(call.rows.to_pylist(), call.arguments) for call in cancelled.calls] == [([FLIGHT], {"why": "late"})]


def test_each_instance_is_undone_with_its_own_rows_the_newest_first(make: Make) -> None:
    sandbox = make("""
flow F = {
  stage requests = from [[1], [2], [3]] as t(id)
  stage book_hotel with { map: each, max_parallel: 1, compensate: cancel_hotel } = from requests | reserve_hotel()
  stage book_car = from book_hotel | reserve_car()
}
""")
    seen = Undone(sandbox, "cancel_hotel")
    sandbox.fake("reserve_car", ERROR)
    result = sandbox.run("F")
    assert seen.calls == [("hotel", [{"id": number, "hotel": f"hotel {number}"}]) for number in (3, 2, 1)]
    assert compensations(result) == {"book_hotel": "success"}


def test_of_a_mapped_stage_the_instances_are_undone_that_did_something(make: Make) -> None:
    sandbox = make("""
flow F = {
  stage requests = from [[1], [2], [3]] as t(id)
  stage book_hotel with { map: each, max_parallel: 1, timeout: 1h, compensate: cancel_hotel } =
    from requests | reserve_hotel()
}
""")
    seen = Undone(sandbox, "cancel_hotel")
    sandbox.fake("reserve_hotel", [{"id": 1, "hotel": "x"}], ERROR, after("2h"))
    result = sandbox.run("F")
    assert seen.calls == [("hotel", [{"id": 3}]), ("hotel", [{"id": 1, "hotel": "x"}])]
    counts = result.summary.compensations[0].instances
    assert counts is not None
    assert (counts.count, counts.ended, counts.failed) == (3, 3, 0)


def test_a_stage_of_the_flow_undoes_others_and_runs_only_then(make: Make) -> None:
    text = """
flow F = {
  stage request = from [[7]] as t(id)
  stage fees = from [[7, 30]] as t(id, fee)
  stage book_flight with { compensate: undo } = from request | reserve_flight()
  stage undo with { retries: 1 } =
    from _ as b | join fees on b.id = fees.id | select flight, fee | cancel_flight()
  stage book_car with { compensate: undo } = from book_flight | reserve_car()
  stage end_ = from book_car | reserve_hotel()
}
"""
    sandbox = make(text)
    undone = sandbox.fake("cancel_flight", None)
    assert sandbox.run("F").state == "success"
    assert undone.calls == []
    sandbox.fake("reserve_hotel", ERROR)
    result = sandbox.run("F")
    assert [call.rows.to_pylist() for call in undone.calls] == [[{"flight": "flight 7", "fee": 30}]] * 2
    assert [one.stage for one in result.summary.stages] == ["request", "fees", "book_flight", "book_car", "end_"]
    assert compensations(result) == {"book_flight": "success", "book_car": "success"}


def test_a_flow_undoes_a_stage(make: Make) -> None:
    sandbox = make("""
flow Undo(why: string) = {
  stage undo = from _ | cancel_flight(why: why)
}
flow F = {
  stage request = from [[7]] as t(id)
  stage book_flight with { compensate: Undo(why: 'late') } = from request | reserve_flight()
  stage book_car = from book_flight | reserve_car()
}
""")
    sandbox.fake("reserve_car", ERROR)
    undone = sandbox.fake("cancel_flight", None)
    result = sandbox.run("F")
    assert [(call.rows.to_pylist(), call.arguments) for call in undone.calls] == [([FLIGHT], {"why": "late"})]
    assert [one.state for one in result.summary.children] == ["success"]


def test_a_partial_query_undoes_a_stage(make: Make) -> None:
    sandbox = make("""
def undo(why) = select id | cancel_flight(why: why)
flow F = {
  stage request = from [[7]] as t(id)
  stage book_flight with { compensate: undo('late') } = from request | reserve_flight()
  stage book_car = from book_flight | reserve_car()
}
""")
    sandbox.fake("reserve_car", ERROR)
    undone = sandbox.fake("cancel_flight", None)
    sandbox.run("F")
    assert [(call.rows.to_pylist(), call.arguments) for call in undone.calls] == [([{"id": 7}], {"why": "late"})]
