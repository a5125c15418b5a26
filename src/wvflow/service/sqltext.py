"""The SQL that the pieces of a program become, for people to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from wvflow.diagnostics import nearest
from wvflow.errors import UserError
from wvflow.plan.nodes import FlowPlan, StagePlan
from wvflow.plan.queries import queries_of
from wvflow.plan.refs import FlowRef
from wvflow.plan.tasks import ChildTask, QueryTask, Save, called
from wvflow.service.program import Compiled
from wvflow.sql import lower


class SqlText(msgspec.Struct, frozen=True, kw_only=True):
    """One piece: a task of a stage, a model, or a query (by its place). ``sql`` is None for an activity."""

    kind: Literal["stage", "model", "query"]
    name: str
    flow: str | None = None
    version: int | None = None
    task: int = 0
    sql: str | None = None
    activity: str | None = None


def sql_texts(
    program: Compiled, flows: Sequence[FlowRef], sources: set[str], name: str | None, dialect: str
) -> list[SqlText]:
    """The pieces of that name (a flow, stage or model); without one, the stages of ``flows`` and the queries that
    stand in ``sources``, or, where there are neither, their models.

    Raises: UserError, there is no such piece, or DialectCannot.
    """
    plans = [program.bundle.plan(ref) for ref in flows] if program.bundle else []
    highest = max((plan.version for plan in plans if plan.flow == name), default=0)
    plans = [plan for plan in plans if plan.flow != name or plan.version == highest]
    if name is not None:
        found = [*_stages(plans, name, dialect), *_models(program, {name}, dialect)]
    else:
        found = [*_stages(plans, None, dialect), *_queries(program, sources, dialect)]
        found = found or list(_models(program, _models_in(program, sources), dialect))
    if not found:
        raise _nothing(program, plans, name)
    return found


def _stages(plans: Sequence[FlowPlan], name: str | None, dialect: str) -> Iterator[SqlText]:
    for plan in plans:
        for index in plan.declared:
            if name in (None, plan.flow, plan.stages[index].name):
                yield from _stage(plan, plan.stages[index], dialect)


def _stage(plan: FlowPlan, stage: StagePlan, dialect: str) -> Iterator[SqlText]:
    """Its tasks; those of a mapped stage's instances stand behind the one that makes the instances."""
    split, *rest = stage.tasks
    tasks = stage.all_tasks if stage.map is None else (split, *stage.map.instance.tasks, *rest)
    for number, task in enumerate(tasks):
        whose = SqlText(kind="stage", flow=plan.flow, version=plan.version, name=stage.name, task=number)
        if (call := called(task)) is not None:
            yield replace(whose, activity=call.activity)
        if isinstance(task, ChildTask):
            yield replace(whose, activity=task.flow.flow)
        for query in queries_of(task):
            yield replace(whose, sql=_lowered(query, dialect))


def _lowered(task: QueryTask, dialect: str) -> str:
    sql = lower(task, dialect)
    return sql.save or sql.select


def _models(program: Compiled, names: set[str], dialect: str) -> Iterator[SqlText]:
    models = program.checked.models if program.checked else {}
    for name in sorted(names & models.keys()):
        yield SqlText(kind="model", name=name, sql=_lowered(QueryTask(models[name].relation), dialect))


def _models_in(program: Compiled, sources: set[str]) -> set[str]:
    models = program.checked.models if program.checked else {}
    return {name for name, model in models.items() if model.span.source.name in sources}


def _queries(program: Compiled, sources: set[str], dialect: str) -> Iterator[SqlText]:
    for query in program.checked.queries if program.checked else ():
        if query.span.source.name in sources:
            place = f"{query.span.source.name}:{query.span.position.line}"
            save = query.update if isinstance(query.update, Save) else None
            yield SqlText(kind="query", name=place, sql=_lowered(QueryTask(query.relation, save=save), dialect))


def _nothing(program: Compiled, plans: Sequence[FlowPlan], name: str | None) -> UserError:
    if name is None:
        return UserError("the file defines no flow, query or model")
    words = {word for plan in plans for word in (plan.flow, *(stage.name for stage in plan.stages))}
    near = nearest(name, words | set(program.checked.models if program.checked else ()))
    return UserError(
        f"there is no flow, stage or model `{name}` in this file", help=f"did you mean `{near}`?" if near else None
    )
