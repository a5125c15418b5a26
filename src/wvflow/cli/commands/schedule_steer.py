"""``wvflow schedule pause | resume | trigger``."""

from __future__ import annotations

import click

from wvflow.cli.app import App
from wvflow.cli.commands.options import at_option, pairs
from wvflow.cli.completion import complete_flow
from wvflow.cli.root import Command
from wvflow.cli.timetables import timetable


@click.command(cls=Command)
@click.argument("flow", shell_complete=complete_flow)
@click.option("--note", default="", metavar="TEXT", help="Why, for whoever looks at the list.")
@click.pass_obj
def pause(app: App, flow: str, note: str) -> None:
    """Let no time of FLOW's schedule start a run, until it is resumed. Each is recorded as skipped."""
    with timetable(app, may_have_mistakes=True) as (_, table):
        table.pause(flow, note)
    _done(app, flow, paused=True, note=note, text=f"the schedule of {flow} is paused")


@click.command(cls=Command)
@click.argument("flow", shell_complete=complete_flow)
@click.pass_obj
def resume(app: App, flow: str) -> None:
    """Let FLOW's schedule start runs again, from its next time on."""
    with timetable(app) as (_, table):
        was_paused = table.resume(flow)
    text = f"the schedule of {flow} goes on" if was_paused else f"the schedule of {flow} was not paused"
    _done(app, flow, paused=False, note="", text=text)


def _done(app: App, flow: str, *, paused: bool, note: str, text: str) -> None:
    if app.json:
        app.print_json({"flow": flow, "paused": paused, "note": note or None})
    else:
        app.say(text)


@click.command(cls=Command)
@click.argument("flow", shell_complete=complete_flow)
@click.option("-p", "--param", "params", multiple=True, callback=pairs, metavar="NAME=VALUE", help="A parameter.")
@at_option
@click.option("--run-id", metavar="ID", help="The new run's id. Default: a random one.")
@click.pass_obj
def trigger(app: App, flow: str, params: dict[str, str], at: str | None, run_id: str | None) -> None:
    """Have a run of FLOW begin now, besides its schedule, also while that is paused; `wvflow serve` drives it.

    Its parameters are those of the schedule's first entry, but for those given. JSON: the run's summary.
    """
    from wvflow.cli.ordered import report

    with timetable(app) as (runs, table):
        report(app, runs.project, table.trigger(flow, params, at, run_id), runs.is_served())
