"""The SQL of queries of the text per dialect, an operator or expression each. ``WVFLOW_UPDATE_GOLDEN=1`` writes them
anew: read the difference before you commit it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import duckdb
import pytest
import sqlglot

from golden.sql.programs import AGGREGATES, DIALECTS, FUNCTIONS, PROGRAMS, relation
from wvflow.errors import UserError
from wvflow.sql import lower_relation
from wvflow.sql.dialects.functions import ALIKE, ANYWHERE, FORMS, SAID_RIGHT

FOLDER = Path(__file__).parent / "programs"


def lowered(text: str, dialect: str) -> str:
    try:
        return lower_relation(relation(text), dialect).select
    except UserError as error:
        return f"-- {error.message}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_query_becomes_this_sql(dialect: str) -> None:
    text = "\n\n".join(f"-- {name}: {program}\n{lowered(program, dialect)}" for name, program in PROGRAMS.items())
    file = FOLDER / f"{dialect}.sql"
    if os.environ.get("WVFLOW_UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{text}\n")
    assert file.read_text() == f"{text}\n"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_function_becomes_this_sql(dialect: str) -> None:
    made = [(one, lowered(f"from trips select x = {one}", dialect)) for one in FUNCTIONS]
    made += [(one, lowered(f"from trips agg x = {one}", dialect)) for one in AGGREGATES]
    text = "\n".join(f"{name}  =>  {_bare(sql)}" for name, sql in made)
    file = FOLDER / f"functions.{dialect}.txt"
    if os.environ.get("WVFLOW_UPDATE_GOLDEN"):
        file.write_text(f"{text}\n")
    assert file.read_text() == f"{text}\n"


def test_every_function_that_is_said_for_postgres_is_among_them() -> None:
    named = set(re.findall(r"\w+", " ".join((*FUNCTIONS, *AGGREGATES))))
    said = ALIKE | SAID_RIGHT["postgres"] | {name for name in (*FORMS["postgres"], *ANYWHERE) if name.isidentifier()}
    assert {one for one in said if one not in named} == set()


def _bare(sql: str) -> str:
    """The one expression of a SELECT."""
    return sql.removeprefix("SELECT ").removesuffix(" FROM trips").replace(" AS x", "")


@pytest.mark.parametrize("dialect", DIALECTS[1:])
def test_a_parser_of_the_dialect_reads_back_what_was_written(dialect: str) -> None:
    queries = [*PROGRAMS.values(), *(f"from trips select x = {one}" for one in FUNCTIONS)]
    texts = [text for one in queries if not (text := lowered(one, dialect)).startswith("--")]
    assert [one for one in texts if _plain(_read_back(one, dialect)) != _plain(one)] == []


def _read_back(text: str, dialect: str) -> str:
    return sqlglot.parse_one(text, dialect=dialect).sql(dialect, normalize_functions=False)


def _plain(sql: str) -> str:
    """Without what doesn't count: case, and where the `not` of `is not null` stands."""
    return re.sub(r"not (\S+) is null", r"\1 is not null", sql.lower())


@pytest.mark.parametrize("name", PROGRAMS)
def test_duckdb_takes_each_of_them(name: str) -> None:
    with duckdb.connect() as engine:
        engine.execute(
            'CREATE TABLE trips (id BIGINT, zone VARCHAR, fare DECIMAL(10,2), "at" TIMESTAMP, tags VARCHAR[])'
        )
        engine.execute("CREATE TABLE zones (zone VARCHAR, city VARCHAR)")
        engine.execute("CREATE TABLE other (a INTEGER, tags INTEGER)")
        engine.execute(lower_relation(relation(PROGRAMS[name])).select)
