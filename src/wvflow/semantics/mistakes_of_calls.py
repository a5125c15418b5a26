"""What can be wrong with calls of activities, flows and sinks, and with versions: one constructor per diagnostic."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.semantics.mistakes import did_you_mean, listed
from wvflow.source import Span


def unknown_flow(name: str, use: Span, known: Iterable[str], is_activity: bool) -> Diagnostic:
    if is_activity:
        message = f"`{name}` is an activity, and `->` starts a flow"
        return Diagnostic(Code.UNKNOWN_FLOW, message, use, f"write `| {name}(…)`")
    return Diagnostic(Code.UNKNOWN_FLOW, f"no flow named `{name}`", use, did_you_mean(name, known))


def unknown_version(name: str, version: int | None, use: Span, known: Sequence[int]) -> Diagnostic:
    """``version`` None: none is named, where only runs have recorded any."""
    message = f"the flow `{name}` has no version {version}" if version else f"the program has no flow `{name}` any more"
    return Diagnostic(Code.UNKNOWN_FLOW, message, use, f"there is {', '.join(f'@version({one})' for one in known)}")


def duplicate_flow(name: str, version: int, second: Span, first: Span) -> Diagnostic:
    which = f"{name} @version({version})" if version != 1 else name
    way_out = f"rename one of them, or give it a version of its own: `flow {name} @version({version + 1})`"
    message = f"`{which}` is defined twice in this program"
    return Diagnostic(Code.DUPLICATE_NAME, message, second, way_out, (Note("first defined here", first),))


def two_versions(name: str, header: int, use: Span, listed: Span) -> Diagnostic:
    message = f"the flow `{name}` has two versions: `@version({header})` and another among its properties"
    return Diagnostic(Code.BAD_VERSION, message, use, "leave one of them out", (Note("the other one", listed),))


def no_version(name: str, version: int, use: Span, highest: int) -> Diagnostic:
    message = f"`{version}` is no version of the flow `{name}`"
    return Diagnostic(Code.BAD_VERSION, message, use, f"a version is a whole number from 1 to {highest:,}")


def recorded_version(name: str, version: int, use: Span) -> Diagnostic:
    message = f"the program has no version {version} of `{name}` any more; the plan that runs have recorded is used"
    way_out = "define it again, or use one that the program has: a recorded plan goes with its last run"
    return Diagnostic(Code.RECORDED_VERSION, message, use, way_out)


def changed_version(name: str, version: int, use: Span, runs: str) -> Diagnostic:
    message = f"version {version} of `{name}` does something else than {runs}"
    way_out = (
        "a correction needs nothing: runs keep the plan that they began with; "
        f"to have both, name this one `flow {name} @version({version + 1})`"
    )
    return Diagnostic(Code.CHANGED_VERSION, message, use, way_out)


def version_of_no_flow(name: str, kind: str, use: Span) -> Diagnostic:
    message = f"`@version` is of flows, and `{name}` is {kind}"
    return Diagnostic(Code.UNKNOWN_ARGUMENT, message, use, "leave it out")


def flow_as_activity(name: str, use: Span) -> Diagnostic:
    message = f"`{name}` is a flow, and what is called so is an activity"
    return Diagnostic(Code.UNKNOWN_ACTIVITY, message, use, f"write `| -> {name}(…)`")


def no_hook(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISTYPED_PROPERTY,
        f"`{name}` of a flow is a call",
        use,
        "write `activate('log')`, or call an activity or a flow",
    )


def without_child(name: str, stage: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_PROPERTY,
        f"`{name}` is about the run of a flow, and the stage `{stage}` starts none",
        use,
        "start one with `| -> F(…)` or `call F(…)`, or leave it out",
    )


def unknown_activity(name: str, use: Span, known: Iterable[str], modules: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_ACTIVITY,
        f"no activity named `{name}`",
        use,
        did_you_mean(name, known),
        (_searched(modules),),
    )


def activity_undefined(name: str, declared: Span, modules: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        Code.ACTIVITY_UNDEFINED,
        f"the activity `{name}` is declared and has no implementation",
        declared,
        f"write `@activity` above `def {name}(…)` in a module of activities",
        (_searched(modules),),
    )


def no_such_implementation(name: str, use: Span, known: Collection[str]) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_ACTIVITY,
        f"an activity can't be implemented by `{name}(…)`",
        use,
        did_you_mean(name, known) or f"write {listed(list(known))}; or leave it out, and write a Python function",
    )


def no_target(use: Span, known: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        "`activate` needs the name of a target before all other arguments",
        use,
        f"write `activate('{known[0]}', …)`; there are {listed(known)}",
    )


def unknown_sink(name: str, use: Span, known: Sequence[str], *, strict: bool) -> Diagnostic:
    outcome = "the attempt will fail" if strict else "the delivery will only be logged"
    return Diagnostic(
        Code.UNKNOWN_SINK,
        f"no sink named `{name}`: {outcome}",
        use,
        did_you_mean(name, known) or f"write a function with `@sink('{name}')` in a module of activities",
    )


def _searched(modules: Sequence[str]) -> Note:
    return Note(f"searched: {listed(modules)}" if modules else "there are no modules of activities")


def needs_rows(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NEEDS_ROWS,
        f"the activity `{name}` takes rows, and `call` gives it none",
        use,
        f"write `from … | {name}(…)`",
    )


def argument_over_rows(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT,
        "an argument of an activity is a value without rows",
        use,
        "compute it as a column before the activity and write `_.column`",
    )


def argument_needs_engine(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT,
        "this can't be computed without an engine",
        use,
        "compute it as a column before the activity and write `_.column`",
    )


def no_input_row(use: Span) -> Diagnostic:
    return Diagnostic(Code.NEEDS_ROWS, "`call` has no input row to take a value from", use)


def parameter_left_out(activity: str, parameter: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        f"the function `{activity}` needs `{parameter}`, which is not declared here",
        use,
        "declare it, or give it a default in Python",
    )


def other_result(activity: str, declared: object, found: object, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT, f"`{activity}` is declared to give {declared}, and the function gives {found}", use
    )


def unused_parameter(activity: str, parameter: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_ARGUMENT,
        f"the function `{activity}` has no parameter `{parameter}`",
        use,
        "declare the parameters that the function has",
    )
