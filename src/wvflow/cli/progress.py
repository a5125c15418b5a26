"""A run as it goes: a table that lives on a terminal, a line per change elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import click
import msgspec

from wvflow.cli.format import count, duration, instances, iterations, one_line, plural
from wvflow.kernel.calls import UNCALLED
from wvflow.kernel.events import NOTHING_TO_UNDO
from wvflow.kernel.state import Phase
from wvflow.plan.nodes import FlowPlan
from wvflow.ports.rows import StageRow

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wvflow.cli.app import App
    from wvflow.service.runs import Progress

REFRESH_PER_S = 8
_ACTIVE = ("attempting", "retrying", "waiting", "queued")
_ORDER = (*_ACTIVE, "failed", "cancelled", "success", "skipped")


class Display(Protocol):
    """Someone who watches a run. ``run_id`` is empty until the run is known to be recorded."""

    run_id: str

    def __call__(self, progress: Progress) -> None: ...


def watching(app: App, plan: FlowPlan, known: Progress | None = None) -> AbstractContextManager[Display]:
    """The display that fits where stderr goes. ``known``: what is recorded already of a run that is carried on."""
    if app.quiet:
        return _plain(Silent())
    if app.err.is_terminal and not app.err.is_dumb_terminal:
        board = Board(plan)
        if known is not None:
            board(known)
        return _live(app, board)
    lines = Lines(plan)
    if known is not None:
        lines.remind(known)
    return _plain(lines)


@contextmanager
def _plain(display: Display) -> Iterator[Display]:
    yield display


@contextmanager
def _live(app: App, board: Board) -> Iterator[Display]:
    from rich.live import Live

    board.room = max(app.err.height - 6, 4)
    with Live(get_renderable=board.render, console=app.err, refresh_per_second=REFRESH_PER_S, transient=True) as live:
        yield board
        live.refresh()


def _recorded(progress: Progress) -> str:
    """The run's id, empty when its very start may be what is held."""
    return "" if progress.run.state == "held" else progress.run.run_id


class Silent:
    run_id = ""

    def __call__(self, progress: Progress) -> None:
        self.run_id = _recorded(progress) or self.run_id


class Lines:
    """One line per change."""

    def __init__(self, plan: FlowPlan) -> None:
        self.run_id = ""
        self._paused = False
        self._notes: dict[str, str] = {}
        self._width = max((len(stage.name) for stage in plan.stages), default=0)
        self._told: dict[str, tuple[int, set[tuple[str, int, int]]]] = {}

    def __call__(self, progress: Progress) -> None:
        if not self.run_id and _recorded(progress):
            self.run_id = progress.run.run_id
            self._say(f"run {self.run_id} of flow {progress.run.flow.flow}")
        for stage in progress.stages:
            self._change(stage)
        if self._paused != (is_paused := progress.run.state == "paused"):
            self._paused = is_paused
            how = f"paused; go on with: wvflow runs resume {progress.run.run_id}" if is_paused else "goes on"
            self._say(f"{'run':<{self._width}}  {how}")
        if progress.note and self._notes.get(progress.noted) != progress.note:
            self._notes[progress.noted] = progress.note
            self._say(f"{progress.noted or 'run':<{self._width}}  {progress.note}")

    def remind(self, known: Progress) -> None:
        """Tell of a run that is carried on what it waits for: nothing of that changes."""
        self._paused = known.run.state == "paused"
        waiting = tuple(stage for stage in known.stages if stage.phase == Phase.WAITING.value)
        if waiting:
            self(msgspec.structs.replace(known, stages=waiting))

    def _change(self, stage: StageRow) -> None:
        tenths = 0 if stage.instances is None else 10 * stage.instances.ended // max(stage.instances.count, 1)
        unsaid = stage.phase in ("pending", "queued") or stage.reason in (NOTHING_TO_UNDO, UNCALLED)
        if unsaid or self._is_told(stage, (stage.phase, stage.attempts, tenths)):
            return
        self._notes.pop(stage.stage, None)
        self._say(f"{stage.stage:<{self._width}}  {_in_words(stage)}".rstrip())

    def _is_told(self, stage: StageRow, now: tuple[str, int, int]) -> bool:
        """Whether that was the last; in a loop, whether that was told since the iteration that was told of last."""
        few = _few(stage.iteration or 0)
        before, seen = self._told.get(stage.stage, (few, set()))
        if before == few and now in seen:
            return True
        self._told[stage.stage] = few, ({now} if before != few or not few else {now, *seen})
        return False

    @staticmethod
    def _say(line: str) -> None:
        click.echo(line, err=True)


def _few(iteration: int) -> int:
    """A number that changes seldom: of a long loop not every iteration is told.

    >>> [_few(number) for number in (7, 17, 345_678)]
    [7, 10, 300000]
    """
    scale: int = 10 ** (len(str(iteration)) - 1)
    return iteration // scale * scale


def _again(stage: StageRow) -> str:
    return f", attempt {stage.attempts}" if stage.attempts > 1 else ""


def _in_words(stage: StageRow) -> str:
    match stage.phase:
        case "attempting" if stage.instances is not None:
            return f"instances {instances(stage.instances)}"
        case "attempting" if stage.iteration:
            return f"{iterations(stage.iteration, stage.phase)}{_again(stage)}"
        case "attempting":
            return f"attempt {stage.attempts}" if stage.attempts > 1 else "started"
        case "waiting":
            return _waits(stage)
        case "retrying":
            return f"attempt {stage.attempts} failed, will retry: {_error(stage)}"
        case "failed":
            return f"failed: {_error(stage)}"
        case "skipped":
            return f"skipped ({stage.reason})"
        case _ if stage.reused:
            return f"reused from run {stage.reused}"
        case _:
            rows = f", {plural(stage.rows, 'row')}" if stage.rows is not None else ""
            return f"{stage.phase}{rows}{f' in {spent}' if (spent := _spent(stage)) else ''}"


def _waits(stage: StageRow) -> str:
    from wvflow.cli.states import waits

    return f"waiting: {waits(stage.awaited, stage.due)}"


def _error(stage: StageRow) -> str:
    error = stage.error or {}
    return one_line(f"{error.get('kind', '')}: {error.get('message', '')}")


def _spent(stage: StageRow, now: float | None = None) -> str:
    """How long the stage took, or has taken until ``now`` (milliseconds since the epoch)."""
    end = stage.finished_at if stage.finished_at is not None else now
    return "" if stage.started_at is None or end is None else duration(max(end - stage.started_at, 0))


class Board:
    """The live table. Of a flow with more stages than ``room`` lines, those under way come first."""

    def __init__(self, plan: FlowPlan) -> None:
        self.run_id = ""
        self.room = 20
        self._flow = plan.flow
        self._order: dict[int, int] = {index: place for place, index in enumerate(plan.declared)}
        self._rows = {
            index: StageRow(index=index, stage=stage.name, state="pending", phase="pending")
            for index, stage in enumerate(plan.stages)
            if stage.hook is None
        }
        self._undoing = frozenset(plan.compensations.values())
        # Of thousands of stages only those in sight may cost anything, several times a second.
        self._by_phase: dict[str, dict[int, StageRow]] = {"pending": dict(self._rows)}
        self._notes: dict[str, str] = {}
        self._started: float | None = None
        self._paused = False

    def __call__(self, progress: Progress) -> None:
        self.run_id = _recorded(progress) or self.run_id
        self._started = progress.run.started_at
        self._paused = progress.run.state == "paused"
        for stage in progress.stages:
            if stage.index not in self._rows and not self._takes_up(stage):
                continue
            self._by_phase[self._rows[stage.index].phase].pop(stage.index)
            self._by_phase.setdefault(stage.phase, {})[stage.index] = stage
            self._rows[stage.index] = stage
            self._notes.pop(stage.stage, None)
        self._notes.pop("", None)
        if progress.note:
            self._notes[progress.noted] = progress.note

    def _takes_up(self, stage: StageRow) -> bool:
        """Show what undoes a stage once it begins; hooks are not shown."""
        if stage.index not in self._undoing or stage.phase in ("pending", "skipped"):
            return False
        self._order[stage.index] = len(self._order)
        self._rows[stage.index] = stage
        self._by_phase.setdefault(stage.phase, {})[stage.index] = stage
        return True

    def render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table

        now = time.time() * 1_000
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
        table.add_column("stage", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for name in ("attempt", "rows", "time"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
        shown = self._shown()
        for row in shown:
            table.add_row(*self._cells(row, now))
        return Group(self._title(now), table, *self._rest(len(shown)))

    def _cells(self, row: StageRow, now: float) -> tuple[RenderableType, ...]:
        from wvflow.cli.states import state_text

        attempts = str(row.attempts) if row.attempts else ""
        rows = count(row.rows) if row.rows is not None else ""
        return row.stage, state_text(row.phase), attempts, rows, _spent(row, now), self._remark(row)

    def _remark(self, row: StageRow) -> str:
        if note := self._notes.get(row.stage):
            return one_line(note)
        return "  ".join(filter(None, ("late" * (row.late is not None), self._doing(row))))

    @staticmethod
    def _doing(row: StageRow) -> str:
        if row.reused:
            return f"reused from run {row.reused}"
        if row.awaited:
            return _waits(row).removeprefix("waiting: ")
        if row.error and row.phase != Phase.SUCCESS.value:
            return _error(row)
        return iterations(row.iteration, row.phase) if row.instances is None else instances(row.instances)

    def _title(self, now: float) -> RenderableType:
        from rich.text import Text

        done = sum(len(rows) for phase, rows in self._by_phase.items() if Phase(phase).is_terminal)
        spent = duration(max(now - self._started, 0)) if self._started is not None else ""
        text = Text.assemble(
            (self._flow, "bold"), (f"  {self.run_id}  {done}/{len(self._rows)} stages  {spent}", "dim")
        )
        if note := self._notes.get("") or "paused" * self._paused:
            text.append(f"  {one_line(note)}", style="yellow")
        return text

    def _shown(self) -> list[StageRow]:
        if len(self._rows) <= self.room:
            return sorted(self._rows.values(), key=lambda row: self._order[row.index])
        by_interest = dict.fromkeys((*_ORDER, *self._by_phase))
        rows = (row for phase in by_interest for row in self._by_phase.get(phase, {}).values())
        return list(islice(rows, self.room))

    def _rest(self, shown: int) -> Iterator[RenderableType]:
        from rich.text import Text

        if hidden := len(self._rows) - shown:
            yield Text(f"… and {hidden:,} more stages", style="dim")
