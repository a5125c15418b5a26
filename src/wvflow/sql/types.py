"""Types of the language as SQL types (query reference, section 3.1)."""

from __future__ import annotations

from sqlglot import exp

from wvflow.lang.types import Type

T = exp.DataType.Type

_SIMPLE = {
    "boolean": T.BOOLEAN,
    "byte": T.TINYINT,
    "short": T.SMALLINT,
    "int": T.INT,
    "long": T.BIGINT,
    "float": T.FLOAT,
    "real": T.FLOAT,
    "double": T.DOUBLE,
    "decimal": T.DECIMAL,
    "string": T.VARCHAR,
    "date": T.DATE,
    "time": T.TIME,
    "timestamp": T.TIMESTAMP,
    "interval": T.INTERVAL,
    "json": T.JSON,
    "binary": T.VARBINARY,
    "uuid": T.UUID,
}
_NESTED = {"array": T.ARRAY, "map": T.MAP}
_DEFAULT_ARGUMENTS = {"decimal": (18, 3)}


def sql_type(type: Type) -> exp.DataType | None:
    """The SQL type, None for those that only stand in signatures (``any``, ``null``, ``sql``) or have no fields."""
    if nested := _NESTED.get(type.name):
        inner = [sql_type(arg) for arg in type.args if isinstance(arg, Type)]
        if not inner or None in inner:
            return None
        return exp.DataType(this=nested, expressions=inner, nested=True)
    if type.name not in _SIMPLE:
        return None
    arguments = type.args or _DEFAULT_ARGUMENTS.get(type.name, ())
    sizes = [exp.DataTypeParam(this=exp.Literal.number(size)) for size in arguments if isinstance(size, int)]
    return exp.DataType(this=_SIMPLE[type.name], expressions=sizes)
