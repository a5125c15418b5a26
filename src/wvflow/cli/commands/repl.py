"""``wvflow repl``."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click

from wvflow.cli.app import App
from wvflow.cli.root import Command


@click.command(cls=Command)
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@click.pass_obj
def repl(app: App, folder: Path | None) -> None:
    """Type queries and see their rows.

    A text runs when it ends with `;` or an empty line. Tables that are saved go to the warehouse of the project of
    FOLDER, default: the working directory. Ctrl-C stops a query, Ctrl-D ends the session. What comes from a pipe is run
    as a file would be.
    """
    from wvflow.service.shell import Shell

    project = app.project(folder)
    with closing(Shell(project)) as shell:
        if not sys.stdin.isatty():
            from wvflow.cli.shell import run_text

            raise SystemExit(run_text(app, shell, sys.stdin.read()))
        from wvflow.cli.prompt import prompt_loop

        prompt_loop(app, shell)
