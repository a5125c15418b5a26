"""Types of the language (query reference, section 3.1). Unknown stays unknown and never makes an error."""

from __future__ import annotations

import msgspec


class Type(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, eq=False):
    """A type by its canonical name, with the arguments in its brackets: ``decimal[10,2]``, ``array[long]``.

    ``named``: what the program calls it, whose methods its values have. The engine knows nothing of that name, and two
    types are equal whatever they are called.
    """

    name: str
    args: tuple[Type | int, ...] = ()
    named: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and self.name == other.name and self.args == other.args

    def __hash__(self) -> int:
        return hash((self.name, self.args))

    def __str__(self) -> str:
        return f"{self.name}[{','.join(map(str, self.args))}]" if self.args else self.name

    @property
    def is_known(self) -> bool:
        return self.name != "any"

    @property
    def is_numeric(self) -> bool:
        return self.name in NUMERIC

    @property
    def is_integer(self) -> bool:
        return self.name in INTEGERS


UNKNOWN = Type("any")
NULL = Type("null")
BOOLEAN = Type("boolean")
INT = Type("int")
LONG = Type("long")
DOUBLE = Type("double")
DECIMAL = Type("decimal", (18, 3))
STRING = Type("string")
DATE = Type("date")
TIME = Type("time")
TIMESTAMP = Type("timestamp")
INTERVAL = Type("interval")
JSON = Type("json")
DURATION = Type("duration")

INTEGERS = frozenset({"byte", "short", "int", "long"})
NUMERIC = INTEGERS | {"float", "real", "double", "decimal"}

# Canonical name of every accepted spelling.
NAMES = {
    "boolean": "boolean",
    "bool": "boolean",
    "byte": "byte",
    "tinyint": "byte",
    "short": "short",
    "smallint": "short",
    "int": "int",
    "integer": "int",
    "long": "long",
    "bigint": "long",
    "int64": "long",
    "int32": "long",
    "hugeint": "long",
    "float": "float",
    "float32": "float",
    "real": "real",
    "double": "double",
    "float64": "double",
    "decimal": "decimal",
    "string": "string",
    "varchar": "string",
    "utf8": "string",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "interval": "interval",
    "json": "json",
    "binary": "binary",
    "varbinary": "binary",
    "uuid": "uuid",
    "array": "array",
    "map": "map",
    "struct": "struct",
    "row": "struct",
    "any": "any",
    "null": "null",
    "sql": "sql",
    "duration": "duration",
}


def array_of(item: Type) -> Type:
    return Type("array", (item,))
