"""The values that a task works with: what its call is given, and what is asked before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wvflow.drivers.embedded.cells import value_of
from wvflow.drivers.embedded.errand import Errand
from wvflow.drivers.embedded.outputs import Outputs
from wvflow.drivers.embedded.queries import Queries
from wvflow.errors import EvaluationError, TaskError
from wvflow.kernel.events import Output
from wvflow.lang.algebra import Cell, Expr, Limit, Piped, StageRows
from wvflow.lang.evaluate import Cells, evaluate
from wvflow.lang.missing import PIPED, without
from wvflow.plan.tasks import ActivityTask, Argument, QueryTask
from wvflow.ports.stop import Stop


class Arguments:
    """Evaluates expressions; those over rows by queries. All of it raises TaskError."""

    def __init__(self, queries: Queries, outputs: Outputs, secret: Callable[[str], str], scalar_rows: int) -> None:
        self._queries = queries
        self._outputs = outputs
        self._secret = secret
        self._scalar_rows = scalar_rows

    def is_true(self, asks: Expr, errand: Errand, stop: Stop) -> bool:
        """Whether a ``when`` lets the stage run; null doesn't."""
        found = self.value(asks, "when", errand, stop)
        if found is None or isinstance(found, bool):
            return found is True
        raise TaskError("EvaluationError", f"`when` is neither true nor false: {found!r}", retryable=False)

    def value(self, value: Expr, use: str, errand: Errand, stop: Stop) -> object:
        """What needs no rows of its own."""
        return self._evaluate(value, errand.values, lambda cell: self._cell(cell, None, use, errand, stop))

    def by_name(self, task: ActivityTask, given: Output | None, errand: Errand, stop: Stop) -> dict[str, object]:
        """Those of a call; of an implementation, made of the values of the declaration's parameters."""
        values = errand.values
        if task.given:
            values = {**values, **{one.name: self.argument(one, given, errand, stop) for one in task.given}}
            return {one.name: self._evaluate(one.value, values) for one in task.arguments}
        return {one.name: self.argument(one, given, errand, stop) for one in task.arguments}

    def argument(self, argument: Argument, given: Output | None, errand: Errand, stop: Stop) -> object:
        """``given``: the rows that go into the call."""
        return self._evaluate(
            argument.value, errand.values, lambda cell: self._cell(cell, given, argument.name, errand, stop)
        )

    def _evaluate(self, value: Expr, values: Mapping[str, object], cells: Cells | None = None) -> object:
        try:
            return evaluate(value, values, secrets=self._secret, cells=cells)
        except EvaluationError as error:
            raise TaskError("EvaluationError", error.message, help=error.help, retryable=False) from None

    def _cell(self, cell: Cell, given: Output | None, use: str, errand: Errand, stop: Stop) -> object:
        """The value in the one row of a stage, or of the input (``given``)."""
        match cell.rows:
            case Piped():
                output = None if PIPED in errand.missing else given
                rows = self._outputs.opener(output, errand.name.stage)
            case StageRows(stage=stage):
                output = errand.inputs.get(stage)
                rows = self._outputs.opener(output, stage)
            case view:
                rel = Limit(without(view, errand.missing), self._scalar_rows + 1)
                few = self._queries.query(QueryTask(rel), errand, stop)
                output, rows = few.output, self._outputs.reader(few, cell.owner)
        return value_of(cell, output, rows, use=use, most=self._scalar_rows)
