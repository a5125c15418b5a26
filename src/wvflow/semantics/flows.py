"""Flows: their parameters, properties and stages, each stage after those that it reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from msgspec import structs

from wvflow.lang.algebra import Rel
from wvflow.lang.rowtypes import Column as RowColumn
from wvflow.plan.graph import sortable
from wvflow.plan.nodes import PAUSED
from wvflow.plan.refs import FlowRef
from wvflow.semantics import mistakes, mistakes_of_properties, sources
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.bodies import stage_steps
from wvflow.semantics.checked import CheckedFlow, CheckedMap, CheckedRunQuery, CheckedStage, Settings, UntilStep
from wvflow.semantics.checks.bounds import check_bounds, check_bounds_of_stage
from wvflow.semantics.checks.clocks import check_clocks
from wvflow.semantics.checks.graph import check_acyclic, check_read, check_size
from wvflow.semantics.checks.reach import check_reach
from wvflow.semantics.checks.reuse import check_reuse
from wvflow.semantics.checks.views import check_output, check_views
from wvflow.semantics.children import callee, check_closing
from wvflow.semantics.concurrency import read_concurrency_key
from wvflow.semantics.conversation import check_conversation, read_conversation
from wvflow.semantics.defaults import check_defaults
from wvflow.semantics.dependencies import (
    check_counted,
    check_unattended,
    read_after,
    read_elsewhere,
    read_of_upstreams,
    upstreams_of,
)
from wvflow.semantics.hooks import check_hooks
from wvflow.semantics.keys import check_retries, read_key
from wvflow.semantics.maps import Each, Values, read_map
from wvflow.semantics.models import read_params, values_of
from wvflow.semantics.once import read_flow_key
from wvflow.semantics.properties import Read, read_settings
from wvflow.semantics.questions import read_queries
from wvflow.semantics.routes import check_ends, routed
from wvflow.semantics.rowtypes import declared_columns, is_certain
from wvflow.semantics.sagas import (
    Owners,
    check_compensation,
    check_sagas,
    check_undoing,
    owners_of_compensations,
    read_by_compensation,
    to_undo,
    with_compensations,
)
from wvflow.semantics.saves import Saves
from wvflow.semantics.schedules import check_schedule
from wvflow.semantics.scopes import Columns, Scope, Shape
from wvflow.semantics.session import Known, Session
from wvflow.semantics.triggers import (
    check_rule,
    failures_in,
    fallback_of,
    is_met_by_failure,
    owners_of_fallbacks,
    trigger_of,
    with_fallbacks,
)
from wvflow.semantics.versions import check_version
from wvflow.semantics.waits import POLL_INTERVAL, check_waits
from wvflow.semantics.when import read_when
from wvflow.source import Span
from wvflow.syntax.nodes import (
    ActivateOp,
    CallExpr,
    Dot,
    FlowDef,
    ForkOp,
    Merge,
    Name,
    NameRef,
    StageDef,
    SyntaxNode,
    TableRef,
)
from wvflow.syntax.walk import walk


def check_flow(flow: FlowDef, session: Session) -> CheckedFlow:
    """One flow with all names resolved. What is wrong goes to the session."""
    read = read_settings(flow.configs, "flow", session)
    check_version(flow, read, session)
    defaults = read_settings(read.nested, "defaults", session)
    params = read_params(flow.params, session)
    check_defaults(flow.params, params, session)
    written = [stage for one in flow.items if isinstance(one, StageDef) for stage in _with_forked(one, None)]
    distinct = _distinct(written, session)
    below = {**session.catalog.defaults, **defaults.values}
    told = read_conversation(flow, params, session)
    scope = Scope(
        session,
        values=values_of(params),
        state=values_of((PAUSED, *told.state)),
        signals={one.name: one for one in told.signals},
        upstreams=upstreams_of(flow, session),
    )
    stages = _check_stages(distinct, flow.lost, scope, below) if check_size(flow, written, session) else ()
    check_bounds("defaults", defaults.values, defaults.spans, {}, session)
    check_waits(stages, (defaults.values, read.values, session.catalog.defaults), session)
    check_conversation(flow, told, stages, session)
    check_reuse(stages, defaults.values, [param.name for param in params], session)
    ref, after = FlowRef(flow.name.text, flow.number), read_after(flow, session)
    check_unattended(flow, params, session)
    check_counted(flow, session)
    elsewhere = read_elsewhere(ref.flow, session.definitions.flows.values())
    queries = read_queries(flow, stages, scope)
    return CheckedFlow(
        ref=ref,
        span=flow.name.span,
        params=params,
        key=read_flow_key(read, [param.name for param in params], Scope(session, values=values_of(params))),
        concurrency_key=read_concurrency_key(
            read, [param.name for param in params], Scope(session, values=values_of(params))
        ),
        stages=stages,
        settings=read.values,
        defaults=defaults.values,
        output=_output(flow, read, stages, queries, elsewhere, session),
        schedule=check_schedule(read, callee(ref, session), Scope(session, for_argument=True)),
        hooks=check_hooks(read, scope),
        conversation=told,
        queries=queries,
        after=after,
        reads=read_of_upstreams(stages, queries, scope.upstreams),
        read_elsewhere=elsewhere,
    )


class _Written(NamedTuple):
    """A stage and the one that forks it."""

    stage: StageDef
    forking: Name | None

    @property
    def name(self) -> Name:
        return self.stage.name


def _with_forked(stage: StageDef, forking: Name | None) -> Iterator[_Written]:
    """A stage and those that it forks, which the whole flow sees."""
    yield _Written(stage, forking)
    for operator in stage.body.operators:
        if isinstance(operator, ForkOp):
            for forked in operator.stages:
                yield from _with_forked(forked, stage.name)


def _distinct(written: Sequence[_Written], session: Session) -> list[_Written]:
    """The stages, of several with one name the first."""
    named: dict[str, _Written] = {}
    for stage in written:
        first = named.setdefault(stage.name.text, stage)
        if first is not stage:
            found = mistakes.duplicate_name(stage.name.text, "flow", stage.name.span, first.name.span)
            session.report(found)
    return list(named.values())


def _check_stages(
    written: Sequence[_Written],
    lost: Sequence[Name],
    around: Scope,
    defaults: Settings,
) -> tuple[CheckedStage, ...]:
    """All stages in order of declaration. Each is read after those that it names, as it sees their columns.

    Those ``lost`` to the parser are known by name, so that nobody is told that they don't exist.
    """
    session = around.session
    shapes: dict[str, Shape] = {name.text: Shape() for name in (*lost, *[stage.name for stage in written])}
    scope = replace(around, stages=shapes)
    checked: dict[int, CheckedStage] = {}
    spans: dict[str, Mapping[str, Span]] = {}
    edges = _edges(written)
    saves = Saves(edges)
    settings = [read_settings(one.stage.configs, "stage", session) for one in written]
    by_name = {one.name.text: read for one, read in zip(written, settings, strict=True)}
    owners, undoing = owners_of_fallbacks(by_name), owners_of_compensations(by_name, session)
    for index in _reading_order(_behind_owners(edges, list(by_name), undoing)):
        stage, read = written[index].stage, settings[index]
        session.saved = saves.seen_by(index, stage.body)
        session.connector = _connector(stage, session)
        undone = undoing.get(stage.name.text)
        rows = None if undone is None else to_undo(undone, shapes)
        around = replace(scope, failed=owners.get(stage.name.text, ()), undoing=rows)
        checked[index], shapes[stage.name.text], saved = _check_stage(written[index], read, around)
        if undone is not None:
            check_undoing(stage, checked[index], read, undone[0], session)
        saves.add(index, saved, session)
        spans[stage.name.text] = read.spans
        _check_intervals(checked[index], read, session)
    session.saved, session.connector = {}, ""
    every = [checked[index] for index in range(len(written))]
    compensating = {one.name: one for one in every if one.name in undoing}
    running = with_compensations([one for one in every if one.name not in undoing], compensating, undoing, session)
    stages = with_fallbacks(running, spans, session)
    for one, source in zip(every, written, strict=True):
        check_bounds_of_stage(one, spans[one.name], defaults, session)
        check_clocks(one, source.stage.body, session)
    for one in stages:
        check_rule(one, spans[one.name], session)
        if one.compensation is None:  # beside it, there is no key to advise
            check_retries(one, defaults, session)
    check_sagas(stages, spans, session)
    check_reach(stages, spans, defaults, session)
    check_ends(stages, session)
    stages = routed(stages, session)
    check_views(stages, spans, session)
    check_acyclic(stages, session)
    return stages


def _check_intervals(stage: CheckedStage, read: Read, session: Session) -> None:
    if POLL_INTERVAL in read.values and not any(isinstance(step, UntilStep) for step in stage.steps):
        session.report(flow_mistakes.nothing_to_poll(read.spans[POLL_INTERVAL]))


def _edges(written: Sequence[_Written]) -> list[list[int]]:
    """For each stage the numbers of those that its text names."""
    numbers = {stage.name.text: number for number, stage in enumerate(written)}
    return [
        [numbers[name] for name in _names(stage) if name in numbers and name != stage.name.text] for stage in written
    ]


def _behind_owners(edges: Sequence[Sequence[int]], names: Sequence[str], owners: Owners) -> list[list[int]]:
    """The same, and for each stage that undoes others these: it sees the columns of what they put out."""
    more = ([names.index(owner.name) for owner in owners.get(name, ())] for name in names)
    return [[*own, *added] for own, added in zip(edges, more, strict=True)]


def _reading_order(edges: Sequence[Sequence[int]]) -> list[int]:
    """Stages on a cycle, or seemingly so, come last and see no columns of each other."""
    order = sortable(edges)
    return [*order, *sorted(set(range(len(edges))) - set(order))]


def _names(written: _Written) -> list[str]:
    found: list[Name] = [*written.stage.depends]
    found += [] if written.forking is None else [written.forking]
    for node in walk(written.stage.body):
        match node:
            case TableRef(parts=(name,)):
                found.append(name)
            case Merge(stages=stages):
                found += stages
            case CallExpr() | ActivateOp():
                found += _dotted(node)
            case _:
                pass
    for config in written.stage.configs:
        found += _dotted(config)
    return [name.text for name in found]


def _dotted(node: SyntaxNode) -> list[Name]:
    """The names that may be those of stages, in ``s.col``."""
    return [one.operand.name for one in walk(node) if isinstance(one, Dot) and isinstance(one.operand, NameRef)]


def _check_stage(written: _Written, read: Read, around: Scope) -> tuple[CheckedStage, Shape, dict[Rel, Known]]:
    session, stage = around.session, written.stage
    scope = replace(around, stage=stage.name.text, forking=written.forking, detach=bool(read.values.get("detach")))
    trigger, named = trigger_of(stage, read, scope)
    scope = replace(scope, failed=(*around.failed, *failures_in(trigger)), any_failed=is_met_by_failure(read))
    with session.recording() as record:
        _depend(stage.depends, scope)
        how = read_map(read, scope)
        within = replace(scope, instance=how.own) if isinstance(how, Values) else scope
        body = stage_steps(stage.body, within, each=how.span if isinstance(how, Each) else None)
        when = read_when(read, scope)
        key = read_key(read, body.effect, body.steps, within)
    mapped = CheckedMap(how.rows, how.members) if isinstance(how, Values) else None
    if isinstance(how, Each) and body.input is not None:
        mapped = CheckedMap(body.input)
    begins = body.input if mapped is None else mapped.rows
    found = body.shape.columns
    declared = declared_columns(read, found, session)
    if read.values.get("skip_empty") and begins is None:
        session.report(mistakes_of_properties.nothing_to_be_empty(read.spans["skip_empty"]))
    checked = CheckedStage(
        name=stage.name.text,
        span=stage.name.span,
        steps=body.steps,
        settings=read.values,
        upstreams={**record.reads, **{name: span for name, span in named.items() if name not in record.reads}},
        controls=tuple(name for name in named if name not in record.reads),
        trigger=trigger,
        fallback=fallback_of(read),
        shape=_shape(found if declared is None else declared),
        when=when,
        input=begins,
        map=mapped,
        key=key,
        columns=() if declared is None or is_certain(declared, found) else declared,
        uses=tuple(record.uses),
        forking=None if written.forking is None else written.forking.text,
        end=body.end,
        jump=body.jump,
        connector=session.connector,
    )
    check_closing(checked, read, session)
    shape = body.shape if declared is None else Shape(declared, row_type=str(read.values["type"]))
    if scope.undoing is None:
        checked = structs.replace(checked, compensation=check_compensation(checked, read, shape.columns, scope))
    return checked, shape, body.saved


def _connector(stage: StageDef, session: Session) -> str:
    """The engine that a stage runs on, ``""`` for the profile's own."""
    if stage.connector is None:
        return ""
    name, known = stage.connector.text, session.catalog.engines
    if name not in known:
        session.report(mistakes.unknown_connector(name, stage.connector.span, tuple(known)))
    return name


def _shape(columns: Columns) -> tuple[RowColumn, ...] | None:
    return None if columns is None else tuple((one.name, one.type) for one in columns)


def _depend(names: Sequence[Name], scope: Scope) -> None:
    """``depends on a, b``: waited for, not read."""
    named: dict[str, Name] = {}
    for name in names:
        if (first := named.setdefault(name.text, name)) is not name:
            scope.session.report(mistakes.doubled_dependency(name.text, name.span, first.span))
        elif name.text in scope.stages and name.text != scope.stage:
            scope.session.reads(name.text, name.span)
        else:
            scope.session.report(sources.not_a_stage(name, scope))


def _output(
    flow: FlowDef,
    read: Read,
    stages: Sequence[CheckedStage],
    queries: Sequence[CheckedRunQuery],
    elsewhere: Collection[str],
    session: Session,
) -> str | None:
    """The stage that ``output:`` names, else the last declared one that nobody reads (section 5). None where a mistake
    leaves no such stage."""
    name = read.values.get("output")
    known = [stage.name for stage in stages]
    needed = {upstream for stage in stages for upstream in (*stage.upstreams, *read_by_compensation(stage))}
    needed |= {read for query in queries for read in query.reads} | {*elsewhere}
    if name is None:
        name = _last(stages)
    elif stages and name not in known and name not in {one.text for one in flow.lost}:
        session.report(mistakes.unknown_stage(str(name), read.spans["output"], known))
    if name not in known:
        return None
    if not flow.broken:
        check_read(stages, needed, str(name), session)
        check_output(stages, str(name), session)
    return str(name)


def _last(stages: Sequence[CheckedStage]) -> str | None:
    """The last declared stage that nobody reads and that always has its turn; where all have conditions, the last that
    nobody reads."""
    read = {one for stage in stages for one in stage.upstreams if one not in stage.controls}
    unread = [stage for stage in reversed(stages) if stage.name not in read]
    steady = [one for one in unread if one.trigger is None and "trigger" not in one.settings and one.forking is None]
    steady = [one for one in steady if one.end is None]
    return next((one.name for one in (*steady, *unread)), None)
