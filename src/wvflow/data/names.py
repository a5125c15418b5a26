"""Where the bare names of a session are looked up: in the schema that `use` chose, once there is one, then in the main
ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from wvflow.data.files import literal
from wvflow.data.rows import quoted

if TYPE_CHECKING:
    import duckdb

MEMORY = "memory"
_MAIN = "main"


class Names:
    """``current``: the catalog and schema that `use` chose, which needn't be there."""

    def __init__(self, cursor: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._cursor = cursor
        self.current = (MEMORY, _MAIN)

    def look_up(self, catalogs: Sequence[str], named: Iterable[str] = ()) -> None:
        """Have bare names looked up in these catalogs, and those behind the name of a schema, of which ``named`` are
        candidates, too. The memory's schemas are those of all of them."""
        places = [(catalog, _MAIN) for catalog in catalogs]
        if self.current not in places:
            catalog, schema = self.current
            used = [(one, schema) for one in (catalogs if catalog == MEMORY else (catalog,))]
            places = [*(one for one in used if self._is_there(*one)), *places]
        behind = [(catalog, schema) for catalog in catalogs for schema in sorted(set(named))]
        places += [one for one in behind if one not in places and self._is_there(*one)]
        path = ",".join(f"{quoted(catalog)}.{quoted(schema)}" for catalog, schema in places)
        self._cursor().execute(f"SET search_path = {literal(path)}")

    def home(self, catalog: str, parts: tuple[str, ...]) -> str:
        """The schema that a table has in one of the two catalogs."""
        current, schema = self.current
        if len(parts) > 1:
            schema = parts[0]
        elif current != MEMORY or not any(self._is_there(one, schema) for one in (MEMORY, catalog)):
            schema = _MAIN
        return f"{catalog}.{quoted(schema)}"

    def _is_there(self, catalog: str, schema: str) -> bool:
        wanted = "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?"
        return bool(self._cursor().execute(wanted, [catalog, schema]).fetchall())
