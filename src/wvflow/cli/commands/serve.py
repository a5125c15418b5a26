"""``wvflow serve``."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click
import msgspec

from wvflow.cli.app import FAILED, OK, App, prints_apart, shown
from wvflow.cli.commands.options import Duration
from wvflow.cli.format import instant, one_line, plural, printable, some_of
from wvflow.cli.root import Command

if TYPE_CHECKING:
    from wvflow.cli.diagnostics import Naming
    from wvflow.service.project import Project
    from wvflow.service.runs import Runs
    from wvflow.service.serving import Notice, Server


@click.command(cls=Command)
@click.argument("folder", type=click.Path(exists=True, path_type=Path), default=".")
@click.option("--once", is_flag=True, help="Begin what is due, wait for its end, and return: for an external cron.")
@click.option("--no-scheduler", is_flag=True, help="Begin nothing by schedules: only what was ordered.")
@click.option("--grace", type=Duration(), default="10s", show_default=True, help="For work to end, when asked to stop.")
@click.pass_obj
def serve(app: App, folder: Path, once: bool, no_scheduler: bool, grace: int) -> None:
    """Begin and drive the runs of a project: those that schedules say, those that were ordered (`run --detach`), and
    those that dead processes left.

    Edited, added and removed .wv files count as soon as the program checks; runs keep the program that they began with.
    SIGTERM and Control-C end it: nothing new begins, what is at work has some time to end, and the rest goes on with
    the next one. A second Control-C doesn't wait. Any number of these may serve one project.

    JSON: an object a line for each thing that it does. Exit status: 0; with --once 1 when a run of it failed.
    """
    from wvflow.cli.programs import compiled
    from wvflow.service.planned import planned_program

    project, _, bundle = compiled(app, app.project(folder).root, planned_program)
    log = sys.stdout  # what the user's own code prints goes elsewhere
    with closing(app.runs(project)) as runs, prints_apart():
        server = _server(app, project, log, runs, once=once, by_schedules=not no_scheduler, grace_s=grace / 1_000)
        server.use(bundle)
        app.say(f"serves {shown(project.root)}; Control-C ends it")
        with suppress(asyncio.CancelledError, KeyboardInterrupt):
            asyncio.run(_serve(app, project, server, once=once))
    raise SystemExit(FAILED if once and server.failed else OK)


def _server(
    app: App, project: Project, log: TextIO, runs: Runs, *, once: bool, by_schedules: bool, grace_s: float
) -> Server:
    from wvflow.cli.programs import naming
    from wvflow.service.scheduler import ON_TIME_MS, ON_TIME_ONCE_MS, Scheduler
    from wvflow.service.serving import Server

    scheduler = Scheduler(runs, ON_TIME_ONCE_MS if once else ON_TIME_MS) if by_schedules else None
    names = naming(project.root)
    return Server(runs, scheduler, lambda notice: _print(app, names, log, notice), grace_s=grace_s)


async def _serve(app: App, project: Project, server: Server, *, once: bool) -> None:
    """Until a signal; a second one doesn't wait."""
    stop, asked = asyncio.Event(), 0
    task = asyncio.current_task()
    assert task is not None

    def ask() -> None:
        nonlocal asked
        asked += 1
        stop.set()
        server.stop()
        if asked == 1:
            app.say("stops: what is at work has some time to end")
        else:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows has no handlers on the loop
            asyncio.get_running_loop().add_signal_handler(number, ask)
    watcher = None if once else asyncio.create_task(_follow_files(project, server, stop))
    try:
        await server.serve(once=once)
    finally:
        stop.set()
        if watcher is not None:
            await watcher


async def _follow_files(project: Project, server: Server, stop: asyncio.Event) -> None:
    from wvflow.service.watching import changes

    async for changed in changes(project, stop):
        if changed.ignored:
            server.ignore(changed.ignored)
        elif changed.program is None:
            server.refuse(changed.refused)
        elif changed.program.bundle is None:
            server.refuse("it has mistakes", changed.program.diagnostics)
        else:
            server.use(changed.program.bundle, changed.program.diagnostics)


def _print(app: App, names: Naming, log: TextIO, notice: Notice) -> None:
    from wvflow.cli.diagnostics import report

    if not app.json and notice.diagnostics:
        report(app, notice.diagnostics, names)
    line = msgspec.json.encode(_as_json(notice, names)) if app.json else _line(notice)
    click.echo(line, file=log)
    log.flush()


def _as_json(notice: Notice, names: Naming) -> dict[str, Any]:
    from wvflow.cli.diagnostics import as_json
    from wvflow.service.summary import instant as iso

    return {
        "at": iso(notice.at),
        "event": notice.event,
        "flow": notice.flow or None,
        "run_id": notice.run_id or None,
        "fire_at": iso(notice.fire_at),
        "decision": notice.decision or None,
        "state": notice.state or None,
        "stage": notice.stage or None,
        "reason": notice.reason or None,
        "flows": notice.flows,
        "left_to_others": notice.left_to_others,
        "diagnostics": [as_json(one, names) for one in notice.diagnostics],
    }


def _line(notice: Notice) -> str:
    return f"{instant(notice.at)}  {_text(notice)}"


def _left(notice: Notice) -> str:
    """The flows whose runs others start, although they come after runs that end."""
    names = notice.left_to_others
    return f"; only the flows that call them start {some_of(names)}" if names else ""


def _text(notice: Notice) -> str:
    what, run = printable(one_line(notice.what, 200)), f"run {notice.run_id}"
    match notice.event:
        case "decided":
            became = f" as {run}" if notice.run_id else ""
            what = what.replace(notice.decision, notice.decision.replace("_", " "), 1)
            return f"{notice.flow}: {instant(notice.fire_at)} is due, {what}{became}"
        case "ordered":
            return f"{notice.flow}: {run} is to begin, {what}"
        case "late":
            about = instant(notice.fire_at) if notice.fire_at is not None else run
            return f"{notice.flow}: {about}{f', stage {notice.stage},' if notice.stage else ''} is late: {what}"
        case "began":
            return f"{notice.flow}: {run} began"
        case "took over":
            return f"{notice.flow}: {run} is taken over from a process that died"
        case "ended":
            return f"{notice.flow}: {run} ended, {what}"
        case "left":
            return f"{notice.flow}: {run} can't go on: {what}"
        case "held":
            return f"held: {what}; it is tried again"
        case "loaded":
            return f"the program is in force, with {plural(notice.flows or 0, 'scheduled flow')}{_left(notice)}"
        case "refused":
            return f"the program before stays in force: {what}"
        case "ignored":
            return what
