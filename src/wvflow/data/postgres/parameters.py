"""SQL text as far as it must be understood to bind values: where words are apart from texts, names and comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

_APART = (
    r"\b[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
    r"|\$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$|--[^\n]*|/\*.*?\*/"
)
_NAMED = re.compile(rf"(?P<apart>{_APART})|(?<![\w$])\$(?P<name>[A-Za-z_]\w*)", re.DOTALL)
_PIECES = re.compile(rf"(?P<apart>{_APART})|(?P<end>;)", re.DOTALL)


def numbered(text: str, names: Iterable[str]) -> str:
    """A text that is made by lowering, with ``$1``, ``$2`` for the values of these names.

    >>> numbered("SELECT '%(a)s', 5 % %(b)s, %(a)s", ["a", "b"])
    "SELECT '%(a)s', 5 % $2, $1"
    """
    places = {name: f"${number}" for number, name in enumerate(names, 1)}
    if not places:
        return text
    known = "|".join(map(re.escape, places))
    pattern = re.compile(rf"(?P<apart>{_APART})|%\((?P<name>{known})\)s", re.DOTALL)
    return pattern.sub(lambda found: found[0] if found["name"] is None else places[found["name"]], text)


def place(number: int, value: object) -> str:
    """Where a value stands whose type nothing else tells. Small numbers would be of a small type.

    >>> place(1, 5), place(2, "a")
    ('$1::bigint', '$2')
    """
    return f"${number}::bigint" if type(value) is int else f"${number}"


def named(text: str) -> frozenset[str]:
    """The names of the values that a statement of the program's takes as ``$name``.

    >>> sorted(named("select $b, $a, '$c' -- $d"))
    ['a', 'b']
    """
    return frozenset(found["name"] for found in _NAMED.finditer(text) if found["name"])


def with_numbers(text: str, values: Mapping[str, object]) -> tuple[str, list[object]]:
    """A statement of the program's with ``$1`` for ``$name``, and the values in that order.

    >>> with_numbers("select $b, $a, $b", {"a": 1, "b": 2})
    ('select $2, $1, $2', [1, 2])
    """
    names = sorted(named(text))
    places = {name: f"${number}" for number, name in enumerate(names, 1)}
    changed = _NAMED.sub(lambda found: places[found["name"]] if found["name"] else found[0], text)
    return changed, [values[name] for name in names]


def split(text: str) -> Iterator[str]:
    """The statements of a text.

    >>> list(split("select ';'; -- nothing; at all\\nselect 2;;"))
    ["select ';'", '-- nothing; at all\\nselect 2']
    """
    start = 0
    for found in _PIECES.finditer(text):
        if found["end"]:
            yield from _said(text[start : found.start()])
            start = found.end()
    yield from _said(text[start:])


def _said(text: str) -> Iterator[str]:
    if words(text):
        yield text.strip()


def words(text: str) -> list[str]:
    """The words of a statement in small letters, without its texts, quoted names and comments.

    >>> words("WITH a AS (insert into t values ('select')) table a")
    ['with', 'a', 'as', 'insert', 'into', 't', 'values', 'table', 'a']
    """
    return re.findall(r"[a-z_]\w*", re.sub(_APART, " ", text, flags=re.DOTALL).lower())
