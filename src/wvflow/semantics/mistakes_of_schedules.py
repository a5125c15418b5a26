"""The wording of every mistake about schedules, as one set."""

from __future__ import annotations

from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.source import Span


def no_schedule(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISTYPED_PROPERTY,
        "`schedule` wants a cron text, a list of them, or of `{ cron: '…', args: { … } }`",
        use,
        "such as `schedule: '0 2 * * *'`: at two every night",
    )


def no_cron(text: str, why: str, use: Span) -> Diagnostic:
    fields = "minute, hour, day of month, month, day of week"
    return Diagnostic(Code.BAD_SCHEDULE, f"`{text}` says no times: {why}", use, f"the fields are {fields}")


def only_one_gets_through(overlap: str, when: str, second: Span, first: Span) -> Diagnostic:
    fate = "begins" if overlap == "skip" else "gets to its end"
    return Diagnostic(
        Code.COINCIDING_ENTRIES,
        f"two entries are due at the same time ({when}), and with `overlap: {overlap}` only one of their runs {fate}",
        second,
        "write `overlap: queue`, a `concurrency` of 2, or a `concurrency_key` of what tells the runs apart",
        (Note("the other is here", first),),
    )


def schedule_and_interval(second: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_SCHEDULE,
        "a flow has a `schedule` or an `interval`, not both",
        second,
        "leave one out",
        (Note("the other is here", first),),
    )


def unknown_zone(name: str, meant: str, use: Span) -> Diagnostic:
    help_ = f"did you mean `{meant}`?" if meant else "a name of the IANA database, such as `Europe/Berlin`"
    return Diagnostic(Code.BAD_SCHEDULE, f"no time zone named `{name}`", use, help_)


def no_instant(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISTYPED_PROPERTY, f"`{name}` wants a moment such as '2026-01-31' or '2026-01-31T06:00'", use
    )


def over_before_it_starts(end: Span, start: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_SCHEDULE,
        "no time ever comes: the `end` is before the `start`",
        end,
        "give it a later `end`, or an earlier `start`",
        (Note("the start is here", start),),
    )


def no_fires(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_PROPERTY,
        f"`{name}` is about scheduled runs, and the flow has no `schedule` and no `interval`",
        use,
        "give it one, or leave it out",
    )


def missing_in_entry(flow: str, name: str, use: Span, signature: str) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        f"this entry of the schedule gives the runs of `{flow}` no `{name}`",
        use,
        f"write `{{ cron: {use.text}, args: {{ {name}: … }} }}`, or give `{name}` a default",
        (Note(f"it is declared as {signature}"),),
    )


def missing_with_interval(flow: str, name: str, use: Span, signature: str) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        f"the runs of `{flow}` that an `interval` starts have no `{name}`",
        use,
        f"give `{name}` a default, or write a `schedule` of entries with `args`",
        (Note(f"it is declared as {signature}"),),
    )


def argument_not_constant(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_SCHEDULE,
        f"the argument `{name}` of a scheduled run is no constant",
        use,
        "a stage can compute from `run_time`, `window_start` and `window_end`",
    )


def nothing_to_count(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_CONCURRENCY,
        "`concurrency_key` says which runs count together, and the flow has no `concurrency`",
        use,
        "say how many of them may be under way at once: `concurrency: 1`",
    )


def concurrency_beyond_parameters(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_CONCURRENCY,
        "a `concurrency_key` is made of the flow's parameters, by simple operators",
        use,
        "take in as a parameter what tells the runs apart",
    )
