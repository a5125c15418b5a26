"""``wvflow init``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from wvflow.cli.app import App, shown
from wvflow.cli.root import Command


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@click.pass_obj
def init(app: App, folder: Path) -> None:
    """Make a small working project in DIR (default: here): a flow, an activity, data, a test.

    Nothing that exists is overwritten.
    """
    from wvflow.service.scaffold import write_project

    written = write_project(folder)
    if app.json:
        app.print_json([str(path) for path in written])
        return
    for path in written:
        click.echo(shown(path))
    into = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    app.say(f"\nrun it:  {into}wvflow run sales.wv\ntest it: {into}wvflow test")
