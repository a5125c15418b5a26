"""``route``: which rows of a stage go to which of its readers (flow language, section 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from wvflow.lang.algebra import Binary, Branch, Call, Case, Expr, Filter, Literal, Rel, StageRows
from wvflow.lang.relations import rebuilt
from wvflow.lang.types import BOOLEAN, LONG, STRING
from wvflow.semantics import expressions, sources
from wvflow.semantics import mistakes_of_flows as mistakes
from wvflow.semantics.checked import CheckedMap, CheckedStage, LoopStep, RouteStep, RowsStep, Step, UntilStep
from wvflow.semantics.scopes import Scope, Shape
from wvflow.semantics.session import Session
from wvflow.source import Span
from wvflow.syntax.nodes import RouteCase, RouteOp

BUCKETS = 1_000_000
"""Rows are split by hash into so many parts; a share of one percent is a hundredth of them."""


def route_step(node: RouteOp, shape: Shape, scope: Scope) -> RouteStep:
    """The targets of a stage's rows, and for each row the name of its own."""
    for case in node.cases:
        if case.target.text not in scope.stages or case.target.text == scope.stage:
            scope.session.report(sources.not_a_stage(case.target, scope))
    cases = [case for case in node.cases if case.condition is not None or case.share is not None]
    branches = _by_hash(node.key, cases, shape, scope) if node.key is not None else _in_turn(cases, shape, scope)
    rest = next((case.target.text for case in node.cases if case not in cases), None)
    otherwise = None if rest is None else Literal(rest, STRING)
    label = Case(branches, otherwise, type=STRING) if branches else otherwise or Literal(None, STRING)
    targets: dict[str, Span] = {}
    for case in node.cases:
        targets.setdefault(case.target.text, case.target.span)
    return RouteStep(label, targets, tuple((_written(case), case.target.text) for case in node.cases))


def _written(case: RouteCase) -> str:
    """What stands before the arrow."""
    if case.share is not None:
        return f"{case.share.text}%"
    return "else" if case.condition is None else " ".join(case.condition.span.text.split())


def _in_turn(cases: Sequence[RouteCase], shape: Shape, scope: Scope) -> tuple[Branch, ...]:
    """The first condition that is true wins."""
    found: dict[Expr, Span] = {}
    branches: list[Branch] = []
    for case in cases:
        assert case.condition is not None
        condition = expressions.condition(case.condition, scope.over(shape))
        earlier = found.get(condition) or found.get(Literal(True, BOOLEAN))
        if earlier is not None:
            scope.session.report(mistakes.shadowed_case(case.span, earlier))
        found.setdefault(condition, case.span)
        branches.append(Branch(condition, Literal(case.target.text, STRING)))
    return tuple(branches)


def _by_hash(key: Any, cases: Sequence[RouteCase], shape: Shape, scope: Scope) -> tuple[Branch, ...]:
    """Shares of the buckets, one behind the other; a null key is in none."""
    bucket = Call("route_bucket", (expressions.elaborate(key, scope.over(shape)),), type=LONG)
    branches: list[Branch] = []
    upper = Decimal(0)
    for case in cases:
        assert case.share is not None
        upper += Decimal(case.share.text)
        below = Literal(int(upper * BUCKETS / 100), LONG)
        branches.append(Branch(Binary("<", bucket, below, BOOLEAN), Literal(case.target.text, STRING)))
    if upper > 100:
        scope.session.report(mistakes.too_large_shares(str(upper), cases[-1].span))
    return tuple(branches)


def routed(stages: Sequence[CheckedStage], session: Session) -> tuple[CheckedStage, ...]:
    """The stages, each target reading only the rows that are its own."""
    labels: dict[str, dict[str, Expr]] = {}
    names = {stage.name: stage for stage in stages}
    for stage in stages:
        step = stage.steps[-1]
        if not isinstance(step, RouteStep):
            continue
        for target, use in step.targets.items():
            if (reader := names.get(target)) is None or target == stage.name:
                continue
            if stage.name not in reader.upstreams or stage.name in reader.controls:
                session.report(mistakes.target_reads_nothing(target, stage.name, use, reader.span))
            labels.setdefault(target, {})[stage.name] = step.label
    return tuple(_reading(stage, labels[stage.name]) if stage.name in labels else stage for stage in stages)


def _reading(stage: CheckedStage, labels: Mapping[str, Expr]) -> CheckedStage:
    own = Literal(stage.name, STRING)

    def change(new: Any, _: Any) -> Any:
        if isinstance(new, StageRows) and new.stage in labels:
            return Filter(new, Binary("=", labels[new.stage], own, BOOLEAN))
        return new

    def over(rel: Rel) -> Rel:
        found: Rel = rebuilt(rel, change)
        return found

    def change_step(step: Step) -> Step:
        match step:
            case RowsStep(relation=relation):
                return RowsStep(over(relation))
            case UntilStep(condition=condition):
                return step._replace(condition=over(condition))
            case LoopStep(condition=condition) if isinstance(condition, Rel):
                return step._replace(condition=over(condition))
            case _:
                return step

    steps = tuple(map(change_step, stage.steps))
    how = stage.map
    if how is not None:
        how = CheckedMap(over(how.rows), None if how.members is None else over(how.members))
    return replace(stage, steps=steps, input=None if stage.input is None else over(stage.input), map=how)


def check_ends(stages: Sequence[CheckedStage], session: Session) -> None:
    """Nobody reads a stage whose branch ends with ``end()``."""
    ended = {stage.name: stage.end for stage in stages if stage.end is not None}
    for stage in stages:
        for name, use in stage.upstreams.items():
            if name in ended and name not in stage.controls:
                session.report(mistakes.reads_an_end(name, use, ended[name]))
