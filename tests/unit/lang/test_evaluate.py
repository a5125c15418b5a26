"""The evaluator and DuckDB read the same expressions and must agree; the SQL stands beside each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import duckdb
import pytest

from wvflow.errors import CompilerBug, EvaluationError
from wvflow.lang.algebra import (
    Array,
    Between,
    Binary,
    Branch,
    Call,
    Case,
    Cast,
    Column,
    Entry,
    Exists,
    Expr,
    Extract,
    Field,
    In,
    Index,
    InQuery,
    IsNull,
    Like,
    Literal,
    MapValue,
    NamedArgument,
    ScalarQuery,
    Single,
    Star,
    StructValue,
    Tuple,
    Unary,
    Value,
)
from wvflow.lang.evaluate import evaluate, is_static
from wvflow.lang.types import (
    BOOLEAN,
    DATE,
    DOUBLE,
    DURATION,
    INT,
    INTERVAL,
    LONG,
    NULL,
    STRING,
    TIME,
    TIMESTAMP,
    Type,
    array_of,
)


def lit(value: object) -> Expr:
    """A literal, or what is one already: bool, int, text, None; a text ending in ``m`` after digits is a decimal."""
    match value:
        case None:
            return Literal(None, NULL)
        case bool():
            return Literal(value, BOOLEAN)
        case int():
            return Literal(value, LONG)
        case str():
            return Literal(value, STRING)
        case float():
            return Literal(repr(value), DOUBLE)
        case _:
            return value  # type: ignore[return-value]


def dec(text: str) -> Expr:
    return Literal(text, Type("decimal", (len(text.replace(".", "")), len(text.partition(".")[2]))))


def op(left: object, operator: str, right: object) -> Expr:
    return Binary(operator, lit(left), lit(right))  # type: ignore[arg-type]


def neg(value: object) -> Expr:
    return Unary("-", lit(value))


def no(value: object) -> Expr:
    return Unary("not", lit(value))


def among(value: object, *options: object, negated: bool = False) -> Expr:
    return In(lit(value), tuple(map(lit, options)), negated)


def between(value: object, low: object, high: object, negated: bool = False) -> Expr:
    return Between(lit(value), lit(low), lit(high), negated)


def like(text: object, pattern: object, escape: object = None, negated: bool = False) -> Expr:
    return Like(lit(text), lit(pattern), None if escape is None else lit(escape), negated)


def call(function: str, *args: object) -> Expr:
    return Call(function, tuple(map(lit, args)))


def to(type: Type, value: object) -> Expr:
    return Cast(lit(value), type)


def array(*items: object) -> Expr:
    return Array(tuple(map(lit, items)))


def row(*items: object) -> Expr:
    return Tuple(tuple(map(lit, items)))


def case(*branches: tuple[object, object], operand: object = ..., otherwise: object = ...) -> Expr:
    return Case(
        tuple(Branch(lit(when), lit(then)) for when, then in branches),
        None if otherwise is ... else lit(otherwise),
        None if operand is ... else lit(operand),
    )


def dec_type(precision: int, scale: int) -> Type:
    return Type("decimal", (precision, scale))


STRUCT = StructValue((NamedArgument("a", lit(1)), NamedArgument("b c", lit("x"))))
MAP = MapValue((Entry(lit("a"), lit(1)),))
FIFTH = to(DATE, "2020-05-06")
NOON = to(TIMESTAMP, "2020-05-06 12:30:15")
NAN = to(DOUBLE, "nan")

AGREED: list[tuple[Expr, str]] = [
    # arithmetic
    (op(2, "+", 3), "2 + 3"),
    (op(2, "-", 5), "2 - 5"),
    (op(2, "*", dec("1.50")), "2 * 1.50"),
    (op(dec("1.5"), "+", dec("2.25")), "1.5 + 2.25"),
    (op(dec("1.5"), "*", dec("2.25")), "1.5 * 2.25"),
    (op(dec("0.1"), "+", dec("0.2")), "0.1 + 0.2"),
    (op(0.1, "+", dec("0.2")), "0.1::double + 0.2"),
    (op(10, "/", 4), "10 / 4"),
    (op(1, "/", 3), "1 / 3"),
    (op(dec("1.5"), "/", 2), "1.5 / 2"),
    (op(10, "/", 0), "10 / 0"),
    (op(neg(10), "/", 0), "(-10) / 0"),
    (op(0, "/", 0), "0::double / 0"),
    (op(7, "//", 2), "7 // 2"),
    (op(neg(7), "//", 2), "(-7) // 2"),
    (op(7, "//", neg(2)), "7 // (-2)"),
    (op(neg(6), "//", neg(2)), "(-6) // (-2)"),
    (op(dec("7.5"), "//", 2), "7.5 // 2"),
    (op(-5.5, "//", 2), "(-5.5::double) // 2"),
    (op(7, "%", neg(2)), "7 % (-2)"),
    (op(neg(7), "%", 2), "(-7) % 2"),
    (op(dec("7.5"), "%", 2), "7.5 % 2"),
    (op(neg(dec("7.5")), "%", 2), "(-7.5) % 2"),
    (op(-7.0, "%", 2), "(-7.0::double) % 2"),
    (op(7.5, "%", 0), "7.5::double % 0"),
    (op(NAN, "%", 2), "'nan'::double % 2"),
    (op(None, "+", 1), "null + 1"),
    (op(1, "//", None), "1 // null"),
    (op(3000000000, "+", 1), "3000000000 + 1"),
    (neg(neg(5)), "-(-5)"),
    (neg(dec("1.50")), "-(1.50)"),
    (neg(None), "-(null::integer)"),
    (Unary("+", lit(5)), "+5"),
    # dates
    (op(FIFTH, "+", 1), "date '2020-05-06' + 1"),
    (op(FIFTH, "-", 6), "date '2020-05-06' - 6"),
    (op(to(DATE, "2020-03-01"), "-", to(DATE, "2020-02-01")), "date '2020-03-01' - date '2020-02-01'"),
    (op(FIFTH, "+", to(INTERVAL, "1 day")), "date '2020-05-06' + interval '1 day'"),
    (op(NOON, "-", to(INTERVAL, "90 minutes")), "timestamp '2020-05-06 12:30:15' - interval '90 minutes'"),
    (op(NOON, "-", to(TIMESTAMP, "2020-05-05")), "timestamp '2020-05-06 12:30:15' - timestamp '2020-05-05'"),
    (op(to(INTERVAL, "1 hour"), "*", 2), "interval '1 hour' * 2"),
    (op(to(INTERVAL, "1 hour"), "+", to(INTERVAL, "5 minutes")), "interval '1 hour' + interval '5 minutes'"),
    (op(to(INTERVAL, "1 hour"), "-", to(INTERVAL, "5 minutes")), "interval '1 hour' - interval '5 minutes'"),
    (neg(to(INTERVAL, "1 hour")), "-(interval '1 hour')"),
    # comparison
    (op(1, "=", dec("1.0")), "1 = 1.0"),
    (op(dec("0.1"), "=", 0.1), "0.1 = 0.1::double"),
    (op("a", "<", "b"), "'a' < 'b'"),
    (op("a", "<", "B"), "'a' < 'B'"),
    (op("1", "=", 1), "'1' = 1"),
    (op(10, ">", "9"), "10 > '9'"),
    (op(True, ">", False), "true > false"),
    (op(2, "<=", 2), "2 <= 2"),
    (op(2, ">=", 3), "2 >= 3"),
    (op(2, "!=", 3), "2 != 3"),
    (op(None, "=", None), "null = null"),
    (op(1, "<", None), "1 < null"),
    (op(NAN, "=", NAN), "'nan'::double = 'nan'::double"),
    (op(NAN, ">", 1), "'nan'::double > 1"),
    (op(NAN, "<", 1), "'nan'::double < 1"),
    (op(FIFTH, "<", NOON), "date '2020-05-06' < timestamp '2020-05-06 12:30:15'"),
    (op(FIFTH, "=", "2020-05-06"), "date '2020-05-06' = '2020-05-06'"),
    (op(to(INTERVAL, "1 hour"), "=", to(INTERVAL, "60 minutes")), "interval '1 hour' = interval '60 minutes'"),
    (op(to(INTERVAL, "1 hour"), "<", to(INTERVAL, "1 day")), "interval '1 hour' < interval '1 day'"),
    (op(array(1, 2), "=", array(1, 2)), "[1, 2] = [1, 2]"),
    (op(array(1, 2), "<", array(1, 3)), "[1, 2] < [1, 3]"),
    (op(array(1, None), "=", array(1, None)), "[1, null] = [1, null]"),
    (op(row(1, 2), "=", row(1, 2)), "(1, 2) = (1, 2)"),
    # three-valued logic: every pair
    *(
        (op(left, word, right), f"{sql_left} {word} {sql_right}")
        for word in ("and", "or")
        for left, sql_left in ((True, "true"), (False, "false"), (None, "null::boolean"))
        for right, sql_right in ((True, "true"), (False, "false"), (None, "null::boolean"))
    ),
    (no(True), "not true"),
    (no(None), "not null"),
    # predicates
    (among(1, 2, None), "1 in (2, null)"),
    (among(1, 1, None), "1 in (1, null)"),
    (among(1, 2, None, negated=True), "1 not in (2, null)"),
    (among(1, 2, 3, negated=True), "1 not in (2, 3)"),
    (among(None, 1), "null in (1)"),
    (among(row(1, 2), row(1, 2), row(3, 4)), "(1, 2) in ((1, 2), (3, 4))"),
    (between(2, 1, 2), "2 between 1 and 2"),
    (between(0, 1, 2), "0 between 1 and 2"),
    (between(3, None, 2), "3 between null and 2"),
    (between(1, None, 2), "1 between null and 2"),
    (between(1, 2, None), "1 between 2 and null"),
    (between(0, 1, 2, negated=True), "0 not between 1 and 2"),
    (between(None, 1, 2, negated=True), "null not between 1 and 2"),
    (like("abc", "a%"), "'abc' like 'a%'"),
    (like("abc", "a_c"), "'abc' like 'a_c'"),
    (like("abc", "A%"), "'abc' like 'A%'"),
    (like("abc", "b"), "'abc' like 'b'"),
    (like("a\nb", "a%b"), "'a\nb' like 'a%b'"),
    (like("a.c", "a.c"), "'a.c' like 'a.c'"),
    (like("abc", "a.c"), "'abc' like 'a.c'"),
    (like("a%b", "a!%b", "!"), "'a%b' like 'a!%b' escape '!'"),
    (like("axb", "a!%b", "!"), "'axb' like 'a!%b' escape '!'"),
    (like("abc", "a%", negated=True), "'abc' not like 'a%'"),
    (like(None, "a%"), "null like 'a%'"),
    (like("a", None, negated=True), "'a' not like null"),
    (IsNull(lit(None)), "null is null"),
    (IsNull(lit(1)), "1 is null"),
    (IsNull(lit(1), negated=True), "1 is not null"),
    # case and coalesce
    (case((False, 1), (None, 2), (True, 3)), "case when false then 1 when null then 2 when true then 3 end"),
    (case((False, 1)), "case when false then 1 end"),
    (case((False, 1), otherwise=2), "case when false then 1 else 2 end"),
    (case((dec("1.0"), "a"), operand=1), "case 1 when 1.0 then 'a' end"),
    (case((None, 1), operand=None, otherwise=2), "case null when null then 1 else 2 end"),
    (call("coalesce", None, 1, 2), "coalesce(null, 1, 2)"),
    (call("coalesce", None, None), "coalesce(null, null)"),
    # functions
    (call("concat", "a", None, 1), "concat('a', null, 1)"),
    (call("concat", None), "concat(null)"),
    (call("concat", "a", dec("1.50"), True, FIFTH), "concat('a', 1.50, true, date '2020-05-06')"),
    (call("concat", NOON, to(INTERVAL, "5 minutes")), "concat(timestamp '2020-05-06 12:30:15', interval '5 minutes')"),
    (call("concat", to(INTERVAL, "30 hours")), "concat(interval '1 day' + interval '6 hours')"),
    (call("concat", 1.0, "|", 1e15, "|", 1e16, "|", 1.5e-7), "concat(1::double, '|', 1e15, '|', 1e16, '|', 1.5e-7)"),
    (call("concat", array(1), array(2, 3)), "concat([1], [2, 3])"),
    (call("upper", "straße"), "upper('straße')"),
    (call("lower", "ÄÉx"), "lower('ÄÉx')"),
    (call("upper", None), "upper(null)"),
    (call("trim", "  a b "), "trim('  a b ')"),
    (call("trim", "\ta"), "trim('\ta')"),
    (call("trim", "xxaxx", "x"), "trim('xxaxx', 'x')"),
    (call("length", "héé"), "length('héé')"),
    (call("length", array(1, 2)), "length([1, 2])"),
    (call("replace", "aaa", "a", "bb"), "replace('aaa', 'a', 'bb')"),
    (call("replace", "aaa", "", "b"), "replace('aaa', '', 'b')"),
    (call("replace", "aaa", None, "b"), "replace('aaa', null, 'b')"),
    (call("contains", "abc", "b"), "contains('abc', 'b')"),
    (call("contains", array(1, 2), 3), "contains([1, 2], 3)"),
    (call("contains", None, "b"), "contains(null, 'b')"),
    (call("starts_with", "abc", "ab"), "starts_with('abc', 'ab')"),
    (call("starts_with", "abc", "b"), "starts_with('abc', 'b')"),
    *(
        (call("substring", "hello", lit(start), lit(size)), f"substring('hello', {start}, {size})")
        for start in (-10, -3, -1, 0, 1, 2, 5, 6, 10)
        for size in (-2, -1, 0, 1, 3, 10)
    ),
    *(
        (call("substring", "hello", lit(start)), f"substring('hello', {start})")
        for start in (-10, -5, -3, 0, 1, 2, 5, 6)
    ),
    # casts
    (to(INT, "1.5"), "'1.5'::integer"),
    (to(INT, " 12 "), "' 12 '::integer"),
    (to(LONG, "1e2"), "'1e2'::bigint"),
    (to(INT, dec("2.5")), "2.5::integer"),
    (to(INT, neg(dec("0.5"))), "(-0.5)::integer"),
    (to(INT, 2.5), "(2.5::double)::integer"),
    (to(INT, 3.5), "(3.5::double)::integer"),
    (to(INT, True), "true::integer"),
    (to(INT, None), "null::integer"),
    (to(BOOLEAN, "T"), "'T'::boolean"),
    (to(BOOLEAN, "no"), "'no'::boolean"),
    (to(BOOLEAN, dec("0.4")), "0.4::boolean"),
    (to(BOOLEAN, 0), "0::boolean"),
    (to(DOUBLE, dec("1.5")), "1.5::double"),
    (to(DOUBLE, "inf"), "'inf'::double"),
    (to(DOUBLE, to(Type("float"), dec("0.1"))), "(0.1::float)::double"),
    (to(dec_type(5, 1), dec("1.25")), "1.25::decimal(5,1)"),
    (to(dec_type(5, 1), neg(dec("1.25"))), "(-1.25)::decimal(5,1)"),
    (to(dec_type(5, 2), 1.005), "(1.005::double)::decimal(5,2)"),
    (to(dec_type(5, 2), "5"), "'5'::decimal(5,2)"),
    (to(Type("decimal"), 5), "5::decimal"),
    (to(dec_type(38, 10), "1234567890123456789012345678"), "'1234567890123456789012345678'::decimal(38,10)"),
    (to(STRING, dec("1.50")), "1.50::varchar"),
    (to(STRING, True), "true::varchar"),
    (to(STRING, to(TIMESTAMP, "2020-01-01 10:00:00.120")), "(timestamp '2020-01-01 10:00:00.120')::varchar"),
    (to(STRING, to(TIME, "10:00:00.5")), "(time '10:00:00.5')::varchar"),
    (to(DATE, "2020-1-2 "), "'2020-1-2 '::date"),
    (to(DATE, "2020-01-01 10:00:00"), "'2020-01-01 10:00:00'::date"),
    (to(DATE, NOON), "(timestamp '2020-05-06 12:30:15')::date"),
    (to(TIMESTAMP, FIFTH), "(date '2020-05-06')::timestamp"),
    (to(TIMESTAMP, "2020-05-06T12:30:15"), "'2020-05-06T12:30:15'::timestamp"),
    (to(TIME, "10:00"), "'10:00'::time"),
    (to(TIME, NOON), "(timestamp '2020-05-06 12:30:15')::time"),
    (to(INTERVAL, "1 hour 30 minutes"), "'1 hour 30 minutes'::interval"),
    (to(array_of(STRING), array(1, 2)), "[1, 2]::varchar[]"),
    # nested values
    (array(), "[]"),
    (Index(array(1, 2), lit(1)), "[1, 2][1]"),
    (Index(array(1, 2), lit(0)), "[1, 2][0]"),
    (Index(array(1, 2), lit(3)), "[1, 2][3]"),
    (Index(array(1, 2), lit(-1)), "[1, 2][-1]"),
    (Index(array(1, 2), lit(-3)), "[1, 2][-3]"),
    (Index(array(1, 2), lit(None)), "[1, 2][null]"),
    (STRUCT, "{'a': 1, 'b c': 'x'}"),
    (Index(STRUCT, lit("b c")), "({'a': 1, 'b c': 'x'})['b c']"),
    (Field(STRUCT, "a"), "({'a': 1, 'b c': 'x'}).a"),
    (MAP, "map {'a': 1}"),
    (Index(MAP, lit("a")), "(map {'a': 1})['a']"),
    (Index(MAP, lit("b")), "(map {'a': 1})['b']"),
    *(
        (Extract(unit, NOON), f"extract({unit} from timestamp '2020-05-06 12:30:15')")
        for unit in ("year", "quarter", "month", "week", "day", "dow", "isodow", "doy", "hour", "minute", "second")
    ),
    (Extract("year", lit(None)), "extract(year from null::date)"),
]

REFUSED: list[tuple[Expr, str]] = [
    (op(1, "//", 0), "1 // 0"),
    (op(dec("7.5"), "//", 0), "7.5 // 0"),
    (op(1, "%", 0), "1 % 0"),
    (op(9223372036854775807, "+", 1), "9223372036854775807 + 1"),
    (Binary("+", lit(2147483647), lit(1), INT), "2147483647::integer + 1::integer"),
    (op(1, "+", True), "1 + true"),
    (op("5", "+", 1), "'5' + 1"),
    (op(1.0, "=", "x"), "1::double = 'x'"),
    (op(array(1), "<", 1), "[1] < 1"),
    (to(INT, "abc"), "'abc'::integer"),
    (to(INT, ""), "''::integer"),
    (to(Type("byte"), 300), "300::tinyint"),
    (to(LONG, 1e30), "1e30::bigint"),
    (to(INT, to(DOUBLE, "inf")), "('inf'::double)::integer"),
    (to(BOOLEAN, "on"), "'on'::boolean"),
    (to(BOOLEAN, " true"), "' true'::boolean"),
    (to(dec_type(4, 2), dec("99.995")), "99.995::decimal(4,2)"),
    (to(dec_type(5, 2), dec("12345.6")), "12345.6::decimal(5,2)"),
    (to(DATE, "20200101"), "'20200101'::date"),
    (to(DATE, "2020-02-30"), "'2020-02-30'::date"),
    (to(DATE, 5), "5::date"),
    (to(TIMESTAMP, "noon"), "'noon'::timestamp"),
    (to(Type("uuid"), "abc"), "'abc'::uuid"),
    (to(INTERVAL, "soon"), "'soon'::interval"),
    (to(INTERVAL, True), "true::interval"),
    (to(INT, FIFTH), "(date '2020-05-06')::integer"),
    (to(BOOLEAN, FIFTH), "(date '2020-05-06')::boolean"),
    (to(DOUBLE, FIFTH), "(date '2020-05-06')::double"),
    (to(dec_type(5, 2), FIFTH), "(date '2020-05-06')::decimal(5,2)"),
    (to(dec_type(5, 2), "many"), "'many'::decimal(5,2)"),
    (to(TIME, 5), "5::time"),
    (to(TIMESTAMP, 5), "5::timestamp"),
    (to(Type("uuid"), FIFTH), "(date '2020-05-06')::uuid"),
    (op(True, "-", True), "true - true"),
    (op(FIFTH, "*", 2), "date '2020-05-06' * 2"),
    (like(FIFTH, 5), "date '2020-05-06' like 5"),
    (Index(lit(5), lit(1)), "(5)[1]"),
    (Extract("hour", lit(True)), "extract(hour from true)"),
    (like("abc", "abc!", "!"), "'abc' like 'abc!' escape '!'"),
    (like("abc", "abc", "!!"), "'abc' like 'abc' escape '!!'"),
    (call("upper", 5, 6), "upper(5, 6)"),
    (neg("x"), "-('x'::varchar)"),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize(("expr", "sql"), [pytest.param(*case, id=case[1]) for case in AGREED])
def test_the_evaluator_and_duckdb_agree(expr: Expr, sql: str, engine: duckdb.DuckDBPyConnection) -> None:
    (expected,) = engine.execute(f"select {sql}").fetchone()
    ours = evaluate(expr, {})
    assert (type(ours), repr(ours)) == (type(expected), repr(expected))
    assert is_static(expr)


@pytest.mark.parametrize(("expr", "sql"), [pytest.param(*case, id=case[1]) for case in REFUSED])
def test_what_duckdb_refuses_has_no_value(expr: Expr, sql: str, engine: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.Error):
        engine.execute(f"select {sql}").fetchone()
    with pytest.raises(EvaluationError):
        evaluate(expr, {})


LEFT_TO_THE_ENGINE = [
    to(STRING, array(1)),
    to(Type("map", (STRING, LONG)), STRUCT),
    to(STRING, to(Type("struct"), STRUCT)),
    to(INTERVAL, "2 months"),
    Extract("century", FIFTH),
]


@pytest.mark.parametrize("expr", LEFT_TO_THE_ENGINE, ids=str)
def test_what_only_an_engine_can_do_is_said(expr: Expr) -> None:
    with pytest.raises(EvaluationError, match=r"cast to|is no interval|has no `century`"):
        evaluate(expr, {})


def test_values_are_bound_by_name() -> None:
    day = dt.date(2026, 1, 31)
    assert evaluate(call("concat", Value("name"), ":", Value("day")), {"name": "n", "day": day}) == "n:2026-01-31"


def test_a_name_without_a_value_is_named() -> None:
    with pytest.raises(EvaluationError, match="`region` has no value here"):
        evaluate(Value("region"), {"regoin": 1})


def test_a_duration_is_a_span_of_time() -> None:
    assert (
        evaluate(Literal(90_000, DURATION), {}) == evaluate(Literal("1m30s", DURATION), {}) == dt.timedelta(seconds=90)
    )


def test_the_right_side_of_logic_is_not_looked_at_once_the_left_decides() -> None:
    broken = op(op(1, "//", 0), "=", 1)
    assert evaluate(op(False, "and", broken), {}) is False
    assert evaluate(op(True, "or", broken), {}) is True


def test_a_number_is_neither_true_nor_false() -> None:
    with pytest.raises(EvaluationError, match="neither true nor false"):
        evaluate(op(1, "and", True), {})


def test_a_secret_is_read_where_secrets_may_be() -> None:
    secret = call("secret", "API_KEY")
    assert evaluate(secret, {}, secrets={"API_KEY": "s3"}.__getitem__) == "s3"
    with pytest.raises(EvaluationError, match="can't be read here"):
        evaluate(secret, {})
    with pytest.raises(EvaluationError, match="takes one name"):
        evaluate(call("secret", 1), {}, secrets=str)


OVER_ROWS = [
    Column("x"),
    Star(),
    InQuery(lit(1), Single()),
    Exists(Single()),
    ScalarQuery(Single()),
    Call("sum", (lit(1),)),
    Call("concat", (lit("a"),), distinct=True),
]


@pytest.mark.parametrize("expr", OVER_ROWS, ids=lambda expr: type(expr).__name__)
def test_what_needs_rows_or_an_engine_is_not_static(expr: Expr) -> None:
    assert not is_static(op(1, "+", expr))
    with pytest.raises(CompilerBug):
        evaluate(expr, {})
