"""What `wvflow serve` does for flows that come after others, and for those that are late."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wvflow.kernel.events import EpochMs
from wvflow.service.api import Program, load
from wvflow.service.runs import Runs
from wvflow.service.scheduler import Scheduler
from wvflow.service.serving import Notice, Server
from wvflow.service.wiring import Wiring

DIAMOND = """
flow D depends on B, C = { stage d = from B.b as b join C.c as c on true select b.n + c.n as n }
flow B depends on A = { stage b = from A.a select n * 10 as n }
flow C depends on A = { stage c = from A.a select n * 100 as n }
flow A(n: int = 1) = { stage a = select n as n }
"""
REPORT = """
flow A = { stage a = select 1 as n }
flow Report depends on A with { interval: 1h, deadline: 30m } = { stage r = from A.a }
"""
HOUR_MS = 3_600_000


class Later(Wiring):
    """The machine's clock, some time ahead."""

    def __init__(self, ahead_ms: int) -> None:
        class Clock:
            def now(self) -> EpochMs:
                return EpochMs(time.time_ns() // 1_000_000 + ahead_ms)

            def monotonic(self) -> float:
                return time.monotonic()

        self.clock = Clock()


Serve = Callable[..., list[str]]


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Program]:
    def make(text: str) -> Program:
        (tmp_path / "f.wv").write_text(text)
        return load(tmp_path / "f.wv")

    return make


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a program once, or until somebody says so, as many milliseconds from now; what was done."""
    opened: list[Runs] = []

    def serve(program: Program, ahead_ms: int = 0, until: Callable[[Notice], bool] | None = None) -> list[str]:
        opened.append(Runs(program.project, Later(ahead_ms)))
        notices: list[Notice] = []

        def hear(notice: Notice) -> None:
            notices.append(notice)
            if until is not None and until(notice):
                server.stop()

        server = Server(opened[-1], Scheduler(opened[-1]), hear)
        server.use(program.bundle)
        asyncio.run(server.serve(once=until is None))
        return [f"{one.event} {one.flow} {_plain(one.what)}".strip() for one in notices]

    yield serve
    for one in opened:
        one.close()


def _plain(detail: str) -> str:
    return re.sub(r"run [0-9a-z]{12}", "run …", detail)


def test_ends_of_runs_begin_others_until_all_have_ended(program: Callable[[str], Program], serve: Serve) -> None:
    diamond = program(DIAMOND)
    assert serve(diamond) == ["loaded  0"]
    diamond.run("A", {"n": 2}, run_id="a1")
    told = serve(diamond)
    assert told[0] == "loaded  0"
    assert sorted(told[1:3]) == ["ordered B after run a1 of A", "ordered C after run a1 of A"]
    assert sorted(one.partition(" after")[0] for one in told[3:]) == sorted(
        [f"{event} {flow}" for flow in "BCD" for event in ("began",)]
        + [f"ended {flow} success" for flow in "BCD"]
        + ["ordered D"]
    )
    with Reader(diamond) as runs:
        (end,) = runs.recent(flow="D")
        assert runs.output(end.run_id).read_all().to_pylist() == [{"n": 220}]
    assert serve(diamond) == ["loaded  0"]


def test_what_other_flows_start_is_left_to_them_and_named(program: Callable[[str], Program], serve: Serve) -> None:
    called = program(f"{DIAMOND}\nflow E = {{ stage e = call D() }}")
    assert serve(called) == ["loaded  0: without D"]


def test_a_schedule_decides_when_and_the_dependency_whether(program: Callable[[str], Program], serve: Serve) -> None:
    report = program(REPORT)
    serve(report)
    skipped = "decided Report skipped: there is no run of `A` that succeeded and that it has not used"
    now = time.time_ns() // 1_000_000
    to_next = HOUR_MS - now % HOUR_MS + 500
    assert serve(report, to_next) == ["loaded  1", skipped]
    report.run("A", run_id="a1")
    late = "late Report no run of it has begun in time"
    assert serve(report, to_next + HOUR_MS // 2) == ["loaded  1", late]
    told = serve(report, to_next + HOUR_MS)
    assert told[1:] == ["decided Report started", "began Report", "ended Report success"]
    with Reader(report) as runs:
        (row,) = runs.recent(flow="Report")
        assert [one.run_id for one in runs.summary(row.run_id).upstream] == ["a1"]
        assert row.run_time % HOUR_MS == 0
        fires = runs.agenda[0].fires(str(report.project.root), "Report")
        assert [one.late_at is not None for one in fires] == [False, True]
    assert serve(report, to_next + 2 * HOUR_MS) == ["loaded  1", skipped]


def test_times_that_are_decided_together_come_after_a_run_each(program: Callable[[str], Program], serve: Serve) -> None:
    report = program(REPORT.replace("interval: 1h", "interval: 1h, catchup: all"))
    serve(report)
    for run_id in ("a1", "a2"):
        report.run("A", run_id=run_id)
    to_next = HOUR_MS - time.time_ns() // 1_000_000 % HOUR_MS + 500
    told = [one for one in serve(report, to_next + 2 * HOUR_MS) if one.startswith("decided")]
    assert [one.split(": ")[0] for one in told] == [*["decided Report caught_up"] * 2, "decided Report skipped"]
    with Reader(report) as runs:
        rows = sorted(runs.recent(flow="Report"), key=lambda row: row.run_time)
        assert [runs.summary(row.run_id).upstream[0].run_id for row in rows] == ["a1", "a2"]


def test_what_nobody_was_there_to_begin_in_time_is_late(program: Callable[[str], Program], serve: Serve) -> None:
    report = program(REPORT.replace("depends on A ", "").replace("from A.a", "select 1 as n"))
    serve(report)
    now = time.time_ns() // 1_000_000
    to_last = HOUR_MS - now % HOUR_MS + 45 * 60_000
    told = serve(report, to_last)
    missed = "decided Report skipped: missed: nothing was there to start it in time"
    late = "late Report no run of it has begun in time"
    assert told == ["loaded  1", missed, late]


def test_a_run_that_takes_too_long_and_one_that_waits_too_long_for_its_turn_are_late(
    program: Callable[[str], Program], serve: Serve
) -> None:
    slow = program("flow Slow with { concurrency: 1, deadline: 1s } = { stage s = wait('1 day') }")
    with Reader(slow) as runs:
        for run_id in ("first", "second"):
            runs.order(slow.bundle, slow.flow("Slow").plan.ref, {}, run_id=run_id)
        late: set[str] = set()

        def both_are_late(one: Notice) -> bool:
            late.update([one.run_id] if one.event == "late" else [])
            return late == {"first", "second"}

        told = serve(slow, until=both_are_late)
        assert sorted(one for one in told if one.startswith("late")) == [
            "late Slow it has not begun within the flow's deadline of 1s from its run time",
            "late Slow not done within the flow's deadline of 1s from its run time",
        ]
        row = runs.find("second")
        assert (row.state, row.late is not None) == ("pending", True)


class Reader(Runs):
    """The runs of a program, to look at."""

    def __init__(self, program: Program) -> None:
        super().__init__(program.project)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
