"""This process's DuckDB: in memory, told apart from everything outside but the files that it is pointed at."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


class Connection:
    """Opened at its first use. Cursors of it may be used by one thread each, at the same time."""

    def __init__(self, spill: Path, *, threads: int | None = None, memory_limit: str | None = None) -> None:
        # DuckDB would take the space that is free at its first spill for its limit, and what is beyond it for a lack of
        # memory. Without one, a full disk is told as such.
        spilling = {"temp_directory": str(spill), "max_temp_directory_size": "1000000TB"}
        settings = {"threads": threads, "memory_limit": memory_limit, **spilling}
        self._settings = {name: value for name, value in settings.items() if value is not None}
        self._opening = threading.Lock()
        self._root: duckdb.DuckDBPyConnection | None = None

    def cursor(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            if self._root is None:
                self._root = self._opened()
            return self._root.cursor()

    def close(self) -> None:
        """Close it; what a statement that was given up on still holds goes with that."""
        with self._opening:
            root, self._root = self._root, None
        if root is not None:
            import duckdb

            with suppress(duckdb.ResourceInUseException):
                root.close()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        # A Python variable must never pass for a table, and a missing extension must not wait for the network.
        closed = {"python_enable_replacements": False, "autoinstall_known_extensions": False}
        root = duckdb.connect(":memory:", config={**closed, **self._settings})
        # Lossless: JSON and UUID stay what they are on their way through Arrow.
        for setting in ("TimeZone = 'UTC'", "arrow_lossless_conversion = true"):
            root.execute(f"SET GLOBAL {setting}").fetchall()
        return root
