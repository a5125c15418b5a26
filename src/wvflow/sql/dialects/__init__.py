"""What sets the dialects apart, as data. Found by running where an engine was at hand, by its manual elsewhere."""

from __future__ import annotations

import msgspec


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect.

    ``star_except``: has ``* EXCLUDE`` or ``* EXCEPT``. ``using_first``: ``*`` over a join with ``USING`` lists the
    keys first, as the language does. ``union_by_name``: has ``UNION ALL BY NAME``. ``replace_table``: has
    ``CREATE OR REPLACE TABLE … AS``. ``copy_to``: has ``COPY (…) TO``. ``table_options``: takes options of a table in
    ``WITH (…)``. ``text_intervals``: casts text such as ``45 minutes`` to an interval. ``refused``: functions and
    operators that have no form.
    """

    star_except: bool = False
    using_first: bool = True
    union_by_name: bool = False
    replace_table: bool = False
    copy_to: bool = False
    table_options: bool = False
    text_intervals: bool = False
    refused: frozenset[str] = frozenset()


_NO_ROW_VALUES = frozenset({"struct"})
_NO_ASOF = frozenset({"asof join"})

DIALECTS = {
    "duckdb": Traits(
        star_except=True,
        using_first=False,
        union_by_name=True,
        replace_table=True,
        copy_to=True,
        text_intervals=True,
    ),
    "postgres": Traits(
        text_intervals=True,
        refused=_NO_ROW_VALUES | {"map", "max_by", "min_by", "approx_count_distinct", "approx_quantile"},
    ),
    "mysql": Traits(refused=_NO_ROW_VALUES | {"map", "array", "max_by", "min_by", "full join"}),
    "sqlite": Traits(refused=_NO_ROW_VALUES | {"map", "array", "max_by", "min_by"}),
    "trino": Traits(replace_table=True, table_options=True),
    "hive": Traits(table_options=True),
    "spark": Traits(),
    "databricks": Traits(star_except=True, replace_table=True),
    "snowflake": Traits(star_except=True, union_by_name=True, replace_table=True),
    "bigquery": Traits(star_except=True, replace_table=True, refused=frozenset({"as t(c)"})),
    "clickhouse": Traits(star_except=True, replace_table=True),
    "redshift": Traits(refused=_NO_ROW_VALUES | {"map"}),
}

# Functions by their name in DuckDB that another dialect calls differently and sqlglot doesn't rename.
RENAMED = {
    "postgres": {"arbitrary": "any_value"},
    "bigquery": {"arbitrary": "any_value"},
    "snowflake": {"arbitrary": "any_value"},
    "spark": {"arbitrary": "any_value"},
    "databricks": {"arbitrary": "any_value"},
}
