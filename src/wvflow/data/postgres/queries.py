"""One query task on PostgreSQL from its inputs to its output."""

from __future__ import annotations

from pathlib import Path

import msgspec

from wvflow.data import outputs
from wvflow.data.declared import check_columns
from wvflow.data.pieces import with_places
from wvflow.data.postgres import saves
from wvflow.data.postgres.parameters import numbered
from wvflow.data.postgres.results import Selected, described, reading
from wvflow.data.postgres.session import Session
from wvflow.data.postgres.staging import Staging
from wvflow.data.rows import to_ipc
from wvflow.data.session import bound
from wvflow.data.texts import Texts
from wvflow.kernel.events import Output
from wvflow.lang.algebra import Piped
from wvflow.lang.evaluate import evaluate
from wvflow.lang.tables import Result
from wvflow.plan.files import files_as_inputs
from wvflow.plan.tasks import Delete, FileTarget, QueryTask, Save, TableTarget
from wvflow.plan.views import merged_views
from wvflow.ports.engine import Engine, InlineRows, Located, QueryJob, Stored
from wvflow.ports.stop import Stop
from wvflow.sql import Lowered, identifier, input_name

_NEW = "_wvflow_new"


class Query:
    """A job in its session. Raises psycopg's errors as they come."""

    def __init__(
        self, job: QueryJob, session: Session, staging: Staging, *, texts: Texts, rows: Engine, state: Path
    ) -> None:
        self._job = job
        self._session = session
        self._staging = staging
        self._texts = texts
        self._rows = rows
        self._state = state

    def run(self, stop: Stop) -> Stored:
        save = self._job.task.save
        if isinstance(save, Delete):
            return self._delete(save)
        selected = self._selected()
        check_columns(
            self._job.columns,
            [column.name for column in selected.columns],
            [column.duckdb for column in selected.columns],
        )
        return self._keep(selected, stop) if save is None else self._save(save, selected, stop)

    def _save(self, save: Save, selected: Selected, stop: Stop) -> Stored:
        match save.target:
            case FileTarget():
                return self._to_file(save, selected, stop)
            case TableTarget() as target if save.mode == "replace":
                return self._to_table(target, selected, stop)
            case TableTarget() as target:
                return self._change(save, target, selected, stop)

    def look(self, most: int, stop: Stop) -> Result:
        """The first rows, as the engine of the outputs shows them, and the number of all."""
        selected = self._selected()
        first = selected._replace(text=f"SELECT * FROM ({selected.text}\n) AS _wvflow_rows LIMIT {most:d}")
        with reading(self._session, first) as rows:
            seen = InlineRows(to_ipc(rows.schema, rows))
        shown = self._rows.look(self._over(seen, None), most, stop)
        if shown.size < most:
            return shown
        counted = f"SELECT count(*) FROM ({selected.text}\n) AS _wvflow_rows"
        return shown._replace(size=self._session.row(counted, selected.values)[0])

    def _lowered(self) -> tuple[Lowered, tuple[object, ...]]:
        """With the inputs at hand; and the values of its parameters, in the order of their names."""
        columns = {stage: self._staging.bring(input_name(stage), rows) for stage, rows in self._job.inputs.items()}
        if self._job.piped is not None:
            self._staging.bring(input_name("_"), self._job.piped)
        task, files = files_as_inputs(self._job.task)
        for name, path in files.items():
            self._staging.bring_file(input_name(name), self._texts.locate(path))
        for view in merged_views(task):
            shape = self._described(self._texts.lowered(QueryTask(view.input), columns))
            columns[view.name] = [column.name for column in shape.columns]
        lowered = self._texts.lowered(task, columns)
        return lowered, self._bound(lowered)

    def _bound(self, lowered: Lowered) -> tuple[object, ...]:
        return tuple(bound(lowered.values, self._job.values).values())

    def _selected(self) -> Selected:
        lowered, _ = self._lowered()
        return self._described(lowered, in_rows=self._job.in_rows)

    def _described(self, lowered: Lowered, *, in_rows: bool = False) -> Selected:
        select = with_places(lowered.select) if in_rows else lowered.select
        return described(self._session, numbered(select, lowered.values), self._bound(lowered))

    def _keep(self, selected: Selected, stop: Stop) -> Stored:
        with reading(self._session, selected) as rows:
            return self._rows.keep(rows, self._job.name, stop)

    def _to_table(self, target: TableTarget, selected: Selected, stop: Stop) -> Stored:
        """Rows that are also kept are read back from the table, unless an earlier attempt saved them: it may have been
        replaced since."""
        with saves.once(self._session, self._job.name.applied) as once:
            if once.done is None:
                count = saves.replace(self._session, target.parts, selected.text, selected.values)
                once.mark(count, ".".join(target.parts))
                table = f"SELECT * FROM {identifier(target.parts, 'postgres')}"
                selected = Selected(table, (), selected.columns)
            else:
                count = once.done[0]
            stored = self._keep(selected, stop) if self._job.task.keep else Stored(Output(rows=count))
        return _named(stored, target)

    def _change(self, save: Save, target: TableTarget, selected: Selected, stop: Stop) -> Stored:
        """The rows that are kept are those that are brought in, drawn once."""
        self._session.execute(f"CREATE TEMP TABLE {_NEW} AS {selected.text}", selected.values)
        new = Selected(f"SELECT * FROM {_NEW}", (), selected.columns)
        stored = self._keep(new, stop) if self._job.task.keep else None
        with saves.once(self._session, self._job.name.applied) as once:
            count = once.done[0] if once.done else self._changed(save, target, new)
            if once.done is None:
                once.mark(count, ".".join(target.parts))
        return _named(stored or Stored(Output(rows=count)), target)

    def _changed(self, save: Save, target: TableTarget, new: Selected) -> int:
        columns = tuple(column.name for column in new.columns)
        by = tuple(saves.column_named(name, columns) for name in save.by)
        match save.mode:
            case "merge":
                return saves.merge(self._session, target.parts, by, saves.New(_NEW, columns))
            case "partition":
                values = {
                    saves.column_named(one.name, columns): evaluate(one.value, self._job.values) for one in save.fixed
                }
                fixed = {name: value for name, value in values.items() if name not in columns}
                return saves.replace_partitions(self._session, target.parts, by, saves.New(_NEW, columns, fixed))
            case _:
                return saves.append(self._session, target.parts, save.by, new.text)

    def _delete(self, delete: Delete) -> Stored:
        lowered, values = self._lowered()
        statement = numbered(lowered.save or "", lowered.values)
        with saves.once(self._session, self._job.name.applied) as once:
            count = once.done[0] if once.done else self._session.execute(statement, values).rowcount
            if once.done is None:
                once.mark(count, ".".join(delete.table.parts))
        return _named(Stored(Output(rows=count)), delete.target)

    def _to_file(self, save: Save, selected: Selected, stop: Stop) -> Stored:
        """By the engine of the outputs, from the rows that are kept."""
        kept = self._keep(selected, stop)
        try:
            saved = self._rows.query(self._over(outputs.located(kept), save), stop)
        finally:
            if not self._job.task.keep and kept.inline is None:
                (self._state / self._job.name.path).unlink(missing_ok=True)
        if not self._job.task.keep:
            return saved
        output = msgspec.structs.replace(kept.output, target=saved.output.target)
        return msgspec.structs.replace(kept, output=output, saved=saved.saved)

    def _over(self, rows: Located, save: Save | None) -> QueryJob:
        """A job for the engine of the outputs."""
        task = QueryTask(Piped(), save=save, keep=False)
        return QueryJob(task=task, name=self._job.name, inputs={}, piped=rows, values=self._job.values)


def _named(stored: Stored, target: TableTarget) -> Stored:
    return msgspec.structs.replace(stored, output=msgspec.structs.replace(stored.output, target=str(target)))
