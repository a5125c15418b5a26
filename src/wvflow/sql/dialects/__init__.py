"""What sets the dialects apart, as data. Found by running where an engine was at hand, by its manual elsewhere."""

from __future__ import annotations

import msgspec


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect.

    ``star_except``: has ``* EXCLUDE`` or ``* EXCEPT``. ``star_rename``: has ``* RENAME``. ``using_first``: ``*`` over a
    join with ``USING`` lists the keys first, as the language does. ``union_by_name``: has ``UNION ALL BY NAME``.
    ``replace_table``: has ``CREATE OR REPLACE TABLE … AS``. ``copy_to``: has ``COPY (…) TO``. ``table_options``: takes
    options of a table in ``WITH (…)``. ``text_intervals``: casts text such as ``45 minutes`` to an interval.
    ``refused``: functions and operators that have no form. ``printed``: whose SQL it is for the generator, where that
    has none of its name.
    """

    star_except: bool = False
    star_rename: bool = False
    using_first: bool = True
    union_by_name: bool = False
    replace_table: bool = False
    copy_to: bool = False
    table_options: bool = False
    text_intervals: bool = False
    refused: frozenset[str] = frozenset()
    printed: str = ""


_NO_ROW_VALUES = frozenset({"struct"})
_NO_ASOF = frozenset({"asof join"})
"""DuckDB alone: what sqlglot prints for the others is none of their SQL."""
_NO_LAMBDAS = frozenset({"->", "array_except"})

DIALECTS = {
    "duckdb": Traits(
        star_except=True,
        star_rename=True,
        using_first=False,
        union_by_name=True,
        replace_table=True,
        copy_to=True,
        text_intervals=True,
    ),
    "postgres": Traits(
        text_intervals=True,
        refused=_NO_ROW_VALUES
        | _NO_ASOF
        | _NO_LAMBDAS
        | {"map", "max_by", "min_by", "approx_count_distinct", "approx_quantile", "sample %"},
    ),
    "mysql": Traits(
        refused=_NO_ROW_VALUES | _NO_ASOF | _NO_LAMBDAS | {"map", "array", "max_by", "min_by", "full join"}
    ),
    "sqlite": Traits(refused=_NO_ROW_VALUES | _NO_ASOF | _NO_LAMBDAS | {"map", "array", "max_by", "min_by"}),
    "trino": Traits(replace_table=True, table_options=True, refused=_NO_ASOF),
    "hive": Traits(table_options=True, refused=_NO_ASOF),
    "spark": Traits(refused=_NO_ASOF | {"sample %"}),
    "databricks": Traits(star_except=True, replace_table=True, refused=_NO_ASOF),
    "snowflake": Traits(star_except=True, star_rename=True, union_by_name=True, replace_table=True, refused=_NO_ASOF),
    "bigquery": Traits(
        star_except=True,
        replace_table=True,
        refused=_NO_ASOF | _NO_LAMBDAS | {"as t(c)", "intersect all", "except all", "map", "sample %"},
    ),
    "clickhouse": Traits(star_except=True, replace_table=True, refused=_NO_ASOF),
    "redshift": Traits(refused=_NO_ROW_VALUES | _NO_ASOF | _NO_LAMBDAS | {"map"}),
}
DIALECTS |= {name: msgspec.structs.replace(DIALECTS[name[3:]], printed=name[3:]) for name in ("td_trino", "td_hive")}

# A number below a million for a key, the same in every dialect: of the first 32 bits of the MD5 of its text.
BUCKETS = {
    "duckdb": "CAST('0x' || SUBSTR(MD5(CAST(key AS VARCHAR)), 1, 8) AS BIGINT) % 1000000",
    "postgres": "CAST(CAST('x' || SUBSTR(MD5(CAST(key AS TEXT)), 1, 8) AS BIT(32)) AS BIGINT) % 1000000",
    "trino": "FROM_BASE(LOWER(SUBSTR(TO_HEX(MD5(TO_UTF8(CAST(key AS VARCHAR)))), 1, 8)), 16) % 1000000",
    "spark": "CAST(CONV(SUBSTR(MD5(CAST(key AS STRING)), 1, 8), 16, 10) AS BIGINT) % 1000000",
    "databricks": "CAST(CONV(SUBSTR(MD5(CAST(key AS STRING)), 1, 8), 16, 10) AS BIGINT) % 1000000",
    "snowflake": "TO_NUMBER(SUBSTR(MD5(CAST(key AS VARCHAR)), 1, 8), 'XXXXXXXX') % 1000000",
    "bigquery": "MOD(CAST(CONCAT('0x', SUBSTR(TO_HEX(MD5(CAST(key AS STRING))), 1, 8)) AS INT64), 1000000)",
}

# Functions by their name in DuckDB that another dialect calls differently and sqlglot doesn't rename.
RENAMED = {
    "postgres": {"arbitrary": "any_value"},
    "bigquery": {"arbitrary": "any_value"},
    "snowflake": {"arbitrary": "any_value"},
    "spark": {"arbitrary": "any_value"},
    "databricks": {"arbitrary": "any_value"},
}
