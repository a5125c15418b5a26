"""``wvflow compile``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from wvflow.cli.app import App
from wvflow.cli.root import Command
from wvflow.errors import UserError

if TYPE_CHECKING:
    from wvflow.plan.nodes import FlowPlan, StagePlan


class StageSql(msgspec.Struct, frozen=True):
    """The SQL of one task of a stage; None where it is a Python activity."""

    flow: str
    stage: str
    task: int
    sql: str | None
    activity: str | None


@click.command("compile", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("name", required=False)
@click.option("--dialect", default="duckdb", metavar="DIALECT", help="SQL dialect. Default: duckdb.")
@click.pass_obj
def compile_(app: App, file: Path, name: str | None, dialect: str) -> None:
    """Show the SQL that the stages of FILE become. NAME is a flow or a stage; default: all flows of FILE.

    Parameters stand as named placeholders, other stages by their names.
    """
    from wvflow.cli.programs import compiled, flows_of

    project, program, bundle = compiled(app, file)
    plans = [bundle.plan(ref) for ref in flows_of(program, project, file)]
    chosen = list(_chosen(plans, name))
    texts = [one for plan, stage in chosen for one in _stage_sql(plan, stage, dialect)]
    if app.json:
        for text in texts:
            app.print_json(text)
    else:
        click.echo("\n\n".join(_for_people(text) for text in texts))


def _chosen(plans: list[FlowPlan], name: str | None) -> Iterator[tuple[FlowPlan, StagePlan]]:
    everything = [(plan, plan.stages[index]) for plan in plans for index in plan.declared]
    found = [pair for pair in everything if name is None or name in (pair[0].flow, pair[1].name)]
    if not found:
        from wvflow.diagnostics import nearest

        near = nearest(name or "", {word for plan, stage in everything for word in (plan.flow, stage.name)})
        what = f"there is no flow or stage `{name}` in this file" if name else "the file defines no flow"
        raise UserError(what, help=f"did you mean `{near}`?" if near else None)
    yield from found


def _stage_sql(plan: FlowPlan, stage: StagePlan, dialect: str) -> Iterator[StageSql]:
    from wvflow.plan.nodes import ActivityTask
    from wvflow.sql import lower

    for number, task in enumerate(stage.tasks):
        if isinstance(task, ActivityTask):
            yield StageSql(plan.flow, stage.name, number, None, task.activity)
        else:
            sql = lower(task, dialect)
            yield StageSql(plan.flow, stage.name, number, sql.save or sql.select, None)


def _for_people(text: StageSql) -> str:
    if text.sql is None:
        return f"-- {text.flow}.{text.stage}: calls {text.activity}"
    return f"-- {text.flow}.{text.stage}\n{text.sql};"
