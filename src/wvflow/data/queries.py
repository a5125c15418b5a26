"""One query task from its inputs to its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wvflow.data import appends, changes, outputs, partitions, saves
from wvflow.data.changes import New
from wvflow.data.declared import check_columns
from wvflow.data.pieces import with_places
from wvflow.data.rewrites import alone
from wvflow.data.rows import INLINE_ROWS, STORED_AS, LookAhead, ahead_of, quoted, recast, unique
from wvflow.data.saves import Saved
from wvflow.data.session import Session, bound
from wvflow.data.tasks import Facts
from wvflow.data.texts import Texts
from wvflow.data.times import times_as_texts
from wvflow.data.tiny import as_arrow
from wvflow.data.warehouse import Warehouse
from wvflow.kernel.events import Output
from wvflow.lang.algebra import Column as AColumn
from wvflow.lang.algebra import Item, Select
from wvflow.lang.evaluate import evaluate
from wvflow.lang.kinds import parse
from wvflow.lang.tables import Column, Result
from wvflow.lang.types import Type
from wvflow.plan.tasks import Delete, FileTarget, QueryTask, Save, TableTarget
from wvflow.plan.views import merged_views
from wvflow.ports.engine import FileRows, QueryJob, Stored
from wvflow.ports.stop import Stop
from wvflow.sql import Lowered, input_name

if TYPE_CHECKING:
    import duckdb

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
        if isinstance(self._job.task.save, Delete):
            with self._warehouse.saving(stop):
                return self._delete(self._job.task.save)
        lowered = self._lowered(self._job.task)
        lowered = msgspec.structs.replace(lowered, select=self._session.reading(lowered.select))
        values = bound(lowered.values, self._job.values)
        save, few = self._job.task.save, self._gives_few()
        if self._job.columns and not (few and save is None):
            shape = self._session.relation(lowered.select, values)
            check_columns(self._job.columns, shape.columns, shape.types)
        if save is None:
            select = with_places(lowered.select) if self._job.in_rows else lowered.select
            return self._keep(select, values, few=few, columns=self._job.columns)
        match save.target:
            case TableTarget() as target if save.mode == "replace":
                with self._warehouse.saving(stop):
                    return self._to_table(target, lowered.select, values)
            case TableTarget() as target:
                stored, rows = self._kept(lowered.select, values)
                with self._warehouse.saving(stop):
                    return self._change(save, target, stored, rows)
            case FileTarget() as target:
                with alone(Path(self._texts.locate(target.path)), stop, self._state):
                    return self._into_file(save, target, lowered, values)

    def look(self, most: int) -> Result:
        """The first rows, and the number of all."""
        lowered = self._lowered(self._job.task)
        select, values = self._session.reading(lowered.select), bound(lowered.values, self._job.values)
        shape = self._session.relation(select, values)
        names = zip(shape.columns, shape.types, strict=True)
        columns = tuple(Column(name, parse(str(type_))) for name, type_ in names)
        rows = self._session.few(times_as_texts(select, columns), values, most).rows
        size = len(rows)
        if size == most:
            ((size,),) = self._session.execute(f"SELECT count(*) FROM ({select})", values)
        return Result(columns, rows, size)

    def _gives_few(self) -> bool:
        """Whether everything it reads is small, so that most likely all it gives is, too."""
        inputs = (*self._job.inputs.values(), self._job.piped)
        return not self._known.reads_sources and not any(isinstance(rows, FileRows) for rows in inputs)

    def _lowered(self, task: QueryTask) -> Lowered:
        for stage, rows in self._job.inputs.items():
            self._session.attach_input(stage, rows)
        if self._job.piped is not None:
            self._session.attach_input("_", self._job.piped)
        columns = self._session.columns(self._job.inputs) if self._known.merges else {}
        for view in merged_views(task):
            columns[view.name] = tuple(self._shape(self._texts.lowered(QueryTask(view.input), columns)).columns)
        return self._texts.lowered(task, columns)

    def _shape(self, lowered: Lowered) -> duckdb.DuckDBPyRelation:
        select = self._session.reading(lowered.select)
        return self._session.relation(select, bound(lowered.values, self._job.values))

    def _keep(
        self, select: str, values: Mapping[str, object], *, few: bool, columns: Sequence[tuple[str, Type]] = ()
    ) -> Stored:
        """``few``: perhaps no more than may be kept inline. Then it is seen from the rows whether these are the
        ``columns`` that they must have."""
        if few and (stored := self._keep_few(select, values, columns)):
            return stored
        storable, relation = self._storable(select, values)
        if not few:
            return outputs.keep_all(self._session, storable, values, self._job.name, self._state)
        if storable != select:
            relation = self._session.relation(storable, values)
        return outputs.keep(self._session, ahead_of(relation), self._job.name, self._state)

    def _keep_few(
        self, select: str, values: Mapping[str, object], columns: Sequence[tuple[str, Type]]
    ) -> Stored | None:
        """Keep rows in the cheapest way if they turn out to be few and plain."""
        few = self._session.few(select, values, INLINE_ROWS + 1)
        check_columns(columns, few.names, few.kinds)
        if len(few.rows) > INLINE_ROWS or (batch := as_arrow(unique(few.names), few.kinds, few.rows)) is None:
            return None
        return outputs.keep(self._session, LookAhead(batch.schema, [batch]), self._job.name, self._state)

    def _storable(self, select: str, values: Mapping[str, object]) -> tuple[str, duckdb.DuckDBPyRelation]:
        """The SELECT with the names and types that its columns are kept under, and as it was bound without them."""
        relation = self._session.relation(select, values)
        return recast(select, relation.columns, relation.types, STORED_AS), relation

    def _to_table(self, target: TableTarget, select: str, values: Mapping[str, object]) -> Stored:
        storable, _ = self._storable(select, values)
        applied = self._job.name.applied
        left = "/".join(map(str, applied))
        with saves.to_table(self._session, storable, values, target.parts, applied) as saved:
            stored = self._of_table(saved, select, values)
        if saved.select is not None:
            self._warehouse.saved(target.parts, left)
        return _named(stored, target, left)

    def _of_table(self, saved: Saved, select: str, values: Mapping[str, object]) -> Stored:
        """Rows that are also kept are read back from the table, which costs less than computing them again."""
        if not self._job.task.keep:
            return Stored(Output(rows=saved.rows))
        if saved.select is None:
            return self._keep(select, values, few=self._gives_few())
        return self._keep(saved.select, {}, few=saved.rows <= INLINE_ROWS)

    def _into_file(self, save: Save, target: FileTarget, lowered: Lowered, values: Mapping[str, object]) -> Stored:
        path, left = Path(self._texts.locate(target.path)), ""
        stored, rows = self._kept(lowered.select, values)
        match save.mode:
            case "replace":
                count, left = saves.to_file(self._session, rows.select, rows.values, path, lowered.options)
            case "append":
                note = self._state / self._job.name.note
                count = appends.append(self._session, rows.select, rows.values, path, note, self._job.name.iteration)
            case "partition" if target.is_folder:
                new = self._with_fixed(save, rows)
                count = partitions.change_folder(self._session, save.by, new, path, lowered.options)
            case "merge" | "partition":
                new = self._with_fixed(save, rows)
                count = changes.change_file(self._session, save, new, path, lowered.options)
        return _named(stored or Stored(Output(rows=count)), target, left)

    def _with_fixed(self, save: Save, rows: New) -> New:
        columns = {name.lower() for name in self._session.relation(rows.select, rows.values).columns}
        return rows.with_fixed(
            {one.name: evaluate(one.value, self._job.values) for one in save.fixed if one.name.lower() not in columns}
        )

    def _change(self, save: Save, target: TableTarget, stored: Stored | None, rows: New) -> Stored:
        applied = self._job.name.applied
        left = "/".join(map(str, applied))
        count = changes.change(self._session, save, self._with_fixed(save, rows), target.parts, applied)
        self._warehouse.saved(target.parts, left)
        return _named(stored or Stored(Output(rows=count)), target, left)

    def _delete(self, delete: Delete) -> Stored:
        relation = Select(self._job.task.relation, (Item("rowid", AColumn("rowid", delete.table.alias)),))
        lowered = self._lowered(QueryTask(relation))
        select, values = self._session.reading(lowered.select), bound(lowered.values, self._job.values)
        applied, parts = self._job.name.applied, delete.table.parts
        left = "/".join(map(str, applied))
        count = changes.delete(self._session, select, values, parts, applied)
        self._warehouse.saved(parts, left)
        return _named(Stored(Output(rows=count)), delete.target, left)

    def _kept(self, select: str, values: Mapping[str, object]) -> tuple[Stored | None, New]:
        """The rows as an output, where somebody can ask for them, and as they go on from there."""
        if not self._job.task.keep:
            storable, _ = self._storable(select, values)
            return None, New(storable, values)
        stored = self._keep(select, values, few=self._gives_few())
        self._session.attach_input(_KEPT, outputs.located(stored))
        return stored, New(self._session.reading(f"SELECT * FROM {quoted(input_name(_KEPT))}"))


def _named(stored: Stored, target: TableTarget | FileTarget, left: str) -> Stored:
    """What was kept, with the target of the save, and the identity of what that left there."""
    output = msgspec.structs.replace(stored.output, target=str(target))
    return msgspec.structs.replace(stored, output=output, saved=left)
