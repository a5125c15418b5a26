"""Bodies of stages and statements: runs of relational operators with effects between them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from wvflow.lang.algebra import Alias, Filter, Piped, Rel
from wvflow.plan.tasks import Save, Test
from wvflow.semantics import grouping, mistakes_of_calls, mistakes_of_properties, reshaping
from wvflow.semantics import mistakes_of_flows as flow_mistakes
from wvflow.semantics.activities import call_activity
from wvflow.semantics.checked import ChildStep, DebugStep, DeleteStep, LoopStep, RowsStep, SaveStep, Step, TestStep
from wvflow.semantics.children import call_flow, is_flow
from wvflow.semantics.dependencies import check_has_ended
from wvflow.semantics.keys import FirstEffect
from wvflow.semantics.loops import check_loop, loop_step
from wvflow.semantics.maps import own_row
from wvflow.semantics.mistakes_of_loops import second_loop
from wvflow.semantics.observing import handed, stage_debug, stage_test
from wvflow.semantics.relations import beginning, operate, unwrapped
from wvflow.semantics.routes import route_step
from wvflow.semantics.scopes import Relation, Scope, Shape
from wvflow.semantics.session import Known
from wvflow.semantics.sinks import activate
from wvflow.semantics.updates import columns_saved, deleted, read_save, read_target
from wvflow.semantics.waits import is_rowless, signal_step, until_step, wait_step
from wvflow.source import Span
from wvflow.syntax import nodes as n

_LOOKING = (n.TestOp, n.DebugOp, n.WaitOp, n.WaitUntilOp, n.WaitForOp, n.WhileOp)
_OF_ROWS = (n.SaveOp, n.AppendOp, n.ActivateOp, n.TestOp, n.DebugOp)

Effect: TypeAlias = (
    n.Update
    | n.ApplyOp
    | n.CallOp
    | n.ActivateOp
    | n.TestOp
    | n.DebugOp
    | n.InvokeOp
    | n.WaitOp
    | n.WaitUntilOp
    | n.WaitForOp
    | n.WhileOp
)


class Run(NamedTuple):
    """Relational operators up to an effect, which is None at the end of a body."""

    operators: tuple[n.Operator, ...]
    effect: Effect | None


class Looping(NamedTuple):
    """The loop of a body. ``before``: the shape of the rows that it begins with."""

    step: LoopStep
    before: Shape


class StageBody(NamedTuple):
    """What a stage does, in order, and the rows that its readers see. ``input``: the rows that it begins with, None
    where it begins with a call or a `select` of its own. ``saved``: the columns of the tables and files it writes.
    ``end``: the ``end()`` that it ends with, ``jump`` the flow that follows. ``effect``: where the first thing is done
    that is more than to look at rows, None where nothing is."""

    steps: tuple[Step, ...]
    shape: Shape
    input: Rel | None
    saved: dict[Rel, Known]
    end: Span | None
    jump: ChildStep | None = None
    effect: FirstEffect | None = None


def stage_steps(node: n.Query, scope: Scope, *, each: Span | None = None) -> StageBody:
    """A stage's body; with ``each`` (where it stands) that of an instance, which begins with one of the rows."""
    body = unwrapped(node, scope)
    steps: list[Step] = []
    first: FirstEffect | None = None
    if isinstance(body.input, n.CallInput):
        first = FirstEffect(0, None)
        found = _called(body.input, Shape(), steps, scope, piped=False)
    else:
        found = beginning(body.input, body.scope)
    rowless = body.input is None and scope.forking is None  # it begins with a wait
    source = found.rel if isinstance(body.input, n.From | n.Merge | None) and not rowless else None
    if each is not None and source is None:
        scope.session.report(mistakes_of_properties.nothing_to_split(each))
    elif each is not None:
        found = own_row(found, each, scope)
    saved: dict[Rel, Known] = {}
    loop: Looping | None = None
    operators, last = _last_apart(body.operators)
    for run in _runs(operators):
        if rowless:
            _check_needs(run, scope)
        found = operate(found, run.operators, body.scope)
        if run.effect is not None:
            _flush(found, steps)
            if first is None and not isinstance(run.effect, _LOOKING):
                first = FirstEffect(len(steps), None if rowless else found.shape)
            if isinstance(run.effect, n.DeleteOp):
                steps += _deleted(run, found.rel, run.effect.span, body.scope)
            before = found.shape
            found = _effect(run.effect, None if rowless else found.shape, steps, body.scope)
            rowless = rowless and (not steps or is_rowless(steps[-1]))
        if isinstance(run.effect, n.WhileOp):
            loop = _begun(loop, steps, before, body.scope)
        if isinstance(run.effect, n.SaveOp | n.AppendOp) and isinstance(step := steps[-1], SaveStep):
            saved |= columns_saved(step.save, found.shape.columns)
    if not _is_handed(found.rel) or not steps:
        steps.append(RowsStep(found.rel))
    if loop is not None:
        repeated = steps[steps.index(loop.step) + 1 :]
        found = found._replace(shape=check_loop(loop.step, loop.before, found.shape, repeated, body.scope))
    if isinstance(last, n.RouteOp):
        steps.append(route_step(last, found.shape, body.scope))
    jump = None
    if isinstance(last, n.InvokeOp):
        jump = call_flow(last.call, last.version, Shape(), body.scope, piped=False, apart=False)
        if jump is not None:
            check_has_ended(jump[0], last.call.span, scope.session)
    return StageBody(
        tuple(steps),
        found.shape.named(""),
        source,
        saved,
        last.span if isinstance(last, n.EndOp) else None,
        None if jump is None else jump[0],
        first,
    )


def _begun(loop: Looping | None, steps: list[Step], before: Shape, scope: Scope) -> Looping | None:
    """The loop that the last step begins; the first one stands."""
    step = steps[-1]
    if not isinstance(step, LoopStep):
        return loop
    if loop is not None:
        scope.session.report(second_loop(step.span, loop.step.span))
        return loop
    return Looping(step, before)


def _last_apart(operators: tuple[n.Operator, ...]) -> tuple[tuple[n.Operator, ...], n.Operator | None]:
    """The operators up to the one that says where the rows go from here; what stands behind it is told already."""
    for index, operator in enumerate(operators):
        if isinstance(operator, n.RouteOp | n.ForkOp | n.EndOp) or _is_jump(operator):
            return operators[:index], operator
    return operators, None


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


def _check_needs(run: Run, scope: Scope) -> None:
    """Behind a wait that begins a stage there are no rows yet."""
    wants = [one for one in run.operators[:1] if not isinstance(one, n.WhileOp)]
    wants += [run.effect] if isinstance(run.effect, _OF_ROWS) and not run.operators else []
    scope.session.report(*[flow_mistakes.rows_of_a_wait(one.span) for one in wants])


def _is_handed(rel: Rel) -> bool:
    return isinstance(rel.input if isinstance(rel, Alias) and not rel.columns else rel, Piped)


def _effect(effect: Effect, rows: Shape | None, steps: list[Step], scope: Scope) -> Relation:
    """The rows behind an effect; a save, a delivery and a wait pass their own on. ``rows`` None: there are none."""
    shape = rows or Shape()
    if isinstance(effect, n.ApplyOp | n.CallOp | n.InvokeOp):
        return _called(effect, shape, steps, scope, piped=rows is not None, apart=isinstance(effect, n.CallOp))
    match effect:
        case n.WaitOp() | n.WaitUntilOp():
            return _wait(effect, rows, steps, scope)
        case n.WaitForOp():
            behind, signal = signal_step(effect, scope)
            steps.append(signal)
            return behind
        case n.WhileOp():
            steps.append(loop_step(effect, rows, scope))
            return handed(shape)
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
            steps.append(SaveStep(read_save(effect, scope.over(shape))))
        case n.AppendOp(target=target, columns=columns):
            listed = tuple(name.text for name in columns)
            steps.append(SaveStep(Save(read_target(target, scope), mode="append", by=listed)))
        case n.DeleteOp():
            pass
    return Relation(Piped(), shape.named(""))


def _deleted(run: Run, rel: Rel, use: Span, scope: Scope) -> list[Step]:
    if (taken := deleted(run.operators, rel, use, scope)) is None:
        return []
    table, condition = taken
    return [DeleteStep(table if condition is None else Filter(table, condition), table)]


def _test(test: Test | None, steps: list[Step]) -> None:
    """Tests right behind each other are one step."""
    tests = () if test is None else (test,)
    match steps:
        case [*_, TestStep(tests=before)]:
            steps[-1] = TestStep((*before, *tests))
        case _:
            steps.append(TestStep(tests))


def _is_jump(operator: n.Operator) -> bool:
    return isinstance(operator, n.InvokeOp) and operator.jump


def _wait(effect: n.WaitOp | n.WaitUntilOp, rows: Shape | None, steps: list[Step], scope: Scope) -> Relation:
    if isinstance(effect, n.WaitOp):
        steps.append(wait_step(effect, scope))
        return Relation(Piped(), rows.named("") if rows else Shape())
    own, step = until_step(effect, rows, scope)
    if own is not None:
        _flush(own, steps)
        rows = own.shape
    steps.append(step)
    return Relation(Piped(), rows.named("") if rows else Shape())


def _called(
    node: n.CallInput | n.ApplyOp | n.CallOp | n.InvokeOp,
    shape: Shape,
    steps: list[Step],
    scope: Scope,
    *,
    piped: bool,
    apart: bool = False,
) -> Relation:
    """A call of an activity or, behind ``call`` and ``->``, of a flow."""
    call, version = node.call, None if isinstance(node, n.ApplyOp) else node.version
    by_word = isinstance(node, n.CallInput | n.CallOp)
    if isinstance(node, n.InvokeOp) or (by_word and is_flow(call.function.text, scope.session)):
        started = call_flow(call, version, shape, scope, piped=piped, apart=apart)
        if started is not None:
            check_has_ended(started[0], call.span, scope.session)
            steps.append(started[0])
        return Relation(Piped(), Shape(None if started is None else started[1]))
    if version is not None:
        scope.session.report(
            mistakes_of_calls.version_of_no_flow(call.function.text, "an activity", call.function.span)
        )
    called = call_activity(call, shape, scope, piped=piped, apart=apart)
    if called is None:
        return Relation(Piped(), Shape())
    step, behind = called
    steps.append(step)
    return behind
