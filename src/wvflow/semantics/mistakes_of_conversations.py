"""What can be wrong with signals, updates and the state of runs: one constructor per diagnostic."""

from __future__ import annotations

from collections.abc import Sequence

from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.semantics.mistakes import did_you_mean, listed
from wvflow.source import Span


def unknown_signal(name: str, use: Span, known: Sequence[str]) -> Diagnostic:
    declare = f"declare it in the flow: `signal {name}`"
    return Diagnostic(
        Code.UNKNOWN_SIGNAL, f"no signal named `{name}` in this flow", use, did_you_mean(name, known) or declare
    )


def unknown_variable(action: str, use: Span, known: Sequence[str]) -> Diagnostic:
    variable = action.removeprefix("set_")
    declare = f"declare it in the flow: `state {variable} = …`"
    return Diagnostic(
        Code.UNKNOWN_VARIABLE,
        f"`{action}` sets no state variable of this flow",
        use,
        did_you_mean(action, known) or declare,
    )


def no_action(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NO_ACTION,
        f"`{name}` is no action of a message",
        use,
        "a signal or update sets variables, as in `set_approved(true)`, and an update may end with one call of an "
        "activity; what else is to be done then is a stage, behind `wait for` or `wait until`",
    )


def set_twice(variable: str, second: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        Code.NO_ACTION,
        f"`{variable}` is set twice, and all actions of a message apply together",
        second,
        "leave one out",
        (Note("first set here", first),),
    )


def one_value_wanted(action: str, given: int, use: Span) -> Diagnostic:
    variable = action.removeprefix("set_")
    return Diagnostic(
        Code.BAD_ARGUMENT, f"`{action}` takes one value, this has {given}", use, f"`{action}({variable})`"
    )


def hidden_state(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NAME_HIDES_COLUMN,
        f"the column `{name}` hides the state variable of that name",
        use,
        f"write `_.{name}` for the column; for the variable, rename one of the two",
    )


def mistyped_state(variable: str, wanted: object, found: object, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT, f"the state variable `{variable}` is of type {wanted}, and this is {found}", use
    )


def paused_is_there(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_NAME,
        "every flow has the state variable `paused`",
        use,
        "leave it out; it is false until something sets it",
    )


def state_misplaced(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.STATE_MISPLACED,
        f"the state variable `{name}` has no value here",
        use,
        "it is known in `while`, `wait until`, `when`, signals and updates, in arguments of activities and flows, "
        "and in values that a run is asked for; rows that it is asked for read it `from state`, those of a stage what "
        "an activity made of it",
    )


def handler_needs_rows(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.HANDLER_NEEDS_ROWS,
        "state is made of values alone: this needs rows or an engine",
        use,
        "use comparisons, arithmetic, `in`, `like`, `case` and simple functions of text and dates",
    )


def update_condition_wanted(type: object, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, f"`where` of an update wants true or false, this is {type}", use)


def mixed_wait(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MIXED_WAIT,
        f"`wait until` is about state or about rows: this names the state variable `{name}` and needs rows",
        use,
        "write two waits, one behind the other",
    )


def unheard_signal(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNHEARD_SIGNAL,
        f"nothing waits for the signal `{name}`, and it sets nothing",
        use,
        f"wait for it in a stage, as in `wait for {name}`, or give it actions",
    )


def never_set(variables: Sequence[str], use: Span) -> Diagnostic:
    names, verb = listed(variables), "is" if len(variables) == 1 else "are"
    return Diagnostic(
        Code.NEVER_SET,
        f"this waits for {names}, which {verb} never set",
        use,
        f"let a signal set it: `signal … = set_{variables[0]}(…)`",
    )


def count_called(name: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.UNKNOWN_NAME, f"`{name}` is a value, no function", use, f"write `{name}`")


def function_uncalled(name: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.UNKNOWN_NAME, f"`{name}` is a function, no value", use, f"write `{name}()`")


def action_in_query(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        f"`{name}` is an action of a signal or update, and a query changes nothing",
        use,
        f"let an update do it: `update … = {name}(…)`",
    )
