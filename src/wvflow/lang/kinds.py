"""Types as DuckDB names them, read: to types of the language, and to the texts under a printed column's name.

Source: query reference, sections 3.1 and 13.1.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from wvflow.lang.types import UNKNOWN, Type, array_of

_TOKEN = re.compile(
    r'\s*("(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'|[A-Za-z_][A-Za-z0-9_ ]*[A-Za-z0-9_]|[A-Za-z_]|\d+|[(),\[\]])'
)

_TEXTS = {
    "INTEGER": "int",
    "BIGINT": "long",
    "HUGEINT": "long",
    "SMALLINT": "short",
    "TINYINT": "byte",
    "FLOAT": "float",
    "DOUBLE": "double",
    "DECIMAL": "decimal",
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "TIME_NS": "time",
    "TIME WITH TIME ZONE": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "BLOB": "binary",
    "JSON": "json",
    "NULL": "null",
}
_KNOWN = frozenset(
    ("int", "long", "short", "byte", "float", "double", "string", "boolean", "date", "time", "timestamp", "binary")
    + ("json", "null", "interval", "uuid")
)
RIGHT_ALIGNED = frozenset({"byte", "short", "int", "long", "float", "real", "double", "decimal"})


class Kind(NamedTuple):
    """A type of the engine. ``name`` in capitals; a list is named ``[]``, a struct's members have names in
    ``fields``."""

    name: str
    args: tuple[Kind | int, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What stands under the name of a printed column.

        >>> parse("MAP(VARCHAR, DECIMAL(5,2)[])").text
        'map(string,array(decimal(5,2)))'
        """
        inner = [one.text if isinstance(one, Kind) else str(one) for one in self.args]
        match self.name:
            case "[]":
                return f"array({inner[0]})"
            case "STRUCT" | "UNION":
                members = [f"{name} {one}" for name, one in zip(self.fields, inner, strict=True)]
                return f"{self.name.lower()}({','.join(members)})"
            case "ENUM":
                return "enum"
        name = _TEXTS.get(self.name, self.name.lower())
        return f"{name}({','.join(inner)})" if inner else name

    @property
    def base(self) -> str:
        """The name without parameters."""
        return self.text.partition("(")[0]

    @property
    def type(self) -> Type:
        """The type of the language, UNKNOWN for one that it doesn't have."""
        inner = tuple(one.type if isinstance(one, Kind) else one for one in self.args)
        match self.name:
            case "[]":
                return array_of(inner[0]) if isinstance(inner[0], Type) else UNKNOWN
            case "DECIMAL" | "MAP":
                return Type(self.name.lower(), inner)
            case "STRUCT":
                return Type("struct")
            case "ENUM":
                return Type("string")
        text = self.text
        return Type(text) if text in _KNOWN else UNKNOWN


@lru_cache(4096)
def parse(text: str) -> Kind:
    """A type by the text that DuckDB has for it.

    >>> parse("STRUCT(a INTEGER, \\"b c\\" VARCHAR[])").fields
    ('a', 'b c')
    """
    tokens = _TOKEN.findall(text)
    return _Reader(tokens).kind()


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._place = 0

    def _peek(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _next(self) -> str:
        self._place += 1
        return self._tokens[self._place - 1] if self._place <= len(self._tokens) else ""

    def kind(self) -> Kind:
        return self._listed(self._named(self._next().strip('"').strip()))

    def _named(self, name: str) -> Kind:
        if self._peek() != "(":
            return Kind(name.upper())
        self._next()
        if name.upper() in ("STRUCT", "UNION"):
            return self._struct(name.upper())
        args: list[Kind | int] = []
        while self._peek() not in (")", ""):
            token = self._peek()
            if token == ",":
                self._next()
            elif token.isdigit():
                args.append(int(self._next()))
            elif token.startswith("'"):
                self._next()
            else:
                args.append(self.kind())
        self._next()
        return Kind(name.upper(), tuple(args))

    def _struct(self, name: str) -> Kind:
        fields: list[str] = []
        args: list[Kind] = []
        while self._peek() not in (")", ""):
            token = self._next()
            if token == ",":
                continue
            if token.startswith('"'):
                fields.append(token[1:-1].replace('""', '"'))
                args.append(self.kind())
            else:  # a plain name and its type are words of one token
                field, _, rest = token.partition(" ")
                fields.append(field)
                args.append(self._listed(self._named(rest.strip())) if rest else self.kind())
        self._next()
        return Kind(name, tuple(args), tuple(fields))

    def _listed(self, kind: Kind) -> Kind:
        while self._peek() == "[":
            while self._next() not in ("]", ""):
                pass
            kind = Kind("[]", (kind,))
        return kind
