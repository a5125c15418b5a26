"""What stages save, as the stages behind them find it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wvflow.lang.algebra import File, Rel, Table
from wvflow.semantics.session import Known, Session
from wvflow.syntax.nodes import FileRef, Query, TableRef
from wvflow.syntax.walk import walk


class Saves:
    """Those of a flow whose stage number n comes after the stages ``upstreams[n]``.

    What only one place of the program writes is certain for whoever comes after it; all else may be of an earlier run,
    or of another stage.
    """

    def __init__(self, upstreams: Sequence[Sequence[int]]) -> None:
        self._upstreams = upstreams
        self._made: dict[Rel, tuple[int, Known]] = {}

    def add(self, stage: int, saved: Mapping[Rel, Known], session: Session) -> None:
        for target, columns in saved.items() if not session.connector else ():
            if session.is_saved_once(target):
                self._made[target] = stage, columns

    def seen_by(self, stage: int, body: Query) -> dict[Rel, Known]:
        """The columns of what a stage's body reads and stages before it have written."""
        read = [one for one in _sources(body) if one in self._made] if self._made else []
        before = self._before(stage) if read else set()
        return {one: self._made[one][1] for one in read if self._made[one][0] in before}

    def _before(self, stage: int) -> set[int]:
        found: set[int] = set()
        waiting = [stage]
        while waiting:
            new = set(self._upstreams[waiting.pop()]) - found
            found |= new
            waiting += new
        return found


def _sources(body: Query) -> Iterator[Rel]:
    for node in walk(body):
        match node:
            case TableRef(parts=parts, args=None):
                yield Table(tuple(part.text for part in parts), "")
            case FileRef(path=path):
                yield File(path)
            case _:
                pass
