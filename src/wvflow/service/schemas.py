"""The columns of data files and of the warehouse's tables, asked of the engine once and kept by what tells of a change.

Nobody waits for it: a warehouse that another process has open, and a file that can't be read, stay unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from wvflow.data.identity import modified, of_table
from wvflow.data.kept import Kept, key_of
from wvflow.errors import WvflowError
from wvflow.lang.algebra import File, Rel, Table
from wvflow.lang.catalog import Columns
from wvflow.lang.types import Type
from wvflow.ports.stop import StopToken
from wvflow.service.project import Project

KEPT = 4_096
_decoder = msgspec.json.Decoder(tuple[tuple[str, Type], ...])


class Schemas:
    """Those of one project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._kept = Kept(project.state / "cache" / "schemas", _decoder, KEPT)

    def ask(self, wanted: Iterable[Rel]) -> dict[Rel, Columns]:
        """The columns of those sources that are files or tables and that are there."""
        found: dict[Rel, Columns] = {}
        unknown: list[tuple[Rel, str]] = []
        for source in wanted:
            if (identity := self.identity(source)) is None:
                continue
            key = key_of(source, identity)
            if (columns := self._kept.get(key)) is not None:
                found[source] = columns
            else:
                unknown.append((source, key))
        if unknown:
            found |= self._asked(unknown)
        return found

    def identity(self, source: Rel) -> str | None:
        """What changes whenever the columns of a file or table do; None for one that isn't there, and for others."""
        try:
            match source:
                case File(path=path) if "://" not in path:
                    return modified(str(self._project.root / path))
                case Table(parts=parts):
                    return of_table(self._project.database, parts)
        except OSError:
            return None
        return None

    def _asked(self, unknown: list[tuple[Rel, str]]) -> dict[Rel, Columns]:
        from wvflow.data.interactive import Interactive

        project = self._project
        engine = Interactive(root=project.root, database=project.database, state=project.state, keeps=True)
        impatient = StopToken()
        engine.stop = impatient
        engine.waiting = lambda holder: impatient.request()
        found: dict[Rel, Columns] = {}
        try:
            for source, key in unknown:
                with suppress(WvflowError):  # somebody else has the warehouse, or the file can't be read
                    columns = engine.columns(source)[1]
                    if columns is not None:
                        found[source] = columns
                        self._kept.put(key, columns)
        finally:
            engine.close()
        return found
