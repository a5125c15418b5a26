from __future__ import annotations

from collections.abc import Callable, Iterator

import duckdb
import pytest

from wvflow.lang.algebra import Rel
from wvflow.sql import lower_relation

Rows = list[tuple[object, ...]]


@pytest.fixture(scope="session")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"threads": 1, "autoinstall_known_extensions": False}) as connection:
        yield connection


@pytest.fixture(scope="session")
def run(database: duckdb.DuckDBPyConnection) -> Callable[[Rel], Rows]:
    """The rows of a relation, computed by DuckDB."""
    return lambda relation: database.execute(lower_relation(relation).select).fetchall()
