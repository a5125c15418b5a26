"""``@activity`` and ``@sink``: say that a function is an activity, or delivers rows, and with which policy.

The decorators attach an ``ActivitySpec`` and return the function as it was; nothing is registered anywhere, so a
function can be tested like any other. Discovery finds it as an attribute of its module.

Source: flow language, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

import msgspec

from wvflow.diagnostics import nearest
from wvflow.errors import CompilerBug
from wvflow.lang.durations import format_duration
from wvflow.lang.keys import SINK
from wvflow.lang.properties import Misread, Setting, find, read

ATTRIBUTE = "__wvflow_activity__"
F = TypeVar("F", bound=Callable[..., Any])
Duration = str | timedelta
Errors = Sequence[str | type[BaseException]]
Property = str | int | float | bool | list[str]


class Properties(TypedDict, total=False):
    """What may be set for an activity; the keys are the language's names."""

    retries: int | Literal["unlimited"]
    retry_delay: Duration
    backoff: Literal["constant", "linear", "exponential"]
    backoff_coefficient: float
    max_retry_delay: Duration
    jitter: float
    non_retryable: Errors
    retry_on: Errors
    timeout: Duration
    schedule_timeout: Duration
    start_timeout: Duration
    heartbeat: Duration
    on_lost: Literal["rerun", "fail"]
    idempotency_ttl: Duration
    idempotency_conflict: Literal["error", "reuse"]
    poll_interval: Duration
    pool: str
    rate: str
    queue: str
    priority: int
    isolation: Literal["thread", "process"]
    description: str
    tags: Sequence[str]
    max_delay: Duration
    start_to_close: Duration
    schedule_to_close: Duration
    schedule_to_start: Duration
    heartbeat_timeout: Duration
    initial_interval: Duration
    maximum_interval: Duration
    maximum_attempts: int


class ActivitySpec(msgspec.Struct, frozen=True):
    """What a decorator said of a function. Durations are texts (``5m``), error types their names."""

    name: str
    properties: Mapping[str, Property] = MappingProxyType({})
    sink: bool = False

    @property
    def key(self) -> str:
        """What it is registered under: an activity and a sink may have one name."""
        return f"{SINK}{self.name}" if self.sink else self.name


@overload
def activity(function: F, /) -> F: ...
@overload
def activity(*, name: str | None = None, **properties: Unpack[Properties]) -> Callable[[F], F]: ...
def activity(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, **properties: Unpack[Properties]
) -> Callable[..., Any]:
    """Make a function an activity, under its own name or ``name``.

    Raises:
        TypeError: a property is none of an activity's, or its value of no type that a property can have.

    >>> @activity(retries=3, timeout=timedelta(minutes=5))
    ... def fetch(*, url: str) -> list[dict]: ...
    >>> spec_of(fetch).properties["timeout"]
    '5m'
    """
    if function is not None:
        return _attach(function, ActivitySpec(_identifier(function, name)))
    values = _values(properties)
    return lambda decorated: _attach(decorated, ActivitySpec(_identifier(decorated, name), values))


def sink(name: str, /, **properties: Unpack[Properties]) -> Callable[[F], F]:
    """Make a function the one that ``activate('name', …)`` delivers rows by. What it returns is of no account.

    Raises:
        TypeError: as ``activity``.

    >>> @sink("pager", retries=3)
    ... def page(rows: list[dict], *, team: str) -> None: ...
    >>> spec_of(page).key
    'sink.pager'
    """
    if not isinstance(name, str) or not name:
        raise TypeError("@sink needs the name of the target, as in @sink('slack')")
    spec = ActivitySpec(name, _values(properties), sink=True)

    def attach(function: F) -> F:
        _attach(function, spec)
        return function

    return attach


def spec_of(value: object) -> ActivitySpec | None:
    """What the decorator said of this object, None for one that is no activity."""
    spec = getattr(value, ATTRIBUTE, None) if callable(value) else None
    return spec if isinstance(spec, ActivitySpec) else None


def _identifier(function: Callable[..., Any], name: str | None) -> str:
    known_as = name or str(getattr(function, "__name__", ""))
    if callable(function) and not known_as.isidentifier():
        raise TypeError(f"`{known_as}` can't be an activity's name: give it one, as in @activity(name='fetch')")
    return known_as


def _attach(function: Callable[..., Any], spec: ActivitySpec) -> Callable[..., Any]:
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"{'@sink' if spec.sink else '@activity'} stands before a function, not {function!r}")
    setattr(function, ATTRIBUTE, spec)
    return function


def _values(given: Mapping[str, object]) -> Mapping[str, Property]:
    values: dict[str, Property] = {}
    for written, value in given.items():
        name = _property(written)
        if name in values:
            raise TypeError(f"@activity: `{written}` and `{name}` are the same property")
        values[name] = _retries(value) if written == "maximum_attempts" else _value(written, value)
    return MappingProxyType(values)


def _property(name: str) -> str:
    if name.startswith("x_"):
        return name
    known = find(name)
    if known is not None and known.activity:
        return known.name
    if known is not None:
        raise TypeError(f"@activity: `{name}` is no property of activities; set it in the flow")
    near = nearest(name, Properties.__annotations__)
    raise TypeError(f"@activity has no property `{name}`" + (f"; did you mean `{near}`?" if near else ""))


def _retries(attempts: object) -> Property:
    match read("maximum_attempts", attempts):
        case Misread(wanted=wanted):
            raise TypeError(f"@activity: `maximum_attempts` wants {wanted}, not {attempts!r}")
        case Setting(value=int() | str() as retries):
            return retries
    raise CompilerBug("`maximum_attempts` was read as another type")


def _value(name: str, value: object) -> Property:
    match value:
        case timedelta():
            return format_duration(value // timedelta(milliseconds=1))
        case bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_word(name, item) for item in value]
    raise TypeError(f"@activity: `{name}` can't be {value!r}; write a number, a text, a timedelta or a list of names")


def _word(name: str, item: object) -> str:
    match item:
        case str():
            return item
        case type() if issubclass(item, BaseException):
            return item.__name__
    raise TypeError(f"@activity: `{name}` is a list of names, and {item!r} is none")
