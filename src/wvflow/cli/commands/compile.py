"""``wvflow compile``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wvflow.cli.app import App
from wvflow.cli.root import Command
from wvflow.plan.refs import FlowRef

if TYPE_CHECKING:
    from wvflow.service.sqltext import SqlText


@click.command("compile", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("name", required=False)
@click.option("--dialect", default="duckdb", metavar="DIALECT", help="SQL dialect. Default: duckdb.")
@click.pass_obj
def compile_(app: App, file: Path, name: str | None, dialect: str) -> None:
    """Show the SQL that FILE becomes: each stage and query, or those of NAME, a flow (or a version of one,
    "F @version(1)"), stage or model.

    Parameters stand as named placeholders, other stages by their names. JSON: one object a line.
    """
    from wvflow.cli.programs import chosen, compiled, flows_of, sources_of
    from wvflow.service.invocation import split
    from wvflow.service.program import compile_program
    from wvflow.service.sqltext import sql_texts

    project, program, _ = compiled(app, file, partial(compile_program, engine=dialect.lower()))
    flows, sources = flows_of(program, project, file), sources_of(program, project, file)
    if name and (named := split(name)).version is not None:
        program, ref, _ = chosen(app, program, project, file, name)
        flows, name = [ref], named.name
    texts = sql_texts(program, flows, sources, name, dialect)
    if app.json:
        for text in texts:
            app.print_json(text)
    else:
        click.echo("\n\n".join(_for_people(text) for text in texts))


def _for_people(text: SqlText) -> str:
    title = f"{FlowRef(text.flow, text.version or 1).shown}.{text.name}" if text.flow else text.name
    return f"-- {title}: calls {text.activity}" if text.sql is None else f"-- {title}\n{text.sql};"
