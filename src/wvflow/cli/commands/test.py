"""``wvflow test``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wvflow.cli.app import FAILED, App
from wvflow.cli.format import plural
from wvflow.cli.root import Command

if TYPE_CHECKING:
    from wvflow.service.suites import Error, FileReport


@click.command(cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.pass_obj
def test(app: App, paths: tuple[Path, ...]) -> None:
    """Run the statements of each file and judge their tests, in a fresh session per file.

    PATHS: files and folders; default: the working directory. Exit status: 0 all passed, 1 something failed, 2 wrong
    usage. JSON: one object a line.
    """
    from wvflow.service.suites import run_suite
    from wvflow.service.workspace import Workspace

    reports: list[FileReport] = []
    for path in paths or (Path(),):
        project = app.project(path)
        files = [path] if path.is_file() else [one for one in project.files if one.is_relative_to(path.absolute())]
        workspace = Workspace(project, files)
        for report in run_suite(workspace, files):
            reports.append(report)
            _show(app, report)
    if not app.json:
        _summary(app, reports)
    if any(not report.ok for report in reports):
        raise SystemExit(FAILED)


def _show(app: App, report: FileReport) -> None:
    if app.json:
        app.print_json(as_json(report))
        return
    mark = click.style("✓", fg="green") if report.ok else click.style("✗", fg="red")
    tests = plural(report.tests, "test") if report.tests else "no tests"
    unjudged = f", {len(report.unjudged):,} not judged" if report.unjudged else ""
    click.echo(f"{mark} {report.file}  {click.style(tests + unjudged, dim=True)}", color=app.color)
    errors = (report.error,) if report.error else ()
    for error in (*report.failed, *errors, *report.unjudged):
        click.echo(_told(error), color=app.color)


def _told(error: Error) -> str:
    line, column = error.span.position
    place = click.style(f"{error.span.source.name}:{line}:{column}", dim=True)
    text = error.span.source.line(line).strip()
    message = "\n".join(f"      {one}" for one in error.message.splitlines())
    help_ = f"\n      {click.style('help', fg='cyan')}: {error.help}" if error.help else ""
    kind = click.style(error.kind, fg="yellow" if error.kind == "NOT_JUDGED" else "red")
    return f"    {kind} {place}  {text}\n{message}{help_}"


def _summary(app: App, reports: list[FileReport]) -> None:
    failed = sum(not report.ok for report in reports)
    tests = sum(report.tests for report in reports)
    passed = sum(report.passed for report in reports)
    unjudged = sum(len(report.unjudged) for report in reports)
    text = f"{plural(len(reports), 'file')}, {plural(tests, 'test')}: {passed} passed"
    text += f", {unjudged:,} not judged" if unjudged else ""
    text += f", {plural(failed, 'file')} failed" if failed else ""
    click.echo(click.style(text, fg="red" if failed else "green", bold=True), color=app.color)


def as_json(report: FileReport) -> dict[str, Any]:
    """``passed`` and ``failed`` count tests, and ``unjudged`` those that are neither."""
    first = report.first
    return {
        "file": report.file,
        "tests": report.tests,
        "passed": report.passed,
        "failed": len(report.failed),
        "unjudged": len(report.unjudged),
        "error": None if first is None else _error(first),
    }


def _error(error: Error) -> dict[str, Any]:
    line, column = error.span.position
    return {
        "code": error.code or error.kind,
        "class": error.kind,
        "message": error.message,
        "file": error.span.source.name,
        "line": line,
        "column": column,
    }
