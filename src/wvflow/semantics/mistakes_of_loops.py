"""What is wrong with loops: one constructor for each diagnostic."""

from __future__ import annotations

from collections.abc import Sequence

from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.source import Span


def empty_loop(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.EMPTY_LOOP,
        "this loop repeats nothing",
        use,
        "put what is to be repeated behind it: `while not_done() | process_batch()`",
    )


def second_loop(use: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        Code.EMPTY_LOOP,
        "a loop goes on to the end of its stage, so this one would stand within the first, and a stage has one loop",
        use,
        "for a loop behind the first, read this stage in another one: `stage next = from … | while …`; for one within "
        "it, call a flow that has it: `while … | -> Inner()`",
        (Note("the first one is here", first),),
    )


def loop_changes_columns(before: Sequence[str], behind: Sequence[str], use: Span) -> Diagnostic:
    return Diagnostic(
        Code.LOOP_COLUMNS,
        "the operators of a loop run on their own rows, so these must keep the columns that it begins with",
        use,
        "end it with a `select` of the columns of the beginning, or begin it with those that it comes to have",
        (Note(f"it begins with `{', '.join(before)}`"), Note(f"behind its operators there are `{', '.join(behind)}`")),
    )


def no_rows_to_test(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NEEDS_ROWS,
        "the condition is over rows, and there are none so far",
        use,
        "begin with `from …`, or test what an activity says: `while not_done()`",
    )


def mixed_loop(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MIXED_WAIT,
        f"`while` is about state or about rows: this names the state variable `{name}` and needs rows",
        use,
        f"ask an activity, which is given both: `while goes_on({name}: {name})`",
    )


def no_answer(activity: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.TYPE_MISMATCH,
        f"`{activity}` is the condition of a loop, and gives something else than true or false",
        use,
        "let it return a bool",
    )


def unchanging_loop(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNCHANGING_LOOP,
        "this condition never changes: the loop goes on until the run is cancelled, or never begins",
        use,
        "ask an activity, or the rows so far: `while _.todo > 0`",
    )
