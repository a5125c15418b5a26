"""Driving a run in the foreground: progress while it goes, and an interrupt that leaves it resumable."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, TypeVar

import click

from wvflow.cli.app import FAILED, INTERRUPTED, OK, App, prints_apart
from wvflow.cli.progress import Display, watching
from wvflow.drivers.progress import Progress
from wvflow.plan.nodes import FlowPlan
from wvflow.service.project import Project
from wvflow.service.summary import RunSummary

T = TypeVar("T")
Drive = Callable[[Display], Awaitable[RunSummary]]


def drive(app: App, project: Project, plan: FlowPlan, work: Drive, known: Progress | None = None) -> NoReturn:
    """Do the work under a display, present what came out, and end with its exit status. ``known``: a run that is
    recorded already, as it is."""
    with prints_apart(), watching(app, plan, known) as display:
        summary = to_end(lambda: work(display))
    if summary is None:
        interrupted(app, project, display.run_id or (known.run.run_id if known else ""))
    present(app, project, summary)
    raise SystemExit(OK if summary.succeeded else FAILED)


def to_end(work: Callable[[], Awaitable[T]]) -> T | None:
    """What the work returns, None when it was interrupted. Control-C and SIGTERM cancel it; it cleans up."""

    async def guarded() -> T:
        task = asyncio.current_task()
        if task is not None:
            with suppress(NotImplementedError):  # Windows has no handlers on the loop
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work()

    try:
        return asyncio.run(guarded())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return None


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM is Control-C meanwhile."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupted(app: App, project: Project, run_id: str) -> NoReturn:
    """Say how the run goes on, ``""`` where it had not begun, and end with the status of an interrupt."""
    if run_id:
        click.echo(f"\ninterrupted; carry on with: {app.typed(project, 'runs', 'resume', run_id)}", err=True)
    else:
        click.echo("\ninterrupted before the run began", err=True)
    raise SystemExit(INTERRUPTED)


def present(app: App, project: Project, summary: RunSummary) -> None:
    """The summary on stdout."""
    if app.json:
        app.print_json(summary)
        return
    from wvflow.cli.summary import print_summary

    print_summary(app, summary, project)
