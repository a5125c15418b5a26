"""The live table and its plain form, fed by hand."""

from collections.abc import Callable
from io import StringIO

import pytest
from msgspec import structs
from rich.console import Console

from wvflow.cli import progress
from wvflow.cli.app import App
from wvflow.cli.progress import Board, Lines, watching
from wvflow.kernel.events import EpochMs
from wvflow.lang.algebra import Single
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.refs import FlowRef, StageId
from wvflow.plan.tasks import QueryTask
from wvflow.ports.rows import InstanceCounts, RunRow, StageRow
from wvflow.service.runs import Progress

T0 = 1_000_000


def plan(*names: str) -> FlowPlan:
    stages = tuple(StagePlan(name, (QueryTask(Single()),)) for name in names)
    return FlowPlan("Sales", 1, (), stages, tuple(StageId(i) for i in range(len(names))))


def row(index: int, name: str, phase: str, **more: object) -> StageRow:
    return StageRow(index=index, stage=name, state="running", phase=phase, **more)  # type: ignore[arg-type]


def news(*stages: StageRow, note: str = "", noted: str = "") -> Progress:
    run = RunRow(
        run_id="r1",
        flow=FlowRef("Sales"),
        bundle="",
        state="running",
        run_time=EpochMs(T0),
        started_at=EpochMs(T0),
    )
    return Progress(run=run, stages=stages, note=note, noted=noted)


FAILURE = {"kind": "ConnectionError", "message": "503\nbody"}
STORY = [
    news(row(0, "load", "attempting", attempts=1, started_at=T0)),
    news(row(0, "load", "retrying", attempts=1, started_at=T0, error=FAILURE)),
    news(row(0, "load", "attempting", attempts=2, started_at=T0, error=FAILURE)),
    news(
        row(0, "load", "success", attempts=2, started_at=T0, finished_at=T0 + 1500, rows=1234),
        row(1, "save", "attempting", attempts=1, started_at=T0 + 1500),
    ),
    news(note="waits for the warehouse (process 7)", noted="save"),
]


@pytest.fixture(autouse=True)
def _frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.time, "time", lambda: (T0 + 2000) / 1000)


def test_the_board_shows_each_stage_with_attempts_rows_time_and_its_last_error(plain: Callable[..., str]) -> None:
    board = Board(plan("load", "save", "report"))
    for one in STORY[:3]:
        board(one)
    assert plain(board.render()) == (
        "Sales  r1  0/3 stages  2.0 s\n"
        "stage   state      attempt  rows   time\n"
        "load    ▸ running        2        2.0 s  ConnectionError: 503\n"
        "save    · pending\n"
        "report  · pending"
    )


def test_a_run_that_is_carried_on_begins_with_what_is_done(plain: Callable[..., str]) -> None:
    app, seen = App(), plan("load", "save")
    app.__dict__["err"] = Console(file=StringIO(), force_terminal=True, height=20)
    with watching(app, seen, STORY[3]) as board:
        assert isinstance(board, Board)
        assert plain(board.render()).startswith("Sales  r1  1/2 stages")


def test_a_note_stands_with_its_stage_until_that_changes(plain: Callable[..., str]) -> None:
    board = Board(plan("load", "save"))
    for one in STORY:
        board(one)
    assert plain(board.render()) == (
        "Sales  r1  1/2 stages  2.0 s\n"
        "stage  state      attempt   rows    time\n"
        "load   ✓ success        2  1,234   1.5 s\n"
        "save   ▸ running        1         500 ms  waits for the warehouse (process 7)"
    )
    board(news(row(1, "save", "success", attempts=1)))
    assert "warehouse" not in plain(board.render())


def instances(ended: int, failed: int = 0) -> StageRow:
    counts = InstanceCounts(count=500, ended=ended, failed=failed)
    return structs.replace(row(0, "load", "attempting", attempts=1), instances=counts)


def test_a_mapped_stage_tells_how_far_it_is(plain: Callable[..., str]) -> None:
    board = Board(plan("load"))
    board(news(instances(317, 2)))
    assert "317/500, 2 failed" in plain(board.render())


def test_lines_tell_each_tenth_of_a_mapped_stage(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(plan("load"))
    for ended in (0, 1, 49, 50, 51, 120):
        lines(news(instances(ended)))
    told = [line for line in capsys.readouterr().err.splitlines() if "instances" in line]
    assert told == ["load  instances 0/500", "load  instances 50/500", "load  instances 120/500"]


def test_a_note_is_told_once_until_its_stage_changes(capsys: pytest.CaptureFixture[str]) -> None:
    lines, waits = Lines(plan("load")), news(note="waits for run r0", noted="load")
    for one in (waits, waits, news(row(0, "load", "attempting", attempts=1)), waits, waits):
        lines(one)
    told = ["load  waits for run r0", "load  started", "load  waits for run r0"]
    assert capsys.readouterr().err.splitlines()[1:] == told


def test_a_pause_and_its_end_are_told_once(capsys: pytest.CaptureFixture[str], plain: Callable[..., str]) -> None:
    lines, board = Lines(plan("load")), Board(plan("load"))
    for state in ("running", "paused", "paused", "running", "success"):
        progress = news()
        progress = structs.replace(progress, run=structs.replace(progress.run, state=state))
        lines(progress)
        board(progress)
        assert ("  paused" in plain(board.render())) == (state == "paused")
    assert capsys.readouterr().err.splitlines() == [
        "run r1 of flow Sales",
        "run   paused; go on with: wvflow runs resume r1",
        "run   goes on",
    ]


def test_lines_tell_seldom_of_a_loop_that_waits_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(plan("load"))
    for iteration in range(1, 25):
        for phase in ("attempting", "waiting"):
            lines(news(structs.replace(row(0, "load", phase, attempts=1), iteration=iteration, awaited="wait(1s)")))
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("load")]
    assert [line for line in told if "iteration" in line] == [f"load  iteration {n}" for n in (*range(1, 11), 20)]
    assert len(told) == 22


def test_of_many_stages_those_under_way_are_shown(plain: Callable[..., str]) -> None:
    board = Board(plan(*(f"s{i}" for i in range(1000))))
    board.room = 5
    board(news(row(700, "s700", "attempting", attempts=1), row(3, "s3", "failed", attempts=1)))
    shown = plain(board.render())
    assert len(shown.splitlines()) == 8
    assert "s700" in shown
    assert "s3 " in shown
    assert "… and 995 more stages" in shown


def test_what_thousands_of_stages_that_are_done_cost_a_display_does_not_depend_on_how_many_they_are() -> None:
    def looked_at(many: int) -> int:
        seen = 0

        class Counted(StageRow, frozen=True):
            def __getattribute__(self, name: str) -> object:
                nonlocal seen
                seen += 1
                return super().__getattribute__(name)

        board = Board(plan(*(f"s{i}" for i in range(many))))
        done = [Counted(index=i, stage=f"s{i}", state="success", phase="success", attempts=1) for i in range(many)]
        board(news(*done))
        seen = 0
        board.render()
        return seen

    assert 0 < looked_at(2_000) == looked_at(200)


def test_lines_tell_each_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(plan("load", "save"))
    for one in [*STORY, STORY[3]]:
        lines(one)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "run r1 of flow Sales",
        "load  started",
        "load  attempt 1 failed, will retry: ConnectionError: 503",
        "load  attempt 2",
        "load  success, 1,234 rows in 1.5 s",
        "save  started",
        "save  waits for the warehouse (process 7)",
    ]
