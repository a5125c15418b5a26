"""Durations: whole milliseconds, read from ``5m``, ``1h30m``, ``'7 days'``, ``'1 hour 30 minutes'`` or ISO 8601.

Source: flow language, section 1, "Values".
"""

from __future__ import annotations

import re

UNIT_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_WORDS = {
    "millisecond": "ms",
    "second": "s",
    "sec": "s",
    "minute": "m",
    "min": "m",
    "hour": "h",
    "hr": "h",
    "day": "d",
    "week": "w",
}
_COMPACT = re.compile(r"(\d+)(ms|[smhdw])")
_SPOKEN = re.compile(r"(\d+)\s*([a-z]+)\s*")
_ISO = re.compile(
    r"P(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+)(?:\.(?P<f>\d{1,3}))?S)?)?"
)
LONGEST_MS = 100 * 366 * UNIT_MS["d"]


def parse_duration(text: str) -> int | None:
    """Milliseconds of a duration as written, or None if it is none (or longer than a century).

    >>> parse_duration("1h30m"), parse_duration("7 days"), parse_duration("PT5M")
    (5400000, 604800000, 300000)
    >>> parse_duration("5 parsecs") is None
    True
    """
    text = text.strip()
    total = _iso(text) if text[:1] == "P" else _units(text)
    return total if total is not None and total <= LONGEST_MS else None


def _units(text: str) -> int | None:
    total, end = 0, 0
    while end < len(text):
        part = _COMPACT.match(text, end) if " " not in text else None
        part = part if part and (part.end() == len(text) or text[part.end()].isdigit()) else _SPOKEN.match(text, end)
        if part is None or (unit := _unit(part[2])) is None:
            return None
        total += int(part[1]) * UNIT_MS[unit]
        end = part.end()
    return total if end else None


def _unit(word: str) -> str | None:
    return word if word in UNIT_MS else _WORDS.get(word.removesuffix("s"))


def _iso(text: str) -> int | None:
    match = _ISO.fullmatch(text)
    if match is None or not any(match.groups()) or text.endswith("T"):
        return None
    total = sum(int(match[unit] or 0) * UNIT_MS[unit] for unit in "wdhms")
    return total + int((match["f"] or "0").ljust(3, "0"))


def format_duration(ms: int) -> str:
    """The shortest exact spelling: ``90000`` is ``1m30s``.

    >>> format_duration(5_400_000), format_duration(0), format_duration(86_400_000)
    ('1h30m', '0s', '1d')
    """
    parts = []
    for unit in ("w", "d", "h", "m", "s", "ms"):
        count, ms = divmod(ms, UNIT_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
