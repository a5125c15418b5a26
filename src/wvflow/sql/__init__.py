"""Plan to SQL: relations and typed expressions to sqlglot, and from there to text.

Importing this costs nothing; sqlglot is loaded by the first call of ``lower``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from wvflow.errors import UserError
from wvflow.lang.algebra import Piped, Rel, StageRows
from wvflow.plan.tasks import QueryTask

# Part of every key of cached SQL. Raise it with each change of the text that is made for any plan.
LOWERING = 3

Columns = Mapping[str, Sequence[str]]
Locate = Callable[[str], str]


class Lowered(msgspec.Struct, frozen=True):
    """A task as SQL. ``save`` is the whole text that saves it in that dialect, for showing, None without a save or
    where the dialect has no such statement. ``values`` names the parameters that must be bound, sorted;
    ``options`` those of the save, as SQL. ``shared``: the ``WITH`` that ``select`` begins with, ``""`` for none."""

    select: str
    save: str | None = None
    values: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    shared: str = ""


class DialectCannot(UserError):
    """A dialect has no way to say an operator."""

    def __init__(self, operator: str, dialect: str, help: str | None = None) -> None:
        super().__init__(f"`{operator}` can't be said in the SQL of {dialect}", help=help)
        self.operator = operator
        self.dialect = dialect


class UnknownDialect(UserError):
    """There is no SQL dialect of that name."""


class ColumnsDiffer(UserError):
    """Stages that are merged have different numbers of columns."""


class TooDeep(UserError):
    """A query is nested deeper than the SQL generator can follow."""


def input_name(stage: str) -> str:
    """The relation that holds a stage's rows while a task runs; ``_`` stands for the piped rows.

    >>> input_name("load")
    'stage.load'
    """
    return f"stage.{stage}"


def lower(
    task: QueryTask, dialect: str = "duckdb", *, columns: Columns | None = None, locate: Locate | None = None
) -> Lowered:
    """Turn a task into SQL.

    Args:
        columns: of the stages that it reads, by name; decides how ``merge`` unites them.
        locate: says where a data file is, given the path as written.

    Raises:
        UnknownDialect: there is no such dialect.
        DialectCannot: the dialect has no form of an operator.
        ColumnsDiffer: the merged stages don't fit together.
        TooDeep: there are hundreds of levels of sub-queries.
    """
    from wvflow.sql.statements import statements

    return _guarded(lambda: statements(task, dialect, columns or {}, locate or str))


def lower_relation(
    relation: Rel, dialect: str = "duckdb", *, columns: Columns | None = None, locate: Locate | None = None
) -> Lowered:
    """Turn a relation into one SELECT. Arguments and errors as ``lower``."""
    return lower(QueryTask(relation), dialect, columns=columns, locate=locate)


def identifier(parts: Sequence[str], dialect: str = "duckdb") -> str:
    """A name in parts as it stands in the SQL that is made for a dialect.

    >>> identifier(("shop", "Order"), "postgres")
    'shop."Order"'
    """
    from wvflow.sql.context import Context

    context = Context(dialect, {}, str)
    return context.text(context.table(parts))


def _guarded(make: Callable[[], Lowered]) -> Lowered:
    try:
        return make()
    except RecursionError:
        raise TooDeep("this query is nested too deeply", help="split it into several stages") from None


def condition_of(lowered: Lowered) -> str:
    """What the rows of a task that is a table behind one ``where`` fulfil, ``""`` for a table alone."""
    return lowered.select.removeprefix(lowered.shared).partition(" WHERE ")[2]


def passthrough(task: QueryTask) -> str | None:
    """The stage whose rows the task hands on untouched (``_`` for the piped rows), None when there is work to do.

    >>> passthrough(QueryTask(StageRows("load", "l")))
    'load'
    """
    match task:
        case QueryTask(relation=StageRows(stage=stage), save=None):
            return stage
        case QueryTask(relation=Piped(), save=None):
            return "_"
    return None
