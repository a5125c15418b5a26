"""One query task from its inputs to its output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from wvflow.data import outputs, saves
from wvflow.data.failures import unbroken
from wvflow.data.rows import BATCH_ROWS, STORED_AS, LookAhead, quoted, recast
from wvflow.data.session import Session, bound
from wvflow.data.tasks import Facts
from wvflow.data.texts import Texts
from wvflow.data.warehouse import Warehouse
from wvflow.kernel.events import Output
from wvflow.plan.nodes import FileTarget, Save, TableTarget
from wvflow.ports.engine import QueryJob, Stored
from wvflow.ports.stop import Stop
from wvflow.sql import Lowered, input_name

_KEPT = "_wvflow_kept"


class Query:
    """A job in its session. Raises DuckDB's errors as they come."""

    def __init__(
        self, job: QueryJob, known: Facts, session: Session, *, texts: Texts, state: Path, warehouse: Warehouse
    ) -> None:
        self._job = job
        self._known = known
        self._session = session
        self._texts = texts
        self._state = state
        self._warehouse = warehouse

    def run(self, stop: Stop) -> Stored:
        lowered = self._lowered()
        values = bound(lowered.values, self._job.values)
        save = self._job.task.save
        if save is None:
            return self._keep(lowered.select, values)
        if not self._job.task.keep:
            rows = self._save(save, self._storable(lowered.select, values), values, lowered, stop)
            return Stored(Output(rows=rows, target=str(save.target)))
        stored = self._keep(lowered.select, values)
        self._session.attach_input(_KEPT, outputs.located(stored))
        self._save(save, f"SELECT * FROM {quoted(input_name(_KEPT))}", {}, lowered, stop)
        return Stored(msgspec.structs.replace(stored.output, target=str(save.target)), stored.inline)

    def _lowered(self) -> Lowered:
        for stage, rows in self._job.inputs.items():
            self._session.attach_input(stage, rows)
        if self._job.piped is not None:
            self._session.attach_input("_", self._job.piped)
        columns = self._session.columns(self._job.inputs) if self._known.merges else {}
        return self._texts.lowered(self._job.task, columns)

    def _storable(self, select: str, values: Mapping[str, object]) -> str:
        """The SELECT with the names and types that its columns are kept under."""
        relation = self._session.relation(select, values)
        return recast(select, relation.columns, relation.types, STORED_AS)

    def _keep(self, select: str, values: Mapping[str, object]) -> Stored:
        select = self._storable(select, values)
        reader = self._session.relation(select, values).to_arrow_reader(BATCH_ROWS)
        ahead = LookAhead(reader.schema, unbroken(reader))
        if self._known.restarts_cheaply and ahead.rows >= BATCH_ROWS:
            reader.close()
            return outputs.keep_all(self._session, select, values, self._job.name, self._state)
        return outputs.keep(self._session, ahead, self._job.name, self._state)

    def _save(self, save: Save, select: str, values: Mapping[str, object], lowered: Lowered, stop: Stop) -> int:
        match save.target:
            case TableTarget(parts=parts):
                with self._warehouse.saving(stop):
                    return saves.to_table(self._session, select, values, parts, self._job.name.applied)
            case FileTarget(path=path):
                target = Path(self._texts.locate(path))
                return saves.to_file(self._session, select, values, target, lowered.options)
