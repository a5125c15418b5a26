"""Idempotency keys: what a stage is done once for, and where a key is missing (flow language, sections 7 and 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from wvflow.lang import builtins
from wvflow.lang.algebra import Call, Exists, Expr, InQuery, Literal, ScalarQuery, Window
from wvflow.lang.evaluate import is_static
from wvflow.lang.keys import IDEMPOTENCY_KEY as PROPERTY
from wvflow.lang.keys import is_delivery
from wvflow.lang.properties import UNLIMITED
from wvflow.lang.relations import nodes, own_nodes
from wvflow.lang.stdlib import AGGREGATES
from wvflow.lang.types import Type
from wvflow.semantics import expressions
from wvflow.semantics import mistakes_of_keys as flow_mistakes
from wvflow.semantics.checked import (
    CallStep,
    CheckedKey,
    CheckedStage,
    ChildStep,
    DebugStep,
    DeleteStep,
    LoopStep,
    RouteStep,
    RowsStep,
    SaveStep,
    Settings,
    SignalStep,
    StateStep,
    Step,
    TestStep,
    UntilStep,
    WaitStep,
)
from wvflow.semantics.infer import type_of
from wvflow.semantics.names import NOTHING
from wvflow.semantics.properties import Read, read_settings
from wvflow.semantics.scopes import Scope, Shape
from wvflow.semantics.session import Session
from wvflow.source import Span
from wvflow.syntax import nodes as n
from wvflow.syntax.walk import walk

_OF_KEYS = ("idempotency_ttl", "idempotency_conflict")
_BY_KEY = (RowsStep, SaveStep, DeleteStep, CallStep, TestStep, DebugStep, RouteStep)
_NOT_BY_KEY: Mapping[type, str] = {ChildStep: "a call of a flow", LoopStep: "a loop"}
_WAITS = (WaitStep, UntilStep, StateStep, SignalStep)
_COMPOSITE = frozenset({"array", "map", "struct", "json", "blob", "bytes"})
_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_METHODS = {"builtin.http": "GET", "sink.webhook": "POST"}
"""What is sent by a method, and by which where none is given."""
_EFFECTS = frozenset({"builtin.shell", "builtin.email", "sink.email"})


class FirstEffect(NamedTuple):
    """Where a stage's first effect stands among its steps, and the rows that reach it, None for none."""

    at: int
    rows: Shape | None


# --- the key of a stage ---------------------------------------------------------------------------------------------


def read_key(read: Read, effect: FirstEffect | None, steps: Sequence[Step], scope: Scope) -> CheckedKey | None:
    """A stage's key, None where it has none or a wrong one, which is reported."""
    node, session = read.expressions.get(PROPERTY), scope.session
    if node is None:
        strays = [one for one in _OF_KEYS if one in read.values]
        session.report(*[flow_mistakes.without_key(one, read.spans[one]) for one in strays])
        return None
    if effect is None:
        session.report(flow_mistakes.key_without_effect(scope.stage, read.spans[PROPERTY]))
        return None
    by_row = any(isinstance(one, n.Underscore) for one in walk(node))
    if by_row and effect.rows is None:
        session.report(flow_mistakes.key_without_rows(node.span))
        return None
    key = _over_rows(node, effect.rows, scope) if by_row else _of_run(node, scope)
    _check_steps(steps[effect.at :], read.spans[PROPERTY], session, by_row=by_row)
    return None if key is None else CheckedKey(key, by_row)


def _over_rows(node: n.Expr, rows: Shape | None, scope: Scope) -> Expr | None:
    found = expressions.elaborate(node, scope.over(None if rows is None else Shape(rows.columns)))
    own = list(own_nodes(found))
    several = (isinstance(one, Call) and one.function.lower() in AGGREGATES for one in own)
    if any(several) or any(isinstance(one, Window | ScalarQuery | Exists | InQuery) for one in own):
        scope.session.report(flow_mistakes.key_over_several(node.span))
        return None
    return plain(found, node.span, scope.session)


def _of_run(node: n.Expr, scope: Scope) -> Expr | None:
    if any(isinstance(one, n.Subquery | n.ExistsExpr) for one in walk(node)):
        scope.session.report(flow_mistakes.key_over_several(node.span))
        return None
    found = expressions.elaborate(node, replace(scope.over(None), for_when=True))
    if not any(one is NOTHING for one in nodes(found)) and not is_static(found, cells=True):
        scope.session.report(flow_mistakes.key_needs_engine(node.span))
        return None
    return plain(found, node.span, scope.session)


def plain(found: Expr, use: Span, session: Session) -> Expr | None:
    """The key, if it can be told as text in one way only."""
    if any(one is NOTHING for one in nodes(found)):
        return None  # reported already
    type_ = type_of(found)
    if _is_composite(type_) or found == Literal(None, type_):
        session.report(flow_mistakes.key_of_no_value(type_, use))
        return None
    return found


def _is_composite(type_: Type) -> bool:
    return type_.is_known and type_.name in _COMPOSITE


def is_effect(step: Step) -> bool:
    """Whether it is done once for each key, and not anew by everybody who comes with one."""
    return isinstance(step, CallStep | ChildStep | SaveStep | DeleteStep)


def _check_steps(steps: Sequence[Step], use: Span, session: Session, *, by_row: bool) -> None:
    """What is done key by key ends when it returns, and doesn't undo what was done for the key before. ``steps``: from
    the first effect on."""
    begun = False
    for step in steps:
        if isinstance(step, LoopStep):
            session.report(*([flow_mistakes.loop_behind_effect(step.span)] if by_row else []))
        elif isinstance(step, ChildStep):
            session.report(flow_mistakes.flow_under_key(step.flow.flow, use))
        elif isinstance(step, _WAITS) and begun:
            session.report(flow_mistakes.wait_behind_effect(use))
        elif isinstance(step, SaveStep) and step.save.mode == "replace":
            found = flow_mistakes.replaced_by_each_key if by_row else flow_mistakes.replaced_under_one_key
            session.report(found(str(step.save.target), use))
        begun = is_effect(step) or (begun and not isinstance(step, LoopStep))


def done_otherwise(steps: Sequence[Step]) -> list[str]:
    """Which of these can't be done key by key, in words."""
    return [_NOT_BY_KEY.get(type(step), "a wait") for step in steps if not isinstance(step, _BY_KEY)]


# --- where a key is missing -----------------------------------------------------------------------------------------


def check_retries(stage: CheckedStage, below: Settings, session: Session) -> None:
    """Warn of a stage that is retried, does something to the outside world, and has no key. ``below``: the settings
    that hold where neither the stage nor an activity has its own."""
    if PROPERTY in stage.settings or stage.key is not None:
        return
    calls = [step for step in stage.steps if isinstance(step, CallStep) and _has_effect(step, session)]
    retried = [one for one in calls if _retries({**below, **_own(one, session), **stage.settings})]
    session.report(*[flow_mistakes.retries_without_key(stage.name, _called(one), stage.span) for one in retried[:1]])


def _retries(settings: Settings) -> bool:
    found = settings.get("retries", 0)
    return found == UNLIMITED or (isinstance(found, int) and found > 0)


def _own(step: CallStep, session: Session) -> Mapping[str, object]:
    """What its decorator and its declaration set; what is wrong with these is told where they stand."""
    known, declared = session.catalog.activities.get(step.policy_of), session.definitions.activities.get(step.policy_of)
    found: dict[str, object] = {**known.properties} if known else {}
    if declared is not None:
        with session.apart():
            found |= read_settings(declared.configs, "activity", session).values
    return found


def _called(step: CallStep) -> str:
    return f"activate('{step.activity}', …)" if is_delivery(step.function) else f"{step.activity}(…)"


def _has_effect(step: CallStep, session: Session) -> bool:
    """Whether to do it twice is to do something twice. Of registered functions, those that give nothing back are there
    for what they do; the others may as well only look something up."""
    if step.function in _METHODS:
        return _method(step) not in _REPEATABLE_METHODS
    if step.function in builtins.KEYS:
        return step.function in _EFFECTS
    known = session.catalog.activities.get(step.function or step.activity)
    return known is not None and (is_delivery(step.function) or known.returns == "nothing")


def _method(step: CallStep) -> str:
    given = next((one.value for one in step.arguments if one.name == "method"), None)
    return str(given.value) if isinstance(given, Literal) else _METHODS[step.function]
