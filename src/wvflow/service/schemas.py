"""The columns of what a program reads, asked of the engine; of data files and the warehouse's tables once, and kept by
what tells of a change.

Nobody waits for it: a warehouse that another process has open, and a file that can't be read, stay unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from wvflow.data.identity import modified, of_table
from wvflow.data.kept import Kept, key_of
from wvflow.errors import WvflowError
from wvflow.lang.algebra import File, Literal, Rel, SqlText, Table
from wvflow.lang.catalog import Columns
from wvflow.lang.relations import nodes
from wvflow.lang.types import Type
from wvflow.ports.stop import StopToken
from wvflow.service.project import Project
from wvflow.service.stoppable import run_stoppable

if TYPE_CHECKING:
    from wvflow.data.interactive import Interactive

KEPT = 4_096
_decoder = msgspec.json.Decoder(tuple[tuple[str, Type], ...])


class Schemas:
    """Those of one project. ``tables``: the names of all tables there are, once one was missing.

    Of SQL, table functions and tables without a warehouse nothing tells of a change but their columns: they are asked
    for every time, once per object.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._kept = Kept(project.state / "cache" / "schemas", _decoder, KEPT)
        self._now: dict[Rel, Columns | None] = {}
        self.tables: tuple[str, ...] | None = None

    def ask(self, wanted: Iterable[Rel]) -> dict[Rel, Columns | None]:
        """The columns of those sources that could be asked for, None for a table that isn't there."""
        found: dict[Rel, Columns | None] = {}
        unknown: dict[Rel, str] = {}
        for source, identity in self.identities(wanted).items():
            if source in self._now:
                found[source] = self._now[source]
            elif identity is not None:
                key = key_of(source, identity)
                if (columns := self._kept.get(key)) is not None:
                    found[source] = columns
                else:
                    unknown[source] = key
        for source, columns in self._asked(unknown).items():
            found[source] = columns
            if columns is not None:
                self._kept.put(unknown[source], columns)
        return found

    def identities(self, sources: Iterable[Rel]) -> dict[Rel, str | None]:
        """What changes whenever the columns of a source do; None for one that isn't there or can't be asked for."""
        told = {source: self._told(source) for source in sources}
        new = [source for source, identity in told.items() if identity is None and source not in self._now]
        self._now |= self._asked([source for source in new if _is_near(source)])
        return {source: told[source] or self._answered(source) for source in told}

    def _told(self, source: Rel) -> str | None:
        try:
            match source:
                case File(path=path) if "://" not in path:
                    return modified(str(self._project.root / path))
                case Table(parts=parts):
                    return of_table(self._project.database, parts)
        except OSError:
            return None
        return None

    def _answered(self, source: Rel) -> str | None:
        columns = self._now.get(source)
        return None if columns is None else key_of(columns)

    def _asked(self, sources: Collection[Rel]) -> dict[Rel, Columns | None]:
        if not sources:
            return {}
        from wvflow.data.interactive import Interactive

        project = self._project
        engine = Interactive(root=project.root, database=project.database, state=project.state, keeps=True)
        impatient = StopToken()
        engine.at_hand.stop = impatient
        engine.at_hand.waiting = lambda holder: impatient.request()
        try:
            return run_stoppable(lambda: self._answers(engine, sources), engine.interrupt)
        finally:
            engine.close()

    def _answers(self, engine: Interactive, sources: Iterable[Rel]) -> dict[Rel, Columns | None]:
        found: dict[Rel, Columns | None] = {}
        for source in sources:
            with suppress(WvflowError):  # somebody else has the warehouse, or the file can't be read
                answered, columns = engine.columns(source)
                if answered and (columns is not None or isinstance(source, Table)):
                    found[source] = columns
        if None in found.values():
            with suppress(WvflowError):
                self.tables = engine.tables()
        return found


def _is_near(source: Rel) -> bool:
    """Whether a source without an identity can be asked for without going over the network."""
    texts = [node.value for node in nodes(source) if isinstance(node, Literal) and isinstance(node.value, str)]
    match source:
        case SqlText(parts=parts):
            texts += [part for part in parts if isinstance(part, str)]
        case File():
            return False
    return not any("://" in text for text in texts)
