"""Numbers, times and sizes as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from wvflow.ports.rows import InstanceCounts

_STEPS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s"))


def duration(ms: float) -> str:
    """How long something took.

    >>> duration(7), duration(1_234), duration(65_000), duration(7_380_000)
    ('7 ms', '1.2 s', '1m 05s', '2h 03m')
    """
    if ms < 1_000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1_000:.1f} s"
    seconds = int(ms // 1_000)
    size, unit, smaller, name = next(step for step in _STEPS if seconds >= step[0])
    return f"{seconds // size}{unit} {seconds % size // smaller:02d}{name}"


def count(number: int | None) -> str:
    """A count with its thousands set apart, a dash when nobody counted.

    >>> count(336776), count(None)
    ('336,776', '–')
    """
    return "–" if number is None else f"{number:,}"


MOST_NAMES = 20


def some_of(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return printable(", ".join(names[:MOST_NAMES])) + more


def plural(number: int, thing: str) -> str:
    """
    >>> plural(1, "run"), plural(1200, "row")
    ('1 run', '1,200 rows')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def size(amount: int) -> str:
    """
    >>> size(512), size(88_000_000)
    ('512 B', '88.0 MB')
    """
    value, units = float(amount), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1_000 and len(units) > 1:
        value, units = value / 1_000, units[1:]
    return f"{amount} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def instant(ms: int | None, zone: str | None = None) -> str:
    """An instant by the clocks of a time zone, default: the machine's. Where they are put back, and show that time
    twice, with the offset that tells one from the other.

    >>> [instant(1_792_886_400_000 + hours * 3_600_000, "Europe/Berlin") for hours in range(3)]
    ['2026-10-25 02:00:00 +02:00', '2026-10-25 02:00:00 +01:00', '2026-10-25 03:00:00']
    """
    if ms is None:
        return ""
    from zoneinfo import ZoneInfo

    place = None if zone is None else ZoneInfo(zone)
    at = datetime.fromtimestamp(ms / 1_000, UTC).astimezone(place)
    twice = [at.replace(tzinfo=place, fold=fold).astimezone(place).utcoffset() for fold in (0, 1)]
    return f"{at:%Y-%m-%d %H:%M:%S}" + (f" {at.isoformat()[-6:]}" if twice[0] != twice[1] else "")


def between(start: str | None, end: str | None) -> str:
    """The time between two instants in ISO 8601, empty when one is missing."""
    if start is None or end is None:
        return ""
    passed = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return duration(passed.total_seconds() * 1_000)


def one_line(text: str, width: int = 200) -> str:
    """The first line that says something, cut where it gets too long, safe to print on a terminal."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = printable(line.strip())
    return line if len(line) <= width else line[: width - 1] + "…"


def printable(text: str) -> str:
    """Control characters as their pictures, so that foreign text can't drive the terminal.

    >>> printable("a\\x1b[31mb")
    'a␛[31mb'
    """
    return text.translate(_PICTURES)


_PICTURES = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"} | {0x7F: "␡"}


def iterations(number: int | None, state: str) -> str:
    """How far a stage with a loop is; nothing for one in front of its loop.

    >>> iterations(317, "attempting"), iterations(1, "success")
    ('iteration 317', '1 iteration')
    """
    if state == "success" and number is not None:
        return plural(number, "iteration")
    return f"iteration {number:,}" if number else ""


def instances(counts: InstanceCounts) -> str:
    """How far a mapped stage is.

    >>> from wvflow.ports.rows import InstanceCounts
    >>> instances(InstanceCounts(count=5_000, ended=317, failed=2))
    '317/5,000, 2 failed'
    """
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    return f"{counts.ended:,}/{counts.count:,}{failed}"


def value_text(value: object) -> str:
    """A JSON value as the language writes it.

    >>> value_text(None), value_text(True), value_text("by hand"), value_text([1])
    ('null', 'true', "'by hand'", '[1]')
    """
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return msgspec.json.encode(value).decode()
