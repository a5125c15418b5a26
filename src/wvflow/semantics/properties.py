"""Configuration as written to settings: each property known, in its place, of its type, and set once.

The properties themselves are a table in ``lang.properties``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

from wvflow.diagnostics import Diagnostic, nearest
from wvflow.lang import properties as table
from wvflow.lang.properties import Misread, Property, Setting
from wvflow.semantics import mistakes_of_properties as mistakes
from wvflow.semantics.session import Session
from wvflow.source import Span
from wvflow.syntax import nodes as n

Place: TypeAlias = Literal["stage", "activity", "flow", "defaults"]
_CALLED: Mapping[Place, str] = {
    "stage": "a stage",
    "activity": "an activity",
    "flow": "a flow",
    "defaults": "the defaults of a flow",
}
_OWN = "x_"
_LONGEST_SHOWN = 40
_DURATIONS = (table.DURATION, table.DELAY)


class Read(NamedTuple):
    """Settings by canonical name, and where each stands. ``expressions``: those that are no plain values. ``nested``:
    the items of ``defaults``. ``structured``: those that may be lists, or have items of their own."""

    values: dict[str, object]
    spans: dict[str, Span]
    expressions: dict[str, n.Expr]
    structured: dict[str, n.ConfigValue]
    nested: tuple[n.Config, ...] = ()


class _Opaque:
    """A value that is none of those a property can have as a constant."""


def read_settings(configs: tuple[n.Config, ...], place: Place, session: Session) -> Read:
    """The settings of one thing, from both forms of its configuration; what is wrong is reported and left out."""
    read = Read({}, {}, {}, {})
    for item in _items(configs):
        name = table.ALIASES.get(item.key.text, item.key.text)
        if (first := read.spans.get(name)) is not None:
            session.report(mistakes.duplicate_property(item.key.text, item.key.span, first))
            continue
        read.spans[name] = item.key.span
        if name == "defaults" and isinstance(item.value, n.Config) and place == "flow":
            read = read._replace(nested=(item.value,))
        elif not name.startswith(_OWN):
            _read_item(item, place, read, session)
    return read


def _items(configs: tuple[n.Config, ...]) -> Iterator[n.ConfigItem]:
    for config in configs:
        yield from config.items


def _read_item(item: n.ConfigItem, place: Place, read: Read, session: Session) -> None:
    written, known = item.key.text, table.find(item.key.text)
    if known is None or not _allowed(known, place) or not known.runs:
        session.report(_refusal(item, known, place))
        return
    if known.kind is table.EXPRESSION or (place == "flow" and known.name in table.HOOKS):
        _keep_expression(item, read, session)
        return
    if known.kind is table.STRUCTURED:
        read.structured[known.name] = item.value
        return
    value, kind = _plain(item.value), table.kind_of(known, on_flow=place == "flow")
    if isinstance(value, str) and value in known.kind.later:
        session.report(mistakes.property_not_available(f"{written}: {value}", item.span))
        return
    if isinstance(item.value, n.DurationLiteral) and kind not in _DURATIONS:
        value = _Opaque()
    found = table.read(written, value, on_flow=place == "flow")
    if isinstance(found, Misread):
        session.report(mistakes.mistyped_property(written, found.wanted, item.value.span, value, kind.words))
    else:
        read.values[found.name] = found.value
        _check_pool(found, item.value.span, session)


_NAMING_FLOWS = frozenset({*table.HOOKS, "compensate"})


def _keep_expression(item: n.ConfigItem, read: Read, session: Session) -> None:
    name, value = item.key.text, item.value
    names_flow = isinstance(value, n.CallExpr) and value.version is not None
    if isinstance(value, n.Config | n.ConfigList) or (names_flow and name not in _NAMING_FLOWS):
        session.report(mistakes.mistyped_property(name, table.EXPRESSION.wanted, item.value.span, None, ()))
    else:
        read.expressions[name] = value


def _refusal(item: n.ConfigItem, known: Property | None, place: Place) -> Diagnostic:
    """Why a property can't stand here."""
    written, use, value = item.key.text, item.key.span, item.value.span.text
    if known is None:
        near = nearest(written, _names(place)) or nearest(written, [*table.PROPERTIES, *table.ALIASES])
        meant = table.find(near) if near else None
        elsewhere = _way_out(meant, value) if meant and not _allowed(meant, place) else ""
        return mistakes.unknown_property(written, _CALLED[place], use, near, elsewhere)
    if not _allowed(known, place):
        return _misplaced(written, _CALLED[place], known, value, use)
    return mistakes.property_not_available(written, use)


def _misplaced(written: str, where: str, known: Property, value: str, use: Span) -> Diagnostic:
    owner = "a stage" if known.stage else "a flow"
    return mistakes.misplaced_property(written, where, owner, use, _way_out(known, value))


def _names(place: Place) -> list[str]:
    """Names and aliases of the properties that may stand in a place."""
    there = [name for name, one in table.PROPERTIES.items() if _allowed(one, place)]
    return [*there, *(alias for alias, name in table.ALIASES.items() if name in there)]


def _allowed(known: Property, place: Place) -> bool:
    match place:
        case "stage":
            return known.stage
        case "activity":
            return known.activity
        case "flow":
            return known.flow
        case "defaults":
            return known.stage and known.name not in table.NO_DEFAULTS


def _way_out(known: Property, value: str) -> str:
    setting = f"{known.name}: {value if len(value) <= _LONGEST_SHOWN else '…'}"
    if not known.stage:
        return f"set it on the flow: `flow F with {{ {setting} }}`"
    if not known.activity:
        return f"set it on the stage: `stage s with {{ {setting} }}`"
    return f"set it on a stage, or for all stages: `defaults: {{ {setting} }}`"


def _plain(node: n.ConfigValue) -> object:
    """A constant as a plain value; durations are their text, bare words too."""
    match node:
        case n.StringLiteral(value=value) | n.BooleanLiteral(value=value):
            return value
        case n.DurationLiteral(text=text) | n.NameRef(name=n.Name(text=text)):
            return text
        case n.NumberLiteral(text=text, kind="int"):
            return int(text)
        case n.NumberLiteral(text=text):
            return Fraction(text)
        case n.UnaryExpr(op="-", operand=n.NumberLiteral() as number):
            positive = _plain(number)
            return -positive if isinstance(positive, int | Fraction) else _Opaque()
        case n.ConfigList(items=items) | n.ArrayExpr(items=items):
            return [_plain(one) for one in items]
        case n.Paren(inner=inner):
            return _plain(inner)
        case _:
            return _Opaque()


# --- settings from elsewhere ----------------------------------------------------------------------------------------


def check_foreign(values: Mapping[str, object], origin: str, place: Place, use: Span, session: Session) -> None:
    """Report what a decorator or ``wvflow.toml`` sets and can't."""
    names: dict[str, str] = {}
    for name, value in values.items():
        known = table.find(name)
        if name.startswith(_OWN):
            continue
        if known is None:
            session.report(mistakes.bad_default_name(origin, name, use, _names(place)))
        elif (first := names.setdefault(known.name, name)) is not name:
            session.report(mistakes.doubled_default(origin, name, first, use))
        elif not _allowed(known, place):
            session.report(_misplaced(name, origin, known, "…", use))
        elif not known.runs or value in known.kind.later:
            session.report(mistakes.property_not_available(f"{name} ({origin})", use))
        elif isinstance(found := table.read(name, value), Misread):
            session.report(mistakes.bad_default(origin, name, found.wanted, use))
        else:
            _check_pool(found, use, session)


def _check_pool(setting: Setting, use: Span, session: Session) -> None:
    """Pools are the project's: they have as many slots as its file says."""
    if setting.name == "pool" and setting.value not in session.catalog.pools:
        session.report(mistakes.unknown_pool(str(setting.value), use, session.catalog.pools))
