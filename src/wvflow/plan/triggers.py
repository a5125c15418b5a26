"""Triggers in the language's spelling."""

from __future__ import annotations

from collections.abc import Callable

from wvflow.plan.nodes import AllOf, Condition, Negation, StateIs, Trigger
from wvflow.plan.refs import StageId

NameOf = Callable[[StageId], str]


def condition_text(condition: Condition, name_of: NameOf) -> str:
    """An ``if`` as it may be written.

    >>> failed, done = StateIs(StageId(0), "failed"), StateIs(StageId(1), "done")
    >>> condition_text(AllOf((Negation(failed), done)), "ab".__getitem__)
    'not a.failed and b.done'
    """
    match condition:
        case StateIs(stage=stage, state=state):
            return f"{name_of(stage)}.{state}"
        case Negation(operand=operand):
            return f"not {_inner(operand, name_of)}"
        case _:
            word = " and " if isinstance(condition, AllOf) else " or "
            return word.join(_inner(one, name_of) for one in condition.operands)


def _inner(condition: Condition, name_of: NameOf) -> str:
    text = condition_text(condition, name_of)
    return text if isinstance(condition, StateIs | Negation) else f"({text})"


def trigger_text(trigger: Trigger, name_of: NameOf) -> str:
    """A trigger in a few words, empty for the default.

    >>> trigger_text(Trigger("one_success", eager=True), str)
    'trigger: one_success, eager'
    """
    if trigger.condition is not None:
        return f"if {condition_text(trigger.condition, name_of)}"
    rule = "" if trigger.rule == "all_success" else f"trigger: {trigger.rule}"
    return f"{rule}, eager" if trigger.eager else rule
