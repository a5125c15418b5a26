"""When a flow is to run by itself: ``schedule``, ``interval`` and what goes with them (flow language, section 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple, cast

from wvflow.errors import EvaluationError
from wvflow.lang.calendars import common_time, cron_mistake, fields_of, instant_in, instant_mistake, zone_mistake
from wvflow.lang.evaluate import evaluate, is_static
from wvflow.lang.properties import Catchup, Overlap
from wvflow.lang.values import to_json
from wvflow.plan.schedules import Cron, Schedule
from wvflow.plan.tasks import Argument
from wvflow.semantics import mistakes_of_schedules as mistakes
from wvflow.semantics.activities import read_arguments
from wvflow.semantics.arguments import Callee, Missing
from wvflow.semantics.properties import Read
from wvflow.semantics.scopes import Scope
from wvflow.source import Span
from wvflow.syntax import nodes as n

SCHEDULE, INTERVAL, ZONE = "schedule", "interval", "timezone"
ABOUT_FIRES = ("overlap", "catchup", "catchup_window", "jitter", "start", "end")
_CRON, _ARGS = "cron", "args"


class _Entry(NamedTuple):
    """One cron text of a schedule, and the arguments of its runs."""

    text: str
    span: Span
    args: tuple[n.ConfigItem, ...] = ()


def check_schedule(read: Read, callee: Callee, scope: Scope) -> Schedule | None:
    """The schedule of a flow from its properties, None where it has none. What is wrong is reported."""
    _check_zone(read, scope)
    settings, spans, session = read.values, read.spans, scope.session
    if SCHEDULE in spans and INTERVAL in spans:
        session.report(mistakes.schedule_and_interval(spans[INTERVAL], spans[SCHEDULE]))
    if SCHEDULE not in spans and INTERVAL not in spans:
        session.report(*(mistakes.no_fires(name, spans[name]) for name in ABOUT_FIRES if name in spans))
        return None
    _check_bounds(read, scope)
    written = read.structured.get(SCHEDULE)
    entries = list(_entries(written, scope)) if written is not None else []
    crons = tuple(_cron(entry, callee, scope) for entry in entries)
    _check_apart(entries, crons, read, scope)
    if written is None and INTERVAL in settings:
        _arguments((), callee, spans[INTERVAL], scope, mistakes.missing_with_interval)
    return Schedule(
        crons=crons,
        interval=cast("int | None", settings.get(INTERVAL)),
        overlap=cast("Overlap", settings.get("overlap", "skip")),
        catchup=cast("Catchup", settings.get("catchup", "none")),
        catchup_window=cast("int", settings.get("catchup_window", Schedule().catchup_window)),
        jitter=cast("int", settings.get("jitter", 0)),
        start=str(settings.get("start", "")),
        end=str(settings.get("end", "")),
    )


def _check_zone(read: Read, scope: Scope) -> None:
    zone = read.values.get(ZONE)
    if isinstance(zone, str) and (meant := zone_mistake(zone)) is not None:
        scope.session.report(mistakes.unknown_zone(zone, meant, read.spans[ZONE]))


def _check_bounds(read: Read, scope: Scope) -> None:
    bounds = {name: str(read.values[name]) for name in ("start", "end") if name in read.values}
    wrong = [name for name, text in bounds.items() if instant_mistake(text)]
    scope.session.report(*(mistakes.no_instant(name, read.spans[name]) for name in wrong))
    zone = str(read.values.get(ZONE, "UTC"))
    if wrong or len(bounds) < len(("start", "end")) or zone_mistake(zone) is not None:
        return
    if instant_in(zone, bounds["start"]) > instant_in(zone, bounds["end"]):
        scope.session.report(mistakes.over_before_it_starts(read.spans["end"], read.spans["start"]))


def _cron(entry: _Entry, callee: Callee, scope: Scope) -> Cron:
    if (why := cron_mistake(entry.text)) is not None:
        scope.session.report(mistakes.no_cron(entry.text, why, entry.span))
    args = _arguments(entry.args, callee, entry.span, scope, mistakes.missing_in_entry)
    return Cron(fields_of(entry.text), args)


def _check_apart(entries: Sequence[_Entry], crons: Sequence[Cron], read: Read, scope: Scope) -> None:
    """Of entries with other arguments that are due at once, each is meant to have its run."""
    overlap = str(read.values.get("overlap", "skip"))
    one_by_one = cast("int", read.values.get("concurrency", 1)) < 2 and "concurrency_key" not in read.spans
    if overlap not in ("skip", "cancel_other") or not one_by_one:
        return
    for (first, mine), (second, other) in combinations(zip(entries, crons, strict=True), 2):
        wrong = cron_mistake(first.text) or cron_mistake(second.text)
        when = None if wrong or mine.args == other.args else common_time(mine.fields, other.fields)
        if when is not None:
            scope.session.report(mistakes.only_one_gets_through(overlap, when, second.span, first.span))
            return


def _entries(node: n.ConfigValue, scope: Scope) -> Iterator[_Entry]:
    """The forms that a schedule can have: a text, ``cron('…')``, ``{ cron: …, args: {…} }``, and lists of these."""
    match node:
        case n.ConfigList(items=items) | n.ArrayExpr(items=items) if items:
            for one in items:
                yield from _entries(one, scope)
        case n.StringLiteral(value=text, span=span):
            yield _Entry(text, span)
        case n.CallExpr(receiver=None, function=n.Name(text="cron"), args=(n.CallArg(name=None, value=text),)):
            yield from _entries(text, scope)
        case n.Config(items=items) if [one.key.text for one in items] in ([_CRON], [_CRON, _ARGS], [_ARGS, _CRON]):
            parts = {one.key.text: one.value for one in items}
            args = parts.get(_ARGS)
            if args is not None and not isinstance(args, n.Config):
                scope.session.report(mistakes.no_schedule(args.span))
            given = args.items if isinstance(args, n.Config) else ()
            yield from (one._replace(args=given) for one in _entries(parts[_CRON], scope))
        case _:
            scope.session.report(mistakes.no_schedule(node.span))


def _arguments(
    items: tuple[n.ConfigItem, ...], callee: Callee, use: Span, scope: Scope, missing: Missing
) -> dict[str, object]:
    """The parameters of the runs, checked as those of a call: constants, as nobody is there to give them others."""
    args = tuple(
        n.CallArg(name=one.key, value=one.value, span=one.span)
        for one in items
        if not isinstance(one.value, n.Config | n.ConfigList)
    )
    call = n.CallExpr(function=n.Name(text=callee.name, span=use), args=args, span=use)
    return dict(_values(read_arguments(call, callee, {}, scope, piped=False, missing=missing), use, scope))


def _values(arguments: tuple[Argument, ...], use: Span, scope: Scope) -> Iterator[tuple[str, object]]:
    for one in arguments:
        if not is_static(one.value):
            scope.session.report(mistakes.argument_not_constant(one.name, use))
            continue
        try:
            yield one.name, to_json(evaluate(one.value, {}))
        except (EvaluationError, KeyError):
            scope.session.report(mistakes.argument_not_constant(one.name, use))
