"""Running statements: each result is printed as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from wvflow.cli.app import FAILED, INTERRUPTED, App
from wvflow.cli.format import plural
from wvflow.cli.waiting import waiting
from wvflow.lang.cells import to_json
from wvflow.lang.tables import Result, box, json_lines, tsv

if TYPE_CHECKING:
    from wvflow.cli.diagnostics import Naming
    from wvflow.service.project import Project
    from wvflow.service.statements import Outcome, StatementFailed, Statements
    from wvflow.service.workspace import Workspace


PRINTERS: dict[str, Callable[[Result], str]] = {"json": json_lines, "tsv": tsv}
"""The forms of a result beside the box table (query reference, section 13.2)."""


def run_statements(app: App, workspace: Workspace, source: str, form: str = "table") -> None:
    """Run the statements of a source and print what comes of each; a failure ends the command. ``form``: that of the
    rows, unless ``--json`` is set."""
    from wvflow.cli.driving import interrupted, terminable
    from wvflow.cli.programs import naming
    from wvflow.service.statements import StatementFailed, StatementRefused, Statements
    from wvflow.service.stoppable import stoppable

    project = workspace.project
    session = Statements(workspace)
    session.row_limit = None if app.json or form in PRINTERS else session.row_limit
    session.engine.at_hand.waiting = lambda holder: app.say(f"waiting for the warehouse, which {holder} has open")
    try:
        _check(app, session, source, naming(project.root))
        with terminable():
            for outcome in waiting(app, stoppable(session.run(source), session.interrupt)):
                show(app, outcome, form)
    except StatementRefused as error:
        from wvflow.cli.diagnostics import report

        report(app, error.diagnostics, naming(project.root))
        raise SystemExit(FAILED) from None
    except StatementFailed as error:
        fail_statement(app, error, project)
    except KeyboardInterrupt:
        if session.left:
            interrupted(app, project, session.left)
        app.say("interrupted")
        raise SystemExit(INTERRUPTED) from None
    finally:
        session.close()


def _check(app: App, session: Statements, source: str, name: Naming) -> None:
    """Tell what is wrong with the source; errors end the command before anything runs."""
    from wvflow.cli.diagnostics import as_json as diagnostic
    from wvflow.cli.diagnostics import report
    from wvflow.diagnostics import has_errors
    from wvflow.service.stoppable import run_stoppable

    found = run_stoppable(lambda: session.check(source), session.engine.interrupt)
    failed = has_errors(found)
    if app.json and failed:
        click.echo(json.dumps([diagnostic(one, name) for one in found], ensure_ascii=False))
    elif found and (failed or not app.quiet):
        report(app, found, name)
    if failed:
        raise SystemExit(FAILED)


def show(app: App, outcome: Outcome, form: str = "table") -> None:
    """Print what came of a statement, its rows in that form."""
    from wvflow.service.statements import Rows, Text, Updated

    match outcome:
        case Rows(result=result, debugged=True):
            app.say(box(result))
        case Rows(result=result):
            if app.json:
                kinds = [column.kind for column in result.columns]
                app.print_json(
                    {
                        "columns": [column.name for column in result.columns],
                        "rows": [list(map(to_json, row, kinds)) for row in result.rows],
                    }
                )
            elif form in PRINTERS:
                click.echo(PRINTERS[form](result), nl=bool(result.rows) or form == "tsv")
            else:
                click.echo(box(result, screen=_screen(app)))
        case Updated(what=what, target=target, rows=rows):
            app.say(f"{what} {plural(rows, 'row')}: {target}")
        case Text(text=text):
            if app.json:
                app.print_json({"text": text})
            else:
                click.echo(text)


def _screen(app: App) -> int | None:
    """Columns of the terminal, if somebody looks at one."""
    return app.out.width if app.out.is_terminal else None


def fail_statement(app: App, error: StatementFailed, project: Project) -> NoReturn:
    """Tell what the engine refused, where, and what it was given."""
    from wvflow.cli.failures import render_failure

    if app.json:
        click.echo(json.dumps(as_json(error)), err=True)
    else:
        app.show(render_failure(error, project), stderr=True)
    raise SystemExit(FAILED)


def as_json(error: StatementFailed) -> dict[str, Any]:
    line, column = error.span.position
    return {
        "code": error.kind,
        "class": error.kind,
        "message": error.error.message,
        "file": error.span.source.name,
        "line": line,
        "column": column,
        "help": error.error.help,
    }
