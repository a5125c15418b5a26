"""What can be wrong with properties of stages, activities and flows: one constructor per diagnostic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.semantics.mistakes import did_you_mean
from wvflow.source import Span


def unknown_property(name: str, what: str, use: Span, near: str | None, elsewhere: str) -> Diagnostic:
    """``elsewhere``: how to set ``near``, where it can't stand here either."""
    meant = f"did you mean `{near}`?{f' {elsewhere}' if elsewhere else ''}" if near else None
    own = f"a property of your own begins with `x_`: `x_{name}`"
    return Diagnostic(Code.UNKNOWN_PROPERTY, f"{what} has no property `{name}`", use, meant or own)


def mistyped_property(name: str, wanted: str, use: Span, given: object, words: Iterable[str]) -> Diagnostic:
    help_ = did_you_mean(given, words) if isinstance(given, str) else None
    return Diagnostic(Code.MISTYPED_PROPERTY, f"`{name}` wants {wanted}", use, help_)


def misplaced_property(name: str, what: str, owner: str, use: Span, help: str) -> Diagnostic:
    message = f"`{name}` is no property of {what}, but of {owner}"
    return Diagnostic(Code.MISPLACED_PROPERTY, message, use, help)


def duplicate_property(name: str, second: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_PROPERTY,
        f"`{name}` is set twice",
        second,
        "leave one out",
        (Note("first set here", first),),
    )


def property_not_available(shown: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.NOT_AVAILABLE, f"the property `{shown}` is not available yet", use)


def unknown_pool(name: str, use: Span, known: Sequence[str]) -> Diagnostic:
    add = f"add it to the project file: [pools], `{name} = 4`"
    return Diagnostic(Code.UNKNOWN_POOL, f"the project has no pool `{name}`", use, did_you_mean(name, known) or add)


def unknown_row_type(name: str, use: Span, known: Iterable[str]) -> Diagnostic:
    help_ = did_you_mean(name, known) or f"define it: `type {name} = {{ id: long }}`"
    return Diagnostic(Code.UNKNOWN_TYPE, f"no row type named `{name}`", use, help_)


def other_columns(name: str, wrong: Sequence[str], use: Span, definition: Span) -> Diagnostic:
    notes = (*[Note(one) for one in wrong], Note(f"`{name}` is defined here", definition))
    return Diagnostic(
        Code.OTHER_COLUMNS,
        f"the stage's columns are not those of its type `{name}`",
        use,
        "change the body, or the type",
        notes,
    )


def condition_over_rows(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISTYPED_PROPERTY,
        "`when` is decided before the stage reads a row, from values of the run and `s.col` of other stages",
        use,
        "test rows in the body, with `where`, or skip a stage without input by `skip_empty: true`",
    )


def condition_needs_engine(use: Span) -> Diagnostic:
    help_ = "use comparisons, arithmetic, `in`, `like`, `case` and simple functions of text and dates"
    return Diagnostic(Code.MISTYPED_PROPERTY, "`when` can't be decided without an engine", use, help_)


def condition_wanted(type: object, use: Span) -> Diagnostic:
    return Diagnostic(Code.MISTYPED_PROPERTY, f"`when` wants true or false, this is {type}", use)


def nothing_to_be_empty(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_PROPERTY,
        "`skip_empty` is for a stage with input rows, this one reads none",
        use,
        "let the stage begin with `from`, or leave it out",
    )


def bad_default(origin: str, name: str, wanted: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.MISTYPED_PROPERTY, f"`{name}` in {origin} wants {wanted}", use)


def bad_default_name(origin: str, name: str, use: Span, known: Iterable[str]) -> Diagnostic:
    message = f"`{name}` in {origin} is no property"
    return Diagnostic(Code.UNKNOWN_PROPERTY, message, use, did_you_mean(name, known))


def doubled_default(origin: str, name: str, first: str, use: Span) -> Diagnostic:
    message = f"`{name}` in {origin} is the same property as `{first}`"
    return Diagnostic(Code.DUPLICATE_PROPERTY, message, use, "leave one out")


def cache_without_effect(stage: str, reason: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.CACHE_WITHOUT_EFFECT,
        f"`{stage}` is computed in every run in spite of `cache: inputs`: {reason}",
        use,
        "take it in as a parameter or a stage of its own, or set `cache: none`",
    )


def timeout_never_reached(name: str, attempt: str, whole: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.TIMEOUT_NEVER_REACHED,
        f"no attempt of `{name}` comes to its `timeout` of {attempt}: its `schedule_timeout` of {whole} is over before",
        use,
        "`schedule_timeout` bounds all attempts and delays together: make it longer, or `timeout` shorter",
    )


def heartbeat_never_sent(what: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.HEARTBEAT_NEVER_SENT,
        f"nothing in {what} sends a heartbeat, so an attempt that takes longer than this fails",
        use,
        "bound the attempt with `timeout`; heartbeats are sent by Python (`ctx.heartbeat()`), `shell` and webhooks",
    )


def wall_clock(name: str, instead: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.WALL_CLOCK,
        f"`{name}` tells another time in each attempt, and today's in a run for an earlier one",
        use,
        f"write `{instead}`: it is the run's own, and stays",
    )


def without_map(name: str, use: Span) -> Diagnostic:
    flows = "; for all stages of a flow, set it on the flow" if name == "max_parallel" else ""
    return Diagnostic(
        Code.WITHOUT_MAP,
        f"`{name}` is about the instances of a mapped stage, and the stage is not mapped",
        use,
        f"set `map: each`, or leave it out{flows}",
    )


def bad_map(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISTYPED_PROPERTY,
        "`map` wants each, or a column of a stage as in `s.col`",
        use,
        "`map: each` makes an instance of each row that the stage begins with, `map: s.col` of each value in a column",
    )


def nothing_to_split(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_MAP,
        "`map: each` splits the rows that a stage begins with, and this one begins with none",
        use,
        "begin it with `from`; or take the values of a column of another stage: `map: s.col`",
    )


def several_to_split(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_MAP,
        "`map: each` splits one source, and the stage begins with several",
        use,
        "begin with the one to be split and join the others behind it: `from a | cross join b`",
    )
