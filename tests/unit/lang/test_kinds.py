"""The engine's types: read, shown under a column's name, and as types of the language (query reference, 3.1, 13.1)."""

from __future__ import annotations

import pytest

from wvflow.lang.kinds import RIGHT_ALIGNED, Kind, parse


@pytest.mark.parametrize(
    ("engine", "shown", "type_"),
    [
        ("INTEGER", "int", "int"),
        ("BIGINT", "long", "long"),
        ("HUGEINT", "long", "long"),
        ("SMALLINT", "short", "short"),
        ("TINYINT", "byte", "byte"),
        ("UBIGINT", "ubigint", "any"),
        ("FLOAT", "float", "float"),
        ("DOUBLE", "double", "double"),
        ("DECIMAL(18,3)", "decimal(18,3)", "decimal[18,3]"),
        ("VARCHAR", "string", "string"),
        ("BOOLEAN", "boolean", "boolean"),
        ("DATE", "date", "date"),
        ("TIME", "time", "time"),
        ("TIME_NS", "time", "time"),
        ("TIME WITH TIME ZONE", "time", "time"),
        ("TIMESTAMP", "timestamp", "timestamp"),
        ("TIMESTAMP WITH TIME ZONE", "timestamp", "timestamp"),
        ("TIMESTAMP_S", "timestamp", "timestamp"),
        ("TIMESTAMP_MS", "timestamp", "timestamp"),
        ("TIMESTAMP_NS", "timestamp", "timestamp"),
        ("INTERVAL", "interval", "interval"),
        ("BLOB", "binary", "binary"),
        ("JSON", "json", "json"),
        ("UUID", "uuid", "uuid"),
        ("BIT", "bit", "any"),
        ('"NULL"', "null", "null"),
        ("ENUM('a', 'b(''x'', ]')", "enum", "string"),
        ("INTEGER[]", "array(int)", "array[int]"),
        ("INTEGER[3]", "array(int)", "array[int]"),
        ("DECIMAL(5,2)[][]", "array(array(decimal(5,2)))", "array[array[decimal[5,2]]]"),
        ("MAP(VARCHAR, INTEGER[])", "map(string,array(int))", "map[string,array[int]]"),
        ("STRUCT(a INTEGER, b VARCHAR)", "struct(a int,b string)", "struct"),
        ('STRUCT("a b" TIMESTAMP WITH TIME ZONE[])[]', "array(struct(a b array(timestamp)))", "array[struct]"),
        (
            "STRUCT(a DECIMAL(4,1)[], b MAP(VARCHAR, DATE))",
            "struct(a array(decimal(4,1)),b map(string,date))",
            "struct",
        ),
        ('STRUCT("é" INTEGER, "x""y" ENUM(\'o)\'))', 'struct(é int,x"y enum)', "struct"),
        ("UNION(num INTEGER, str VARCHAR)", "union(num int,str string)", "any"),
        ("TUPLE(INTEGER, VARCHAR)", "tuple(int,string)", "any"),
    ],
)
def test_a_type_of_the_engine(engine: str, shown: str, type_: str) -> None:
    assert (parse(engine).text, str(parse(engine).type)) == (shown, type_)


@pytest.mark.parametrize(
    ("engine", "base", "right"),
    [
        ("DECIMAL(18,3)", "decimal", True),
        ("HUGEINT", "long", True),
        ("FLOAT", "float", True),
        ("DECIMAL(5,2)[]", "array", False),
        ("BOOLEAN", "boolean", False),
        ("INTERVAL", "interval", False),
    ],
)
def test_numbers_stand_on_the_right(engine: str, base: str, right: bool) -> None:
    assert (parse(engine).base, parse(engine).base in RIGHT_ALIGNED) == (base, right)


def test_names_and_types_of_a_struct() -> None:
    kind = parse('STRUCT(a INTEGER, "b, c" STRUCT(d FLOAT)[])')
    assert kind.fields == ("a", "b, c")
    assert kind.args == (Kind("INTEGER"), Kind("[]", (Kind("STRUCT", (Kind("FLOAT"),), ("d",)),)))
