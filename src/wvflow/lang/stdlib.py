"""The standard library and what is known of the engine's functions, as tables (query reference, sections 3.4 and 9).

A method is the same whatever the type of what it is called on: `x.length` of text and of arrays is ``length(x)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from wvflow.lang.types import BOOLEAN, DATE, DOUBLE, LONG, STRING, TIMESTAMP, Type


class Method(NamedTuple):
    """``x.name(args)`` as ``function(x, args)``. ``receiver`` false: the receiver is no argument; ``distinct``: over
    distinct values. ``least`` and ``most``: how many arguments it takes besides the receiver; ``default``: a last one
    that is given for the user. ``dialects``: those that have it, all without any."""

    function: str
    least: int = 0
    most: int = 0
    receiver: bool = True
    distinct: bool = False
    default: int | None = None
    dialects: tuple[str, ...] = ()


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        # values (9.1)
        "or_else": Method("coalesce", 1, 1),
        "round": Method("round", 0, 1, default=0),
        "floor": Method("floor"),
        "trim": Method("trim"),
        "substring": Method("substring", 1, 2),
        "regexp_like": Method("regexp_matches", 1, 1),
        "within": Method("td_interval", 1, 1, dialects=("td_trino",)),
        "td_interval": Method("td_interval", 1, 1, dialects=("td_hive",)),
        "td_time_string": Method("td_time_string", 1, 1, dialects=("td_trino", "td_hive")),
        # groups and arrays (9.2)
        "count_distinct": Method("count", distinct=True),
        "count_if": Method("count_if", 1, 1, receiver=False),
        "count_approx_distinct": Method("approx_count_distinct"),
        "min": Method("min"),
        "max": Method("max"),
        "sum": Method("sum"),
        "avg": Method("avg"),
        "median": Method("median"),
        "variance": Method("variance"),
        "stddev": Method("stddev"),
        "approx_quantile": Method("approx_quantile", 1, 1),
        "min_by": Method("min_by", 1, 1),
        "max_by": Method("max_by", 1, 1),
        "arbitrary": Method("arbitrary"),
        "any": Method("arbitrary"),
        "to_array": Method("array_agg"),
        "length": Method("length"),
        "size": Method("length"),
    }
)

PARAMETERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "or_else": ("v",),
        "round": ("d",),
        "between": ("lo", "hi"),
        "like": ("p",),
        "substring": ("start", "len"),
        "regexp_like": ("p",),
        "extract": ("unit",),
        "within": ("d",),
        "td_interval": ("d",),
        "td_time_string": ("f",),
        "approx_quantile": ("p",),
        "get": ("i",),
        "exclude": ("arr",),
    }
)
"""What the arguments of methods are called. Of those that take conditions `name = …` is one."""

CASTS: Mapping[str, Type] = MappingProxyType(
    {
        "to_string": STRING,
        "to_int": LONG,
        "to_long": LONG,
        "to_float": DOUBLE,
        "to_double": DOUBLE,
        "to_boolean": BOOLEAN,
        "to_date": DATE,
    }
)
"""Methods that are casts."""

AGGREGATES = frozenset(
    {
        "count",
        "count_if",
        "approx_count_distinct",
        "min",
        "max",
        "sum",
        "avg",
        "median",
        "variance",
        "stddev",
        "approx_quantile",
        "min_by",
        "max_by",
        "arbitrary",
        "any_value",
        "array_agg",
        "list",
        "string_agg",
        "first",
        "last",
    }
)
"""Functions over the rows of a group."""

OVER_GROUP: Mapping[str, str] = MappingProxyType(
    {
        "count_if": "count_if",
        "max_by": "max_by",
        "min_by": "min_by",
        "array_agg": "array_agg",
        "to_array": "array_agg",
        "sum": "sum",
        "avg": "avg",
        "min": "min",
        "max": "max",
        "median": "median",
        "variance": "variance",
        "stddev": "stddev",
        "arbitrary": "arbitrary",
        "any": "arbitrary",
        "approx_quantile": "approx_quantile",
        "count_approx_distinct": "approx_count_distinct",
        "string_agg": "string_agg",
    }
)
"""``_.f(args)``: aggregates whose arguments are all given (8.3). ``_.count_distinct(x)`` is ``count(distinct x)``."""

RESULTS: Mapping[str, Type] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "count",
                "count_if",
                "approx_count_distinct",
                "row_number",
                "rank",
                "dense_rank",
                "ntile",
                "length",
                "strlen",
                "hash",
            ),
            LONG,
        ),
        **dict.fromkeys(("regexp_matches", "regexp_like", "contains", "starts_with", "td_interval"), BOOLEAN),
        **dict.fromkeys(
            (
                "concat",
                "upper",
                "lower",
                "trim",
                "ltrim",
                "rtrim",
                "substring",
                "substr",
                "replace",
                "regexp_replace",
                "reverse",
                "lpad",
                "rpad",
                "string_agg",
                "strftime",
                "secret",
                "td_time_string",
            ),
            STRING,
        ),
        **dict.fromkeys(("avg", "stddev", "stddev_pop", "stddev_samp", "sqrt", "median", "variance"), DOUBLE),
        "current_date": DATE,
        "current_timestamp": TIMESTAMP,
    }
)
"""Functions with a known result, whatever they are called with."""

RESULT_OF_FIRST = frozenset(
    {
        "min",
        "max",
        "sum",
        "abs",
        "coalesce",
        "greatest",
        "least",
        "lag",
        "lead",
        "first_value",
        "last_value",
        "arbitrary",
        "any_value",
        "round",
        "floor",
        "min_by",
        "max_by",
        "approx_quantile",
    }
)
"""Functions whose result has the type of their first argument."""

BARE_FUNCTIONS = frozenset({"current_date", "current_timestamp", "current_time"})
"""Functions that need no parentheses."""

EXTRACTED_UNITS = frozenset(
    {
        "year",
        "quarter",
        "month",
        "week",
        "day",
        "hour",
        "minute",
        "second",
        "dow",
        "doy",
        "isodow",
        "isoyear",
        "decade",
        "century",
        "epoch",
        "millisecond",
        "microsecond",
    }
)
