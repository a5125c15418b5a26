"""What sets the dialects apart, as data. Found by running where an engine was at hand, by its manual elsewhere."""

from __future__ import annotations

import msgspec


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect.

    ``star_except``: has ``* EXCLUDE`` or ``* EXCEPT``. ``star_rename``: has ``* RENAME``. ``using_first``: ``*`` over a
    join with ``USING`` lists the keys first, as the language does. ``union_by_name``: has ``UNION ALL BY NAME``.
    ``replace_table``: has ``CREATE OR REPLACE TABLE … AS``. ``copy_to``: has ``COPY (…) TO``. ``table_options``: takes
    options of a table in ``WITH (…)``. ``text_intervals``: casts text such as ``45 minutes`` to an interval.
    ``concat_skips_nulls``: ``concat`` does, as the language's. ``cuts_quotients``: ``/`` of whole numbers is whole.
    ``rounds_quotients``: ``/`` of whole numbers is a decimal of few digits. ``casts_cut``: a cast to a whole number
    cuts where others round. ``like_escapes``: a backslash escapes in the patterns of ``like``. ``typed_arrays``: ``[]``
    must have a type. ``limit_before_offset``: has no ``OFFSET`` without ``LIMIT``. ``files``: what files can stand in
    the place of a table, by their ends. ``refused``: operators that have no form. ``printed``: whose SQL it
    is for the generator, where that has none of its name.
    """

    star_except: bool = False
    star_rename: bool = False
    using_first: bool = True
    union_by_name: bool = False
    replace_table: bool = False
    copy_to: bool = False
    table_options: bool = False
    text_intervals: bool = False
    concat_skips_nulls: bool = False
    cuts_quotients: bool = False
    rounds_quotients: bool = False
    casts_cut: bool = False
    like_escapes: bool = False
    typed_arrays: bool = False
    limit_before_offset: bool = False
    files: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    printed: str = ""


_NO_ROW_VALUES = frozenset({"struct"})
_NO_ASOF = frozenset({"asof join"})
"""DuckDB alone: what sqlglot prints for the others is none of their SQL."""
_NO_LAMBDAS = frozenset({"->", "array_except"})

_SPARK_FILES = frozenset({"parquet", "json", "orc"})

DIALECTS = {
    "duckdb": Traits(
        star_except=True,
        star_rename=True,
        using_first=False,
        union_by_name=True,
        replace_table=True,
        copy_to=True,
        text_intervals=True,
        concat_skips_nulls=True,
    ),
    "postgres": Traits(
        text_intervals=True,
        concat_skips_nulls=True,
        cuts_quotients=True,
        like_escapes=True,
        typed_arrays=True,
        refused=_NO_ROW_VALUES | _NO_ASOF | _NO_LAMBDAS | {"map", "sample %"},
    ),
    "mysql": Traits(
        rounds_quotients=True,
        like_escapes=True,
        limit_before_offset=True,
        refused=_NO_ROW_VALUES | _NO_ASOF | _NO_LAMBDAS | {"map", "array", "full join"},
    ),
    "sqlite": Traits(
        cuts_quotients=True,
        limit_before_offset=True,
        refused=_NO_ROW_VALUES | _NO_ASOF | _NO_LAMBDAS | {"map", "array"},
    ),
    "trino": Traits(replace_table=True, table_options=True, cuts_quotients=True, refused=_NO_ASOF),
    "hive": Traits(table_options=True, casts_cut=True, like_escapes=True, refused=_NO_ASOF | _NO_LAMBDAS),
    "spark": Traits(
        casts_cut=True, like_escapes=True, files=_SPARK_FILES, refused=_NO_ASOF | {"sample %", "::json", "::time"}
    ),
    "databricks": Traits(
        star_except=True,
        replace_table=True,
        casts_cut=True,
        like_escapes=True,
        files=_SPARK_FILES,
        refused=_NO_ASOF | {"::json", "::time"},
    ),
    "snowflake": Traits(
        star_except=True,
        star_rename=True,
        union_by_name=True,
        replace_table=True,
        rounds_quotients=True,
        refused=frozenset({"intersect all", "except all"}),
    ),
    "bigquery": Traits(
        star_except=True,
        replace_table=True,
        like_escapes=True,
        limit_before_offset=True,
        refused=_NO_ASOF | _NO_LAMBDAS | {"as t(c)", "intersect all", "except all", "map", "sample %", "escape"},
    ),
    "clickhouse": Traits(star_except=True, replace_table=True, like_escapes=True, refused=_NO_ASOF | _NO_LAMBDAS),
    "redshift": Traits(
        cuts_quotients=True, like_escapes=True, refused=_NO_ROW_VALUES | _NO_ASOF | _NO_LAMBDAS | {"map"}
    ),
}
DIALECTS |= {name: msgspec.structs.replace(DIALECTS[name[3:]], printed=name[3:]) for name in ("td_trino", "td_hive")}
