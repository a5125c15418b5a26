"""``wvflow runs query``."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from wvflow.cli.app import INTERRUPTED, App
from wvflow.cli.commands.options import pairs
from wvflow.cli.completion import complete_query, complete_run
from wvflow.cli.root import Command
from wvflow.lang.values import told

if TYPE_CHECKING:
    from wvflow.lang.tables import Result
    from wvflow.plan.nodes import RunQuery
    from wvflow.service.asking import Question
    from wvflow.service.runs import Runs


@click.command(cls=Command)
@click.argument("run", shell_complete=complete_run)
@click.argument("name", default="", shell_complete=complete_query)
@click.argument("args", nargs=-1, callback=pairs, metavar="[NAME=VALUE]...")
@click.pass_obj
def query(app: App, run: str, name: str, args: dict[str, str]) -> None:
    """Ask a RUN what its flow answers under NAME; without NAME: list what it can be asked.

    It may be to begin, under way, left or ended. Nothing is recorded and nothing changes. Values are printed as they
    are, rows as a table. JSON: one object, with all rows.
    """
    with closing(app.runs()) as runs:
        if name:
            _answer(app, _question(runs, run, name, args), runs.find(run).run_id)
        else:
            _list(app, runs, run)


def _question(runs: Runs, run: str, name: str, args: dict[str, str]) -> Question:
    from wvflow.service.asking import query_of
    from wvflow.service.parameters import parse_all

    wanted = query_of(runs.plan(runs.find(run)), name)
    return runs.question(run, name, parse_all(f"query {name}", wanted.params, args))


def _answer(app: App, question: Question, run_id: str) -> None:
    from wvflow.lang.tables import ROW_LIMIT, box
    from wvflow.service.stoppable import run_stoppable

    question.waiting = lambda holder: app.say(f"waiting for the warehouse, which {holder} has open")
    facts = {"run_id": run_id, "query": question.query.name}
    try:
        if question.query.type is not None:
            value = run_stoppable(question.value, question.interrupt)
            if app.json:
                app.print_json({**facts, "type": str(question.query.type), "value": told(value)})
            else:
                click.echo(_text(value))
            return
        found = run_stoppable(lambda: question.look(ALL if app.json else ROW_LIMIT), question.interrupt)
    except KeyboardInterrupt:
        app.say("interrupted")
        raise SystemExit(INTERRUPTED) from None
    if app.json:
        app.print_json({**facts, **_rows_json(found)})
    else:
        click.echo(box(found, screen=app.out.width if app.out.is_terminal else None))


ALL = 1 << 31
"""More rows than there are."""


def _rows_json(found: Result) -> dict[str, Any]:
    from wvflow.lang.cells import to_json as cell

    kinds = [column.kind for column in found.columns]
    return {
        "columns": [column.name for column in found.columns],
        "rows": [list(map(cell, row, kinds)) for row in found.rows],
    }


def _text(value: object) -> str:
    """A value as it is: texts without quotes, everything else as JSON."""
    json = told(value)
    if isinstance(json, str):
        return json
    import msgspec

    return msgspec.json.encode(json).decode()


def _list(app: App, runs: Runs, run: str) -> None:
    from wvflow.plan.conversation import query_json, query_text

    row = runs.find(run)
    queries: tuple[RunQuery, ...] = runs.plan(row).queries
    if app.json:
        app.print_json([query_json(one) for one in queries])
    elif queries:
        click.echo("\n".join(map(query_text, queries)))
    else:
        app.say(f"flow {row.flow.flow} has no queries; add one: `query status = current_status()`")
