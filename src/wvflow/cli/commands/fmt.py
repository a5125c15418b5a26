"""``wvflow fmt``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wvflow.cli.app import FAILED, App, shown
from wvflow.cli.format import plural
from wvflow.cli.root import Command

if TYPE_CHECKING:
    from wvflow.service.formatting import Formatted

_STDIN = Path("-")
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command(cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; tell which files would change, with status 1 if any.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.pass_obj
def fmt(app: App, paths: tuple[Path, ...], check: bool, diff: bool) -> None:
    """Put programs into their canonical form. Comments stay, and so does what a program means.

    PATHS: files and folders, `-` for standard input; default: the working directory. A file with errors is left as it
    is. Exit status: 0 done, 1 errors found or (with --check) files would change, 2 wrong usage.
    """
    results = [_standard_input()] if paths == (_STDIN,) else list(_formatted(app, paths or (Path(),)))
    if paths == (_STDIN,) and not (check or diff or app.json or results[0].has_errors):
        click.echo(results[0].after.encode(), nl=False)
        return
    changed = [one for one in results if one.changes and not one.has_errors]
    broken = [one for one in results if one.has_errors]
    if not check and not diff and paths != (_STDIN,):
        from wvflow.service.formatting import write

        for one in changed:
            write(one)
    _tell(app, results, changed, broken, wrote=not check and not diff, diff=diff)
    if broken or (check and changed):
        raise SystemExit(FAILED)


def _formatted(app: App, paths: tuple[Path, ...]) -> Iterator[Formatted]:
    from wvflow.service.formatting import format_files

    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise click.UsageError(f"{path}: there is no such file or folder")
        project = app.project(path)
        found = [path] if path.is_file() else [one for one in project.files if one.is_relative_to(path.absolute())]
        new = [one for one in found if one.absolute() not in seen]
        seen |= {one.absolute() for one in new}
        yield from format_files(project, new, shown)


def _standard_input() -> Formatted:
    from wvflow.service.formatting import format_bytes

    return format_bytes(_STDIN, "<stdin>", sys.stdin.buffer.read())


def _tell(
    app: App,
    results: list[Formatted],
    changed: list[Formatted],
    broken: list[Formatted],
    *,
    wrote: bool,
    diff: bool,
) -> None:
    if app.json:
        names = {"changed": [one.name for one in changed], "errors": [one.name for one in broken]}
        app.print_json({"files": len(results), **names})
        return
    for one in changed:
        if diff:
            for line in one.diff():
                click.echo(click.style(line, fg=_COLOURS.get(line[:1])), color=app.color)
        else:
            click.echo(f"{'formatted' if wrote else 'would format'} {one.name}")
    _report(app, broken)
    same = len(results) - len(changed) - len(broken)
    verb = "formatted" if wrote else "would change"
    app.say(f"{plural(len(changed), 'file')} {verb}, {plural(same, 'file')} unchanged")


def _report(app: App, broken: list[Formatted]) -> None:
    if broken:
        from wvflow.cli.diagnostics import report

        report(app, [found for one in broken for found in one.diagnostics])
