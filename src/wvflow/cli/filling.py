"""How backfills look: the windows to come, a bar while they run, what became of them, the list of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from wvflow.cli.format import instant, one_line, plural, printable
from wvflow.cli.states import state_text

if TYPE_CHECKING:
    from wvflow.cli.app import App
    from wvflow.kernel.events import EpochMs
    from wvflow.service.backfills import Filled, Filling, Watch
    from wvflow.service.project import Project

MOST = 20
"""Windows of a preview that are shown before only their number is told."""


def as_json(found: Filling) -> dict[str, Any]:
    """A backfill for programs."""
    row = found.row
    return {
        "backfill": None if row is None else row.id,
        "flow": found.flow.flow,
        "version": found.flow.version,
        "from": _utc(found.when.begin),
        "to": _utc(found.when.end),
        "done": found.done,
        "windows": [_window_json(one) for one in found.windows],
    }


def _window_json(one: Filled) -> dict[str, Any]:
    since, until = one.window.window
    return {
        "run_time": _utc(one.window.run_time),
        "window_start": _utc(since),
        "window_end": _utc(until),
        "params": one.window.params,
        "state": one.state or None,
        "run_id": one.run or None,
        "earlier_run": one.earlier or None,
        "error": one.error or None,
    }


def preview(found: Filling) -> Table:
    """The windows that there would be."""
    table = _table("run time", "window", "params", "")
    shown = found.windows if len(found.windows) <= MOST else found.windows[: MOST - 1]
    for one in shown:
        params = ", ".join(f"{name} = {value}" for name, value in one.window.params.items())
        earlier = f"done before by run {one.earlier}" if one.earlier else f"{one.state}{_why(one)}"
        table.add_row(_local(found, one.window.run_time), _window(found, one), printable(params), earlier)
    if hidden := len(found.windows) - len(shown):
        table.add_row(f"… and {plural(hidden, 'more window')}", f"the last {_window(found, found.windows[-1])}", "", "")
    return table


def watching(app: App, found: Filling) -> AbstractContextManager[Watch | None]:
    """What tells how far it has come: a bar on a terminal, elsewhere a line for each window that ends."""
    if app.quiet:
        return nullcontext()
    if app.err.is_terminal and not app.err.is_dumb_terminal:
        return _bar(app, found)
    return nullcontext(_Lines(found))


class _Lines:
    def __init__(self, found: Filling) -> None:
        self._seen = {one.window.number: one for one in found.windows}

    def __call__(self, now: Filling) -> None:
        for one in now.windows:
            if one.has_ended and self._seen.get(one.window.number) != one:
                run = f"  run {one.run}" if one.run else ""
                click.echo(f"{_local(now, one.window.run_time)}  {one.state}{_why(one)}{run}", err=True)
            self._seen[one.window.number] = one


@contextmanager
def _bar(app: App, found: Filling) -> Iterator[Watch]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=app.err, transient=True) as bar:
        task = bar.add_task(found.flow.flow, total=len(found.windows), completed=found.done)

        def tell(now: Filling) -> None:
            under_way = [one for one in now.windows if one.state and not one.has_ended]
            at = ", ".join(_local(now, one.window.run_time) for one in under_way[:3])
            bar.update(task, completed=now.done, description=f"{now.flow.flow}  {at}".rstrip())

        yield tell


def report(app: App, project: Project, found: Filling) -> None:
    """What has become of it."""
    if app.json:
        app.print_json(as_json(found))
        return
    assert found.row is not None
    todo = len(found.windows) - found.done
    skipped = found.skipped
    text = state_text("success" if not todo else "failed" if found.failed or not skipped else "skipped")
    done = f"{found.done:,} of {plural(len(found.windows), 'window')} done"
    done += f", {len(skipped):,} skipped" if skipped else ""
    app.show(text.append_text(Text.assemble("  ", (found.flow.flow, "bold"), f"  {done}  backfill {found.row.id}")))
    if (failed := found.failed) is not None:
        what = f"run {failed.run} {failed.state}" if failed.run else "its run could not begin"
        app.show(Text(f"the window of {_local(found, failed.window.run_time)}: {what}{_why(failed)}"))
        if failed.run:
            app.say(f"why: {app.typed(project, 'runs', 'show', failed.run)}")
    if skipped:
        first = skipped[0]
        app.show(Text(f"the window of {_local(found, first.window.run_time)} was skipped{_why(first)}"))
        app.say("backfill the flows that it comes after")
    if todo:
        app.say("the same command carries the backfill on")


def listed(found: Sequence[Filling]) -> Table:
    """All backfills, a line each."""
    table = _table("backfill", "flow", "from", "to", "done", "")
    for one in found:
        failed = "" if one.failed is None else f"stopped at {_local(one, one.failed.window.run_time)}{_why(one.failed)}"
        done = f"{one.done:,} of {len(one.windows):,}"
        begin, end = (_local(one, at) for at in one.when)
        table.add_row("" if one.row is None else one.row.id, one.flow.shown, begin, end, done, failed)
    return table


def _why(failed: Filled) -> str:
    return f": {one_line(failed.error, 200)}" if failed.error else ""


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _window(found: Filling, one: Filled) -> str:
    since, until = one.window.window
    return f"{_local(found, since)} → {_local(found, until)}"


def _local(found: Filling, at: EpochMs) -> str:
    day, time, *offset = instant(at, found.timezone).split()
    return " ".join((day, time.removesuffix(":00"), *offset))


def _utc(at: EpochMs) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).isoformat().replace("+00:00", "Z")
