"""What can be wrong with what undoes a stage: one constructor per diagnostic."""

from __future__ import annotations

from collections.abc import Iterable

from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.semantics.mistakes import did_you_mean
from wvflow.source import Span


def lonely_compensate_on(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.LONELY_COMPENSATE_ON,
        "`compensate_on` says when a stage is undone, and nothing undoes this one",
        use,
        "set `compensate: NAME`, or leave it out",
    )


def bad_compensation(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_COMPENSATION,
        "what undoes a stage is a stage, a flow, an activity or a table function",
        use,
        "write its name, or a call: `compensate: cancel(reason: 'late')`",
    )


def unknown_compensation(name: str, use: Span, known: Iterable[str]) -> Diagnostic:
    return Diagnostic(
        Code.BAD_COMPENSATION,
        f"no stage, flow, activity or table function is named `{name}`",
        use,
        did_you_mean(name, known) or f"define it: `activity {name} = …`, or a Python function with `@activity`",
    )


def computes_a_value(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_COMPENSATION,
        f"`{name}` is a function of values, and undoes nothing",
        use,
        f"name an activity, or make it a part of a query that ends in one: `def {name} = select id | cancel()`",
    )


def delivers(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_COMPENSATION,
        "what undoes a stage is a stage, a flow, an activity or a table function, and `activate` delivers rows",
        use,
        "put it in a stage and name that one: `stage undo = from _ | activate(…)`",
    )


def in_compensation(found: Diagnostic, name: str, owner: str) -> Diagnostic:
    """What was found in a part of a query that undoes a stage: nothing can be put behind its application there."""
    if found.code is not Code.PARTIAL_QUERY_BODY:
        return found
    undo = f"undo_{owner}"
    stage = f"`stage {undo} = from _ | {name} | append to …`"
    return found._replace(help=f"put it in a stage, {stage}, and name that one: `compensate: {undo}`")


def undoes_itself(name: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_COMPENSATION, f"`{name}` can't undo itself", use, "name another stage, or an activity")


def arguments_of_stage(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_COMPENSATION,
        f"`{name}` is a stage, and has no arguments",
        use,
        f"write `compensate: {name}`; it reads the rows to undo with `from _`",
    )


def misplaced_in_compensation(what: str, name: str, use: Span, owner: str, named: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_IN_COMPENSATION,
        f"`{name}` runs only to undo `{owner}`, so it can't have {what}",
        use,
        "leave it out",
        (Note(f"`{owner}` names it here", named),),
    )


def reads_compensation(name: str, reader: str, use: Span, owner: str, named: Span) -> Diagnostic:
    return Diagnostic(
        Code.READS_COMPENSATION,
        f"`{name}` runs only to undo `{owner}`, so `{reader}` can't depend on it",
        use,
        None,
        (Note(f"`{owner}` names it here", named),),
    )


def no_undo(name: str, use: Span, earlier: str, place: Span) -> Diagnostic:
    return Diagnostic(
        Code.NO_UNDO,
        f"`{name}` has no `compensate`: where the run fails, `{earlier}` before it is undone, and it is not",
        use,
        f"set `compensate: NAME` on `{name}`",
        (Note(f"`{earlier}` has one", place),),
    )


def nothing_to_undo(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NOTHING_TO_UNDO,
        f"`{name}` changes nothing, so there is never anything to undo",
        use,
        "leave `compensate` out",
    )


def undoes_nothing(name: str, use: Span, *, is_stage: bool) -> Diagnostic:
    """``is_stage``: or else a part of a query, which can't save."""
    save = "let it end in an activity, or in `save to`, `append to` or `delete`"
    return Diagnostic(
        Code.UNDOES_NOTHING,
        f"`{name}` only computes rows, so it undoes nothing",
        use,
        save if is_stage else f"let it end in an activity: `def {name} = … | cancel()`",
    )


def child_undoes_itself(flow: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.CHILD_UNDOES_ITSELF,
        f"a child that is terminated runs none of the compensations that `{flow}` has itself",
        use,
        "set `parent_close: request_cancel`: then it undoes what it did before this stage is undone",
    )
