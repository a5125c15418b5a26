"""How the functions of DuckDB, by whose names the language calls them, are said elsewhere.

A function is said as a table here says, or refused: sqlglot hands on what it doesn't know, and some that it knows mean
something else there (``log`` is the natural one, ``regexp_like`` is about the whole text, ``array_agg`` drops nulls).
Only a name that DuckDB hasn't either is the user's own function and passes as it is.

Found by running on PostgreSQL, by their manuals elsewhere. Where a form depends on the types, the name says so.
"""

from __future__ import annotations

from collections.abc import Mapping

from wvflow.sql.dialects.builtin import words

ALIKE = words(
    """
    abs acos asin atan atan2 avg ceil ceiling char_length character_length chr corr cos count covar_pop
    covar_samp current_date current_timestamp exp floor last_day lcase left len length ln lower lpad ltrim max min mod
    nullif pow power random replace reverse round rpad rtrim sign sin sqrt stddev stddev_pop stddev_samp substr
    substring sum tan tanh today trim trunc ucase upper var_pop var_samp variance
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
    """
)
"""What sqlglot says is right in every dialect."""

SAID_RIGHT: Mapping[str, frozenset[str]] = {
    "postgres": words(
        """
        array_agg array_to_string ascii bit_and bit_or bit_xor bool_and bool_or cbrt
        concat_ws cosh cot date_trunc datetrunc degrees gen_random_uuid greatest instr least list
        log md5 pi quantile_cont radians regexp_matches regexp_replace repeat right
        sinh split_part starts_with strftime string_agg strpos translate unnest uuid
        """
    ),
    "trino": words(
        """
        approx_count_distinct approx_quantile arbitrary arg_max arg_min array_agg array_sort
        array_to_string bool_and bool_or cbrt concat_ws cosh count_if countif date_trunc datetrunc degrees
        gen_random_uuid instr levenshtein list list_filter list_sort list_transform max_by
        min_by pi radians regexp_matches sinh split split_part starts_with str_split strftime string_split strpos
        translate uuid
        """
    ),
    "snowflake": words(
        """
        approx_count_distinct approx_quantile arg_max arg_min array_contains array_has array_sort ascii bit_and bit_or
        bit_xor bool_and bool_or cbrt contains cosh cot count_if countif date_diff date_trunc datediff datetrunc
        degrees ends_with gen_random_uuid greatest instr least levenshtein list_contains list_filter list_has
        list_sort list_transform max_by md5 median min_by mode pi radians repeat right sinh split split_part
        starts_with str_split strftime string_split strpos translate uuid
        """
    ),
    "bigquery": words(
        """
        approx_count_distinct arg_max arg_min array_agg array_contains array_has array_to_string ascii bit_and bit_or
        bit_xor bool_and bool_or cbrt cosh cot count_if countif date_trunc datetrunc ends_with gen_random_uuid instr
        levenshtein list list_contains list_has max_by min_by regexp_matches repeat right sinh split starts_with
        str_split string_agg string_split strpos translate uuid
        """
    ),
    "spark": words(
        """
        approx_count_distinct approx_quantile arg_max arg_min array_sort array_to_string
        ascii bit_and bit_or bit_xor bool_and bool_or cbrt concat_ws contains cosh cot count_if countif date_trunc
        datetrunc degrees ends_with gen_random_uuid greatest instr least levenshtein list_filter
        list_sort list_transform max_by md5 median min_by mode pi radians regexp_matches repeat right sinh
        split split_part starts_with str_split strftime string_split strpos translate uuid
        """
    ),
}
"""What sqlglot says right in one of them."""

_FIRST = "(ARRAY_AGG(_1))[1]"
_LARGEST = "(ARRAY_AGG(_1 ORDER BY _2 DESC) FILTER(WHERE _1 IS NOT NULL AND _2 IS NOT NULL))[1]"
_SMALLEST = "(ARRAY_AGG(_1 ORDER BY _2) FILTER(WHERE _1 IS NOT NULL AND _2 IS NOT NULL))[1]"
_OTHERS = "FILTER(_1, _m -> NOT CONTAINS(_2, _m))"
_HELD_BY = "CASE WHEN _1 IS NULL OR _2 IS NULL THEN NULL ELSE COALESCE({}, FALSE) END"
_CONTAINS = ("list_contains", "array_contains", "list_has", "array_has")

ANYWHERE: Mapping[str, str] = {
    "count_star": "COUNT(*)",
    "count_if": "COUNT(CASE WHEN _1 THEN 1 END)",
    "countif": "COUNT(CASE WHEN _1 THEN 1 END)",
    "now": "CURRENT_TIMESTAMP",
}
"""Forms for every dialect without one of its own."""

FORMS: Mapping[str, Mapping[str, str]] = {
    "postgres": {
        "any_value": "(ARRAY_AGG(_1) FILTER(WHERE _1 IS NOT NULL))[1]",
        **dict.fromkeys(_CONTAINS, _HELD_BY.format("_2 = ANY(_1)")),
        "arbitrary": _FIRST,
        "arg_max": _LARGEST,
        "arg_min": _SMALLEST,
        "contains": "POSITION(_2 IN _1) > 0",
        "ends_with": "RIGHT(_1, LENGTH(_2)) = _2",
        "length of array": "CARDINALITY(_1)",
        "log10": "LOG(_1)",
        "max_by": _LARGEST,
        "median": "PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY _1)",
        "min_by": _SMALLEST,
        "mode": "MODE() WITHIN GROUP (ORDER BY _1)",
        "round": "ROUND(CAST(_1 AS DECIMAL), _2)",
        "round of double": "CAST(ROUND(CAST(_1 AS DECIMAL), _2) AS DOUBLE PRECISION)",
        "round of integer": "CAST(ROUND(_1, _2) AS BIGINT)",
        "round of one": "ROUND(CAST(_1 AS DECIMAL))",
        "split": "STRING_TO_ARRAY(_1, _2)",
        "string_split": "STRING_TO_ARRAY(_1, _2)",
        "str_split": "STRING_TO_ARRAY(_1, _2)",
    },
    "trino": {
        "any_value": "ARBITRARY(_1)",
        "array_except": _OTHERS,
        **dict.fromkeys(_CONTAINS, _HELD_BY.format("CONTAINS(_1, _2)")),
        "contains": "STRPOS(_1, _2) > 0",
        "length of array": "CARDINALITY(_1)",
        "log": "LOG10(_1)",
        "log10": "LOG10(_1)",
        "log2": "LOG2(_1)",
        "md5": "LOWER(TO_HEX(MD5(TO_UTF8(_1))))",
        "string_agg": "CASE WHEN COUNT(_1) > 0 THEN ARRAY_JOIN(ARRAY_AGG(_1), _2) END",
        "[]": "ELEMENT_AT(_1, _2)",
        "::json": "JSON_PARSE(_1)",
    },
    "snowflake": {
        "any_value": "MIN(_1)",
        "arbitrary": "ANY_VALUE(_1)",
        "array_except": "FILTER(_1, _m -> NOT ARRAY_CONTAINS(_m, _2))",
        "length of array": "ARRAY_SIZE(_1)",
        "log": "LOG(10, _1)",
        "log10": "LOG(10, _1)",
        "log2": "LOG(2, _1)",
        "regexp_matches": "REGEXP_INSTR(_1, _2) > 0",
        "string_agg": "CASE WHEN COUNT(_1) > 0 THEN LISTAGG(_1, _2) END",
        "[]": "GET(_1, _2 - 1)",
        "//": "CAST((_1 - _1 % _2) / _2 AS BIGINT)",
        "::json": "PARSE_JSON(_1)",
    },
    "bigquery": {
        "any_value": "MIN(_1)",
        "arbitrary": "ANY_VALUE(_1)",
        "contains": "STRPOS(_1, _2) > 0",
        "length of array": "ARRAY_LENGTH(_1)",
        "log": "LOG10(_1)",
        "log10": "LOG10(_1)",
        "log2": "LOG(_1, 2)",
        "md5": "TO_HEX(MD5(_1))",
        "::json": "PARSE_JSON(_1)",
    },
    "spark": {
        "any_value": "MIN(_1)",
        "arbitrary": "ANY_VALUE(_1)",
        "array_except": "FILTER(_1, _m -> NOT ARRAY_CONTAINS(_2, _m))",
        **dict.fromkeys(_CONTAINS, _HELD_BY.format("ARRAY_CONTAINS(_1, _2)")),
        "length of array": "SIZE(_1)",
        "log": "LOG10(_1)",
        "log10": "LOG10(_1)",
        "log2": "LOG2(_1)",
        "string_agg": "CASE WHEN COUNT(_1) > 0 THEN ARRAY_JOIN(COLLECT_LIST(_1), _2) END",
        "[]": "ELEMENT_AT(_1, _2)",
    },
}
"""By dialect and name, with ``_1``, ``_2`` for the arguments; and some operators."""

_PLAIN = ("year", "quarter", "month", "day", "hour", "minute")
_EVERYWHERE = {unit: f"EXTRACT({unit.upper()} FROM _1)" for unit in (*_PLAIN, "second")}

UNITS: Mapping[str, Mapping[str, str]] = {
    "postgres": {
        **{unit: f"CAST(EXTRACT({unit.upper()} FROM _1) AS BIGINT)" for unit in (*_PLAIN, "week", "dow", "doy")},
        **{unit: f"CAST(EXTRACT({unit.upper()} FROM _1) AS BIGINT)" for unit in ("isodow", "isoyear", "decade")},
        "century": "CAST(EXTRACT(CENTURY FROM _1) AS BIGINT)",
        "second": "CAST(FLOOR(EXTRACT(SECOND FROM _1)) AS BIGINT)",
        "millisecond": "CAST(FLOOR(EXTRACT(MILLISECONDS FROM _1)) AS BIGINT)",
        "microsecond": "CAST(EXTRACT(MICROSECONDS FROM _1) AS BIGINT)",
        "epoch": "CAST(EXTRACT(EPOCH FROM _1) AS DOUBLE PRECISION)",
    },
    "trino": {
        **_EVERYWHERE,
        "week": "EXTRACT(WEEK FROM _1)",
        "dow": "EXTRACT(DOW FROM _1) % 7",
        "isodow": "EXTRACT(DOW FROM _1)",
        "doy": "EXTRACT(DOY FROM _1)",
        "isoyear": "EXTRACT(YOW FROM _1)",
        "epoch": "TO_UNIXTIME(_1)",
    },
    "snowflake": {
        **_EVERYWHERE,
        "week": "WEEKISO(_1)",
        "dow": "DAYOFWEEKISO(_1) % 7",
        "isodow": "DAYOFWEEKISO(_1)",
        "doy": "DAYOFYEAR(_1)",
        "isoyear": "YEAROFWEEKISO(_1)",
    },
    "bigquery": {
        **_EVERYWHERE,
        "week": "EXTRACT(ISOWEEK FROM _1)",
        "dow": "EXTRACT(DAYOFWEEK FROM _1) - 1",
        "isodow": "MOD(EXTRACT(DAYOFWEEK FROM _1) + 5, 7) + 1",
        "doy": "EXTRACT(DAYOFYEAR FROM _1)",
        "isoyear": "EXTRACT(ISOYEAR FROM _1)",
    },
    "spark": {
        **_EVERYWHERE,
        "second": "CAST(FLOOR(EXTRACT(SECOND FROM _1)) AS BIGINT)",
        "week": "EXTRACT(WEEK FROM _1)",
        "dow": "EXTRACT(DOW FROM _1) - 1",
        "isodow": "EXTRACT(DOW_ISO FROM _1)",
        "doy": "EXTRACT(DOY FROM _1)",
        "isoyear": "EXTRACT(YEAROFWEEK FROM _1)",
    },
}
"""``extract`` by dialect and unit. DuckDB counts days of the week from Sunday, 0, and weeks as ISO does."""

UNIT_FUNCTIONS: Mapping[str, str] = {
    **{unit: unit for unit in (*_EVERYWHERE, "week", "isodow", "isoyear", "epoch", "century", "decade")},
    "dayofmonth": "day",
    "dayofweek": "dow",
    "dayofyear": "doy",
    "weekofyear": "week",
}
"""Functions that are ``extract`` of a unit."""

TABLE_FUNCTIONS: Mapping[str, frozenset[str]] = {"postgres": frozenset({"generate_series", "range"})}
"""Functions in the place of a table besides ``unnest``."""

RELATIVES: Mapping[str, str] = {"databricks": "spark", "td_trino": "trino", "td_hive": "hive"}
"""Dialects that say functions as another one does."""

BUCKETS: Mapping[str, str] = {
    "duckdb": "CAST('0x' || SUBSTR(MD5(CAST(_1 AS VARCHAR)), 1, 8) AS BIGINT) % 1000000",
    "postgres": "CAST(CAST('x' || SUBSTR(MD5(CAST(_1 AS TEXT)), 1, 8) AS BIT(32)) AS BIGINT) % 1000000",
    "trino": "FROM_BASE(LOWER(SUBSTR(TO_HEX(MD5(TO_UTF8(CAST(_1 AS VARCHAR)))), 1, 8)), 16) % 1000000",
    "spark": "CAST(CONV(SUBSTR(MD5(CAST(_1 AS STRING)), 1, 8), 16, 10) AS BIGINT) % 1000000",
    "snowflake": "TO_NUMBER(SUBSTR(MD5(CAST(_1 AS VARCHAR)), 1, 8), 'XXXXXXXX') % 1000000",
    "bigquery": "MOD(CAST(CONCAT('0x', SUBSTR(TO_HEX(MD5(CAST(_1 AS STRING))), 1, 8)) AS INT64), 1000000)",
}
"""A number below a million for a key, the same in every dialect: of the first 32 bits of the MD5 of its text."""
