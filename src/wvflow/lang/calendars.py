"""Schedules and time zones as people write them (flow language, section 3, "Flow").

A cron text has five fields: minute, hour, day of month, month, day of week; names of months and days, lists, ranges,
steps, ``L`` and ``5#3`` are read. ``@daily`` and the like are names for such texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo, available_timezones

from wvflow.diagnostics import nearest

NICKNAMES: Mapping[str, str] = MappingProxyType(
    {
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
        "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
    }
)
_YEARS = range(1000, 9000)
_FIELDS = 5
_COMPARED = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOME_TIME = datetime(2024, 1, 1, tzinfo=UTC)


def fields_of(cron: str) -> str:
    """The five fields, one blank apart, of a cron text.

    >>> fields_of("@daily"), fields_of("*/5  2 * * MON-FRI")
    ('0 0 * * *', '*/5 2 * * MON-FRI')
    """
    text = " ".join(cron.split())
    return NICKNAMES.get(text.lower(), text)


def cron_mistake(cron: str) -> str | None:
    """Why a text says no times, None where it does.

    >>> cron_mistake("0 2 * *"), cron_mistake("0 25 * * *"), cron_mistake("@dayly")
    ('it has 4 fields, not 5', 'bad hour', 'did you mean `@daily`?')
    >>> cron_mistake("0 2 * * *")
    """
    from cronsim import CronSim, CronSimError

    fields = fields_of(cron)
    if fields.startswith("@"):
        near = nearest(fields, NICKNAMES)
        return f"did you mean `{near}`?" if near else f"known names are {', '.join(NICKNAMES)}"
    if (count := len(fields.split())) != _FIELDS:
        return f"it has {count} field{'' if count == 1 else 's'}, not {_FIELDS}"
    try:
        next(CronSim(fields, _SOME_TIME))
    except CronSimError as error:
        return str(error)[:1].lower() + str(error)[1:]
    except StopIteration:
        return "no such day ever comes"
    return None


def common_time(first: str, second: str) -> str | None:
    """A time that two cron texts have in common, None where the first thousand show none.

    >>> common_time("30 2 * * *", "30 2 * * MON"), common_time("0 * * * *", "30 2 * * *")
    ('2024-01-01 02:30', None)
    """
    from cronsim import CronSim

    sides = [CronSim(fields, _SOME_TIME) for fields in (first, second)]
    times = [next(side) for side in sides]
    for _ in range(_COMPARED):
        if times[0] == times[1]:
            return f"{times[0]:%Y-%m-%d %H:%M}"
        behind = 0 if times[0] < times[1] else 1
        times[behind] = next(sides[behind])
    return None


def zone_mistake(name: str) -> str | None:
    """What is meant by a name that is no time zone of IANA's, ``""`` where that can't be told; None for one that is.

    >>> zone_mistake("Europe/Zurich"), zone_mistake("Europe/Zuerich"), zone_mistake("somewhere")
    (None, 'Europe/Zurich', '')
    """
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # KeyError: of ZoneInfoNotFoundError
        return nearest(name, sorted(available_timezones())) or ""
    return None


def instant_mistake(text: str) -> bool:
    """Whether a text is no moment in ISO 8601, or one too far away to count from.

    >>> instant_mistake("2026-01-01"), instant_mistake("2026-01-01T06:00:00+01:00"), instant_mistake("soon")
    (False, False, True)
    >>> instant_mistake("9999-12-31")
    True
    """
    try:
        return datetime.fromisoformat(text).year not in _YEARS
    except ValueError:
        return True


def instant_in(zone: str, text: str) -> datetime:
    """The instant of a moment in ISO 8601, in a zone where it names none.

    >>> instant_in("Europe/Berlin", "2026-01-01").isoformat(), instant_in("UTC", "2026-01-01T06:00+01:00").isoformat()
    ('2025-12-31T23:00:00+00:00', '2026-01-01T05:00:00+00:00')
    """
    read = datetime.fromisoformat(text)
    return (read if read.tzinfo is not None else read.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def epoch_ms_in(zone: str, text: str) -> int:
    """The same, in milliseconds since the epoch.

    >>> epoch_ms_in("Europe/Berlin", "1970-01-01T01:00:00.0015"), epoch_ms_in("UTC", "1969-12-31T23:59:59")
    (1, -1000)
    """
    return (instant_in(zone, text) - _EPOCH) // timedelta(milliseconds=1)


def date_in(zone: str, epoch_ms: int) -> str:
    """The date of an instant in a zone, as ``yyyy-MM-dd``.

    >>> date_in("Europe/Berlin", 1_767_222_000_000), date_in("UTC", 1_767_222_000_000)
    ('2026-01-01', '2025-12-31')
    """
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).astimezone(ZoneInfo(zone)).date().isoformat()
