"""``wvflow runs signal | update | pause``."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from wvflow.cli.app import App
from wvflow.cli.commands.options import pairs
from wvflow.cli.completion import complete_run
from wvflow.cli.root import Command

if TYPE_CHECKING:
    from wvflow.service.messages import Told


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.argument("name")
@click.argument("args", nargs=-1, callback=pairs, metavar="[NAME=VALUE]...")
@click.pass_obj
def signal(app: App, run: str, name: str, args: dict[str, str]) -> None:
    """Send the signal NAME to a run, with the arguments that it takes. When this returns, the signal is recorded.

    Exit status: 0 recorded, 1 the run has ended, 2 the flow takes no such signal, or not with these arguments.
    """
    with closing(app.runs()) as runs:
        told = runs.signal(run, name, args, texts=True)
    report(app, told, f"signal {name} sent to run {told.run_id}")


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.argument("name")
@click.argument("args", nargs=-1, callback=pairs, metavar="[NAME=VALUE]...")
@click.pass_obj
def update(app: App, run: str, name: str, args: dict[str, str]) -> None:
    """Send the update NAME to a run, and wait until the process that drives it has accepted it, or not; and for the
    call that it may end with, whose result is shown.

    Exit status: 0 accepted, 1 refused, its call failed, or the run has ended, 2 the flow takes no such update, or not
    with these arguments.
    """
    from wvflow.cli.format import printable, value_text

    with closing(app.runs()) as runs:
        done = runs.update(run, name, args, texts=True, held=lambda run_id: _say_held(app, run_id))
    if app.json:
        app.print_json(done)
        return
    if done.called:
        app.show(f"run {done.run_id} answers {name}: {printable(value_text(done.result))}")
        return
    set_ = done.result if isinstance(done.result, dict) else {}
    shown = ", ".join(f"{variable} = {value_text(value)}" for variable, value in set_.items())
    app.show(f"run {done.run_id} accepts {name}: {printable(shown)}")


def _say_held(app: App, run_id: str) -> None:
    go_on = app.typed(app.project(), "runs", "resume", run_id)
    app.say(f"run {run_id} is paused, so what the update calls waits until somebody lets it go on: {go_on}")


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.pass_obj
def pause(app: App, run: str) -> None:
    """Let nothing new of a run begin, until it is resumed. What is under way goes on."""
    with closing(app.runs()) as runs:
        told = runs.pause(run)
    if app.json:
        app.print_json(told)
    elif told.driven:
        app.show(f"run {told.run_id} is paused; go on with: wvflow runs resume {told.run_id}")
    else:
        app.show(f"run {told.run_id} will be paused when `wvflow serve` drives it: no process does now")


def report(app: App, told: Told, what: str) -> None:
    """What was recorded, and that it waits where nobody drives the run."""
    if app.json:
        app.print_json(told)
    else:
        app.show(what)
    if not told.driven:
        app.say(f"no process drives the run: it hears of it when it is resumed, `wvflow runs resume {told.run_id}`")
