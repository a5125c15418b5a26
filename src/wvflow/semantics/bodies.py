"""Bodies of stages and statements: runs of relational operators with effects between them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from wvflow.lang.algebra import Alias, Expr, File, Literal, NamedArgument, Piped, Rel, Table
from wvflow.lang.evaluate import is_static
from wvflow.lang.types import STRING, UNKNOWN
from wvflow.plan.nodes import FileTarget, Save, TableTarget, Test
from wvflow.semantics import expressions, grouping, mistakes, reshaping, sources
from wvflow.semantics.activities import call_activity
from wvflow.semantics.checked import DebugStep, RowsStep, SaveStep, Step, TestStep
from wvflow.semantics.observing import handed, stage_debug, stage_test
from wvflow.semantics.relations import beginning, operate, unwrapped
from wvflow.semantics.routes import route_step
from wvflow.semantics.scopes import Columns, Relation, Scope, Shape
from wvflow.semantics.session import Known
from wvflow.semantics.sinks import activate
from wvflow.source import Span
from wvflow.syntax import nodes as n

_LATER_OPTIONS = frozenset({"mode", "key", "partition"})


Effect: TypeAlias = n.SaveOp | n.ApplyOp | n.CallOp | n.ActivateOp | n.TestOp | n.DebugOp


class Run(NamedTuple):
    """Relational operators up to an effect, which is None at the end of a body."""

    operators: tuple[n.Operator, ...]
    effect: Effect | None


class StageBody(NamedTuple):
    """What a stage does, in order, and the rows that its readers see. ``input``: the rows that it begins with, None
    where it begins with a call or a `select` of its own. ``saved``: the columns of the tables and files it writes.
    ``end``: the ``end()`` that it ends with."""

    steps: tuple[Step, ...]
    shape: Shape
    input: Rel | None
    saved: dict[Rel, Known]
    end: Span | None


def stage_steps(node: n.Query, scope: Scope) -> StageBody:
    """A stage's body."""
    body = unwrapped(node, scope)
    steps: list[Step] = []
    if isinstance(body.input, n.CallInput):
        _check_version(body.input, scope)
        found = _called(body.input.call, Shape(), steps, scope, piped=False)
    else:
        found = beginning(body.input, body.scope)
    source = found.rel if isinstance(body.input, n.From | n.Merge | None) else None
    saved: dict[Rel, Known] = {}
    operators, last = _last_apart(body.operators)
    for run in _runs(_available(operators, scope)):
        found = operate(found, run.operators, body.scope)
        if run.effect is not None:
            _flush(found, steps)
            found = _effect(run.effect, found.shape, steps, body.scope)
        if isinstance(run.effect, n.SaveOp) and isinstance(step := steps[-1], SaveStep):
            saved |= columns_saved(step.save, found.shape.columns)
    if not _is_handed(found.rel) or not steps:
        steps.append(RowsStep(found.rel))
    if isinstance(last, n.RouteOp):
        steps.append(route_step(last, found.shape, body.scope))
    return StageBody(
        tuple(steps), found.shape.named(""), source, saved, last.span if isinstance(last, n.EndOp) else None
    )


def _last_apart(operators: tuple[n.Operator, ...]) -> tuple[tuple[n.Operator, ...], n.Operator | None]:
    """The operators up to the one that says where the rows go from here; what stands behind it is told already."""
    for index, operator in enumerate(operators):
        if isinstance(operator, n.RouteOp | n.ForkOp | n.EndOp):
            return operators[:index], operator
    return operators, None


def _available(operators: tuple[n.Operator, ...], scope: Scope) -> tuple[n.Operator, ...]:
    """The operators without those updates that only statements can do."""
    for one in operators:
        if isinstance(one, n.AppendOp | n.DeleteOp):
            scope.session.report(
                mistakes.update_in_stage("append to" if isinstance(one, n.AppendOp) else "delete", one.span)
            )
    return tuple(one for one in operators if not isinstance(one, n.AppendOp | n.DeleteOp))


def _runs(operators: tuple[n.Operator, ...]) -> list[Run]:
    runs: list[Run] = []
    pending: list[n.Operator] = []
    while operators:
        whole = _together(operators)
        if whole == 1 and isinstance(operator := operators[0], Effect):
            runs.append(Run(tuple(pending), operator))
            pending = []
        else:
            pending += operators[:whole]
        operators = operators[whole:]
    return [*runs, Run(tuple(pending), None)]


def _together(operators: tuple[n.Operator, ...]) -> int:
    """How many of the first operators make one relation, so that no effect stands between them."""
    if (group := grouping.split(operators)) is not None:
        ends = bool(group.rest) and isinstance(group.rest[0], n.AggOp | n.SelectOp | n.CountOp)
        return len(operators) - len(group.rest) + 1 if ends else 1
    if (pivoting := reshaping.split_pivot(operators)) is not None:
        return len(operators) - len(pivoting.rest)
    return 1


def _flush(found: Relation, steps: list[Step]) -> None:
    """Rows that are only what was handed over need no step of their own."""
    if not _is_handed(found.rel):
        steps.append(RowsStep(found.rel))


def _is_handed(rel: Rel) -> bool:
    return isinstance(rel.input if isinstance(rel, Alias) and not rel.columns else rel, Piped)


def _effect(effect: Effect, shape: Shape, steps: list[Step], scope: Scope) -> Relation:
    """The rows behind an effect; a save and a delivery pass their own on."""
    if isinstance(effect, n.CallOp):
        _check_version(effect, scope)
    if isinstance(effect, n.ApplyOp | n.CallOp):
        return _called(effect.call, shape, steps, scope, piped=True, apart=isinstance(effect, n.CallOp))
    match effect:
        case n.ActivateOp():
            delivery = activate(effect, shape, scope)
            steps += [delivery] if delivery is not None else []
        case n.TestOp():
            _test(stage_test(effect, shape, scope), steps)
            return handed(shape)
        case n.DebugOp():
            steps.append(DebugStep(stage_debug(effect, shape, scope)))
            return handed(shape)
        case n.SaveOp():
            steps.append(SaveStep(read_save(effect, scope)))
    return Relation(Piped(), shape.named(""))


def _test(test: Test | None, steps: list[Step]) -> None:
    """Tests right behind each other are one step."""
    tests = () if test is None else (test,)
    match steps:
        case [*_, TestStep(tests=before)]:
            steps[-1] = TestStep((*before, *tests))
        case _:
            steps.append(TestStep(tests))


def _check_version(node: n.CallInput | n.CallOp, scope: Scope) -> None:
    if node.version is not None and node.version > 1:
        scope.session.report(mistakes.not_available(f"@version({node.version})", node.call.span))


def _called(
    call: n.CallExpr, shape: Shape, steps: list[Step], scope: Scope, *, piped: bool, apart: bool = False
) -> Relation:
    called = call_activity(call, shape, scope, piped=piped, apart=apart)
    if called is None:
        return Relation(Piped(), Shape())
    step, behind = called
    steps.append(step)
    return behind


def read_save(node: n.SaveOp, scope: Scope) -> Save:
    """``save to`` with its options, which need no rows; a bare word is text."""
    options = tuple([NamedArgument(one.name.text, _option(one, scope)) for one in node.options])
    return Save(read_target(node.target, scope), options)


def read_target(target: tuple[n.Name, ...] | n.StringLiteral, scope: Scope) -> FileTarget | TableTarget:
    """Where an update goes to."""
    if isinstance(target, n.StringLiteral):
        return FileTarget(target.value)
    span = target[0].span.to(target[-1].span)
    if len(target) > sources.MOST_PARTS:
        scope.session.report(mistakes.long_table_name(span))
    scope.session.use(".".join(part.text for part in target), span)
    return TableTarget(tuple(part.text for part in target))


def columns_saved(save: Save, columns: Columns) -> dict[Rel, Known]:
    """What whoever reads it then finds there. A file that says nothing of types is read with others, and one that is
    written with options may be without names."""
    match save.target:
        case TableTarget(parts=parts):
            return {Table(parts, ""): None if columns is None else tuple((col.name, col.type) for col in columns)}
        case FileTarget(path=path):
            known = columns is not None and not save.options
            return {File(path): tuple((col.name, UNKNOWN) for col in columns or ()) if known else None}


def _option(node: n.SaveOption, scope: Scope) -> Expr:
    name, value = node.name.text, node.value
    if name in _LATER_OPTIONS:
        scope.session.report(mistakes.not_available(f"save to … with {name}: …", node.span))
    if isinstance(value, n.NameRef) and value.name.text not in scope.values:
        return Literal(value.name.text, STRING)
    found = expressions.elaborate(value, scope.over(None))
    if not is_static(found):
        scope.session.report(mistakes.option_over_rows(name, value.span))
    return found
