"""Every property of stages, activities and flows: names, types, places (flow language, section 3), as one table.

Values are read from plain ones (what a program, a decorator or ``wvflow.toml`` gives) to those of the plan: durations
are milliseconds, fractions exact. Nothing is ever silently ignored: what can't be read is a ``Misread``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Literal as OneOf
from typing import NamedTuple, TypeAlias, get_args

from wvflow.lang.durations import parse_duration

MILLION = 1_000_000


class Misread(NamedTuple):
    """A value that a property can't have. ``wanted`` completes "… wants"."""

    wanted: str


class Kind(NamedTuple):
    """The type of a property. ``read`` gives None for what is no such value. ``words``: the values that are words;
    one of ``later`` is a value of the language that this version can't run."""

    wanted: str
    read: Callable[[object], object]
    words: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


class Property(NamedTuple):
    """``stage``, ``activity``, ``flow``: where it may stand. ``runs``: whether this version can carry it out."""

    name: str
    kind: Kind
    stage: bool = True
    activity: bool = True
    flow: bool = False
    runs: bool = False


class Setting(NamedTuple):
    """A property with its value, as it takes part in the precedence."""

    name: str
    value: object


AUTO = "auto"
UNLIMITED = "unlimited"


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _positive(value: object) -> int | None:
    return _integer(value) or None


def _count(value: object) -> int | str | None:
    return UNLIMITED if value == UNLIMITED else _integer(value)


def _duration(value: object) -> int | None:
    """Milliseconds. A bare number is none: it has no unit."""
    return parse_duration(value) if isinstance(value, str) else None


def _delay(value: object) -> int | None:
    return _duration(value) or None


_PERCENT = re.compile(r"\s*([0-9]{1,3}(?:\.[0-9]{1,4})?)\s*%\s*")
_PER = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_RATE = re.compile(r"\s*([1-9][0-9]{0,8})\s*/\s*([smhd])\s*")


def _rate(value: object) -> tuple[int, int] | None:
    """So many starts in so many milliseconds."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    return (int(match[1]), _PER[match[2]]) if match else None


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _fraction(value: object) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
        return None
    try:
        return Fraction(str(value))
    except ValueError:
        return None


def _coefficient(value: object) -> tuple[int, int] | None:
    """Numerator and denominator of a number from 1 on."""
    exact = _fraction(value)
    return exact.as_integer_ratio() if exact is not None and exact >= 1 else None


def _millionths(value: object) -> int | None:
    exact = _fraction(value)
    return round(exact * MILLION) if exact is not None and 0 <= exact <= 1 else None


def _names(value: object) -> tuple[str, ...] | None:
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list | tuple) or not all(isinstance(name, str) and name for name in several):
        return None
    return tuple(several)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _share(value: object) -> tuple[int, int | None] | None:
    """So many, or such a part of all in millionths."""
    if (count := _integer(value)) is not None:
        return count, None
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    part = None if match is None else _millionths(Fraction(match[1]) / 100)
    return None if part is None else (0, part)


def _length(value: object) -> int | str | None:
    return AUTO if value == AUTO else _positive(value)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _anything(value: object) -> object:
    return value


def _words(*words: str, later: tuple[str, ...] = ()) -> Kind:
    every = (*words, *later)

    def read(value: object) -> object:
        # the word itself: a plan leaves a default out by identity, so an equal text would make it another plan
        return next((word for word in every if word == value), None)

    listed = f"{', '.join(every[:-1])} or {every[-1]}" if len(every) > 1 else every[0]
    return Kind(listed, read, every, later)


INTEGER = Kind("a whole number from 0 on", _integer)
WHOLE = Kind("a whole number", _whole)
POSITIVE = Kind("a whole number from 1 on", _positive)
LENGTH = Kind("a number of events from 1 on, or auto", _length, (AUTO,))
RATE = Kind("a number of starts per second, minute, hour or day, such as '10/s' or '500/h'", _rate)
NAME = Kind("a name", _name)
COUNT = Kind(f"a whole number from 0 on, or {UNLIMITED}", _count, (UNLIMITED,))
DURATION = Kind("a duration such as 5m, 1h30m or '7 days'", _duration)
DELAY = Kind("a duration above zero, such as 30s, 1h30m or '7 days'", _delay)
COEFFICIENT = Kind("a number from 1 on", _coefficient)
PART = Kind("a number from 0 to 1", _millionths)
SHARE = Kind("a whole number from 0 on, or a part of all such as '5%'", _share)
NAMES = Kind("a list of names such as ['ValueError', 'HTTPError']", _names)
TEXT = Kind("a text", _text)
FLAG = Kind("true or false", _flag)
ANY = Kind("a value", _anything)
EXPRESSION = Kind("an expression", _anything)
"""Not a plain value: whoever checks the stage makes it out."""
STRUCTURED = Kind("a value", _anything)
"""Likewise, and it may be a list, or have items of its own."""
TriggerRule: TypeAlias = OneOf[
    "all_success",
    "one_success",
    "one_failed",
    "one_done",
    "none_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "all_failed",
    "all_skipped",
    "all_done",
    "always",
]
Overlap: TypeAlias = OneOf["skip", "queue", "allow", "cancel_other"]
Catchup: TypeAlias = OneOf["none", "latest", "all"]
TRIGGERS = _words(*get_args(TriggerRule))
ON_FAILURE = Kind("fail, skip or the name of a stage", _name)

_STAGE_AND_ACTIVITY = (
    Property("retries", COUNT, runs=True),
    Property("retry_delay", DELAY, runs=True),
    Property("backoff", _words("constant", "linear", "exponential"), runs=True),
    Property("backoff_coefficient", COEFFICIENT, runs=True),
    Property("max_retry_delay", DELAY, runs=True),
    Property("jitter", PART, flow=True, runs=True),
    Property("non_retryable", NAMES, runs=True),
    Property("retry_on", NAMES, runs=True),
    Property("timeout", DELAY, flow=True, runs=True),
    Property("schedule_timeout", DELAY, runs=True),
    Property("start_timeout", DELAY, runs=True),
    Property("heartbeat", DELAY, runs=True),
    Property("on_lost", _words("rerun", "fail"), runs=True),
    Property("description", TEXT, flow=True, runs=True),
    Property("tags", NAMES, flow=True, runs=True),
    Property("idempotency_ttl", DELAY, flow=True, runs=True),
    Property("idempotency_conflict", _words("error", "reuse"), flow=True, runs=True),
    Property("poll_interval", DELAY, runs=True),
    Property("pool", NAME, runs=True),
    Property("rate", RATE, runs=True),
    Property("queue", TEXT),
    Property("priority", WHOLE, runs=True),
    Property("isolation", _words("thread", "process"), runs=True),
)
_STAGE_ONLY = (
    Property("trigger", TRIGGERS, activity=False, runs=True),
    Property("on_failure", ON_FAILURE, activity=False, flow=True, runs=True),
    Property("eager", FLAG, activity=False, runs=True),
    Property("when", EXPRESSION, activity=False, runs=True),
    Property("compensate", EXPRESSION, activity=False, runs=True),
    Property("compensate_on", _words("attempt"), activity=False, runs=True),
    Property("idempotency_key", EXPRESSION, activity=False, flow=True, runs=True),
    Property("parent_close", _words("terminate", "request_cancel", "abandon"), activity=False, runs=True),
    Property("detach", FLAG, activity=False, runs=True),
    Property("continue_as_new", LENGTH, activity=False, runs=True),
    Property("map", EXPRESSION, activity=False, runs=True),
    Property("max_parallel", POSITIVE, activity=False, flow=True, runs=True),
    Property("tolerate", SHARE, activity=False, runs=True),
    Property("skip_empty", FLAG, activity=False, runs=True),
    Property("cache", _words("none", "inputs"), activity=False, runs=True),
    Property("deadline", DELAY, activity=False, flow=True, runs=True),
    Property("materialize", _words("table", "view"), activity=False, runs=True),
    Property("on_test", _words("fail", "warn"), activity=False, runs=True),
    Property("type", NAME, activity=False, runs=True),
)


def _of_flow(name: str, kind: Kind, *, runs: bool = False) -> Property:
    return Property(name, kind, stage=False, activity=False, flow=True, runs=runs)


_FLOW_ONLY = (
    _of_flow("cleanup_timeout", DELAY, runs=True),
    _of_flow("output", TEXT, runs=True),
    _of_flow("defaults", ANY, runs=True),
    _of_flow("owner", TEXT, runs=True),
    _of_flow("version", POSITIVE, runs=True),
    _of_flow("schedule", STRUCTURED, runs=True),
    _of_flow("interval", DELAY, runs=True),
    _of_flow("timezone", TEXT, runs=True),
    _of_flow("overlap", _words(*get_args(Overlap)), runs=True),
    _of_flow("catchup", _words(*get_args(Catchup)), runs=True),
    _of_flow("catchup_window", DELAY, runs=True),
    _of_flow("start", TEXT, runs=True),
    _of_flow("end", TEXT, runs=True),
    _of_flow("concurrency", POSITIVE, runs=True),
    _of_flow("concurrency_key", EXPRESSION, runs=True),
    _of_flow("fail_fast", FLAG, runs=True),
    _of_flow("keep_runs", POSITIVE, runs=True),
    _of_flow("on_success", EXPRESSION, runs=True),
    _of_flow("on_cancel", EXPRESSION, runs=True),
    _of_flow("on_finish", EXPRESSION, runs=True),
)

PROPERTIES: Mapping[str, Property] = MappingProxyType(
    {one.name: one for one in (*_STAGE_AND_ACTIVITY, *_STAGE_ONLY, *_FLOW_ONLY)}
)
"""By canonical name."""

KINDS_ON_FLOWS: Mapping[str, Kind] = MappingProxyType({"jitter": DURATION})
"""Of properties that mean something else on a flow."""
HOOKS = ("on_failure", "on_success", "on_cancel", "on_finish")
"""Of a flow: calls, so expressions there, whatever their kind elsewhere."""

# What is one stage's own, and so no default for all of them.
NO_DEFAULTS = frozenset(
    {"when", "map", "compensate", "idempotency_key", "type", "trigger", "eager", "detach", "materialize"}
)

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "max_delay": "max_retry_delay",
        "start_to_close": "timeout",
        "schedule_to_close": "schedule_timeout",
        "schedule_to_start": "start_timeout",
        "heartbeat_timeout": "heartbeat",
        "initial_interval": "retry_delay",
        "maximum_interval": "max_retry_delay",
        "maximum_attempts": "retries",
    }
)
"""Other accepted names; most are Temporal's. ``maximum_attempts`` counts the first attempt too."""

_ATTEMPTS = "maximum_attempts"


def find(name: str) -> Property | None:
    """The property of that name or alias."""
    return PROPERTIES.get(ALIASES.get(name, name))


def read(name: str, value: object, *, on_flow: bool = False) -> Setting | Misread:
    """A setting from a plain value, under a property's name or alias.

    Args:
        name: of a known property.
        value: None, bool, int, float, Fraction, str, or a list of these. Durations are text.
        on_flow: it stands on a flow, where some mean something else.

    >>> read("maximum_attempts", 3)
    Setting(name='retries', value=2)
    >>> read("timeout", 5)
    Misread(wanted="a duration above zero, such as 30s, 1h30m or '7 days'")
    """
    known = PROPERTIES[ALIASES.get(name, name)]
    if name == _ATTEMPTS:
        if value == UNLIMITED:
            return Setting(known.name, UNLIMITED)
        if (attempts := _integer(value)) is None or attempts < 1:
            return Misread("a whole number from 1 on: all attempts, the first one too")
        return Setting(known.name, attempts - 1)
    kind = kind_of(known, on_flow=on_flow)
    found = kind.read(value)
    return Misread(kind.wanted) if found is None else Setting(known.name, found)


def kind_of(known: Property, *, on_flow: bool) -> Kind:
    """What values a property has there."""
    return KINDS_ON_FLOWS.get(known.name, known.kind) if on_flow else known.kind
