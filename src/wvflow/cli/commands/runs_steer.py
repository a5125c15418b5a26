"""``wvflow runs cancel | terminate | resume``."""

from __future__ import annotations

from contextlib import closing

import click

from wvflow.cli.app import App, prints_apart
from wvflow.cli.commands.runs_talk import report
from wvflow.cli.completion import complete_run
from wvflow.cli.root import Command


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.pass_obj
def cancel(app: App, run: str) -> None:
    """Ask a run to stop, and wait until it has. Running work is told and gets a moment to end."""
    _end(app, run, terminate=False)


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.pass_obj
def terminate(app: App, run: str) -> None:
    """End a run at once. Nothing more of it runs."""
    _end(app, run, terminate=True)


def _end(app: App, run: str, *, terminate: bool) -> None:
    import asyncio

    with closing(app.runs()) as runs, prints_apart():
        summary = asyncio.run(runs.cancel(run, terminate=terminate))
    if app.json:
        app.print_json(summary)
        return
    from wvflow.cli.summary import headline

    app.show(headline(summary))
    if summary.upstream and summary.started_at is None:
        after = ", ".join(f"run {one.run_id} of {one.flow}" for one in summary.upstream)
        app.say(f"it counts as the run after {after}; another one after the same: wvflow runs retry {summary.run_id}")


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.pass_obj
def resume(app: App, run: str) -> None:
    """Carry on a run that is paused, was interrupted or ended badly, from its first task that isn't done.

    Exit status: as of `wvflow run`.
    """
    from wvflow.cli.driving import drive

    with closing(app.runs()) as runs:
        row = runs.find(run)
        if (told := runs.unpause(row.run_id)) is not None:
            report(app, told, f"run {row.run_id} goes on")
            return
        known = runs.progress(row)
        drive(app, runs.project, runs.plan(row), lambda watch: runs.resume(row.run_id, watch=watch), known)
