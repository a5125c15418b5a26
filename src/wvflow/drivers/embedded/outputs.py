"""Where the rows of outputs are: in files, in the store, or at hand in this process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wvflow.drivers.embedded.mapped import locate_row
from wvflow.errors import OutputMissing, TaskError
from wvflow.kernel.events import Output
from wvflow.ports.engine import Engine, FileRows, InlineRows, Located, Stored
from wvflow.ports.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

INLINE_CACHE = 1_000

Opener = Callable[[], "pa.RecordBatchReader"]
"""Rows to be read, once or more often."""


class Outputs:
    """Finds the rows of outputs, and keeps small ones for the next reader. Used by many threads at once."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine
        self._inline: OrderedDict[str, bytes] = OrderedDict()
        self._at_hand: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def forget(self, run_id: str) -> None:
        """Drop what is kept in memory of a run that this process no longer drives."""
        self._engine.forget(run_id)
        with self._lock:
            for ref in [ref for ref in self._inline if ref.startswith(f"inline:{run_id}/")]:
                del self._inline[ref]

    def noted(self, stored: Stored) -> Stored:
        """What was put out just now; rows that no file has are kept at hand."""
        if stored.inline is not None:
            self._remember(stored.output.ref, stored.inline)
        return stored

    def locate(self, output: Output, stage: str) -> Located:
        """Where the rows of a stage's output are.

        Raises:
            TaskError: ``NoRows``, it has none; ``OutputMissing``, they are gone.
        """
        kind, _, path = output.ref.partition(":")
        match kind:
            case "file":
                return FileRows(path)
            case "inline":
                return InlineRows(self._inline_rows(output.ref))
            case "row":
                return locate_row(output, self._engine, lambda rows: self.locate(rows, stage))
        raise TaskError(
            "NoRows",
            f"stage `{stage}` put out no rows that could be read",
            help="its activity returned nothing; return rows, or read the stage with `depends on` instead of `from`",
            retryable=False,
        )

    @contextmanager
    def holding(self, ref: str, rows: bytes) -> Iterator[None]:
        """Rows that nobody has kept, for as long as the block lasts."""
        self._at_hand[ref] = rows
        try:
            yield
        finally:
            self._at_hand.pop(ref, None)

    def opener(self, output: Output | None, stage: str) -> Opener:
        """Those of an output; no rows, where there is none."""

        def open_rows() -> pa.RecordBatchReader:
            if output is not None and output.ref:
                with _kept():
                    return self._engine.read(self.locate(output, stage))
            import pyarrow

            return pyarrow.table({}).to_reader()

        return open_rows

    def reader(self, stored: Stored, stage: str) -> Opener:
        """The rows of what was put out just now."""
        located = self.locate(stored.output, stage) if stored.inline is None else InlineRows(stored.inline)
        return lambda: self._engine.read(located)

    def _inline_rows(self, ref: str) -> bytes:
        if (found := self._at_hand.get(ref) or self._inline.get(ref)) is not None:
            return found
        with _kept():
            return self._remember(ref, self._store.inline(ref))

    def _remember(self, ref: str, rows: bytes) -> bytes:
        with self._lock:
            self._inline[ref] = rows
            while len(self._inline) > INLINE_CACHE:
                self._inline.popitem(last=False)
        return rows


@contextmanager
def _kept() -> Iterator[None]:
    """Rows that are gone are a failure of the task that reads them, and no attempt brings them back."""
    try:
        yield
    except OutputMissing as missing:
        raise TaskError("OutputMissing", missing.message, help=missing.help, retryable=False) from missing
