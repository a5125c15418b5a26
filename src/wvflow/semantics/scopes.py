"""What names can mean at one place: the rows at hand, parameters, stages, and the scopes around.

Nothing is looked up by a string in a global table: a scope is a value, and a narrower one is made from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from wvflow.lang.algebra import Column, Expr, Rel
from wvflow.lang.types import STRING, TIMESTAMP, UNKNOWN, Type

if TYPE_CHECKING:
    from wvflow.plan.nodes import SignalPlan
    from wvflow.semantics.session import Session
    from wvflow.syntax.nodes import Name

IMPLICIT: Mapping[str, Type] = MappingProxyType(
    {
        "run_id": STRING,
        "run_time": TIMESTAMP,
        "run_date": STRING,
        "window_start": TIMESTAMP,
        "window_end": TIMESTAMP,
    }
)
"""Values that every run has (flow language, section 1, "Meaning of a name")."""


class Col(NamedTuple):
    name: str
    type: Type = UNKNOWN


Columns: TypeAlias = tuple[Col, ...] | None
"""The columns of a relation in order; None where they are not known before the run."""


class Shape(NamedTuple):
    """What is known of rows. ``qualifiers``: the names that may stand before a column's, with their columns.

    ``below``: columns that are no longer there but that ``order by`` may still name, and ``beneath`` the qualifiers for
    those, where they are others. ``row_type``: the declared type that has the rows' methods, ``""`` for none;
    ``row_types``: the same of the sources, by qualifier.
    """

    columns: Columns = None
    qualifiers: Mapping[str, Columns] = MappingProxyType({})
    below: Columns = ()
    row_type: str = ""
    row_types: Mapping[str, str] = MappingProxyType({})
    beneath: Mapping[str, Columns] | None = None

    def named(self, alias: str) -> Shape:
        """As seen under an alias."""
        if not alias:
            return Shape(self.columns, row_type=self.row_type)
        return Shape(self.columns, {alias: self.columns}, (), self.row_type, {alias: self.row_type})

    def now(self, columns: Columns) -> Shape:
        """Other columns over the same sources: no longer of the declared type."""
        return self._replace(columns=columns, below=self.columns, beneath=None, row_type="")

    def still(self, columns: Columns) -> Shape:
        """At least the same columns, so that the rows keep their type."""
        return self._replace(columns=columns, below=(), beneath=None)

    def beside(self, right: Shape) -> Shape:
        """Joined with the rows of another source; `_` means a row of the left one."""
        return Shape(
            merged(self.columns, right.columns),
            {**self.qualifiers, **right.qualifiers},
            row_type=self.row_type,
            row_types={**self.row_types, **right.row_types},
        )

    @property
    def for_sorting(self) -> Shape:
        """What a sort may name: the columns there are, and those below that none of them hides."""
        shown = {col.name.lower() for col in self.columns or ()}
        hidden = self.below if self.below is None else tuple(col for col in self.below if col.name.lower() not in shown)
        qualifiers = self.qualifiers if self.beneath is None else self.beneath
        return self.still(merged(self.columns, hidden))._replace(qualifiers=qualifiers)


class Row(NamedTuple):
    """One of these rows, as `_` or a source's name (``table``) means it: the receiver of its type's methods."""

    rows: Shape
    table: str = ""

    def method_scope(self, scope: Scope) -> Scope:
        """The place where the body of a method of the row is read: bare names are its columns."""
        if not self.table:
            return scope
        own = {col.name: Column(col.name, self.table, col.type) for col in self.rows.columns or ()}
        return replace(scope.over(self.rows), locals=own)


class Upstream(NamedTuple):
    """A stage of another flow as its readers see it. ``unreadable``: why it can't be read, ``""`` where it can."""

    columns: Columns = None
    unreadable: str = ""


class Relation(NamedTuple):
    rel: Rel
    shape: Shape


def merged(*several: Columns) -> Columns:
    """All columns of all; unknown if one of them is."""
    found: list[Col] = []
    for columns in several:
        if columns is None:
            return None
        found += columns
    return tuple(found)


def column(columns: Iterable[Col], name: str) -> Col | None:
    """The left-most column of a name; case doesn't count, as in the engine."""
    wanted = name.lower()
    return next((one for one in columns if one.name.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Scope:
    """``rows`` None: there are no rows here. ``values``: parameters, or what a caller put in their place.

    ``stages`` have their columns; ``stage`` is the one around, which never reads itself, ``forking`` the one that forks
    it, ``upstreams``: by flow that the header names, its stages; ``failed`` those by whose failure it can be that it
    runs, ``any_failed``: any upstream is such. ``keys``: the grouping keys by name. ``for_argument``: in an argument of
    an activity, ``for_when``: in a stage's ``when``, ``state``: the variables of the run, of which only
    ``for_argument``, ``for_when`` and ``for_state`` (a `wait until` or a handler) know; ``signals``: those that the
    flow takes. ``detach``: in a stage that doesn't wait for its child. ``instance``: the one row that an instance of a
    stage with ``map: s.col`` is about, ``undoing``: the rows that a compensation is to undo. ``locals``: the parameters
    of the lambda or function around, several expressions for one that takes all remaining arguments, and the receiver's
    columns; ``this``: the receiver of the method around. ``functions``: what is called without arguments here only,
    with its value.
    """

    session: Session
    rows: Shape | None = None
    values: Mapping[str, Expr] = field(default_factory=dict)
    stages: Mapping[str, Shape] = field(default_factory=dict)
    upstreams: Mapping[str, Mapping[str, Upstream]] = field(default_factory=dict)
    stage: str = ""
    forking: Name | None = None
    instance: Relation | None = None
    undoing: Shape | None = None
    ctes: Mapping[str, Relation] = field(default_factory=dict)
    keys: Mapping[str, Expr] = field(default_factory=dict)
    outer: Scope | None = None
    for_argument: bool = False
    for_when: bool = False
    state: Mapping[str, Expr] = field(default_factory=dict)
    signals: Mapping[str, SignalPlan] = field(default_factory=dict)
    for_state: bool = False
    failed: Collection[str] = ()
    any_failed: bool = False
    detach: bool = False
    locals: Mapping[str, Expr | tuple[Expr, ...]] = field(default_factory=dict)
    this: Expr | Row | None = None
    functions: Mapping[str, Expr] = field(default_factory=dict)

    def over(self, rows: Shape | None) -> Scope:
        """The same place with these rows at hand."""
        return replace(self, rows=rows, keys={})

    @property
    def knows_state(self) -> bool:
        return self.for_argument or self.for_when or self.for_state

    def inside(self) -> Scope:
        """The scope of a sub-query in an expression: its rows come first, then those here."""
        return replace(self, rows=None, keys={}, outer=self, for_argument=False)

    def around(self) -> Iterator[Scope]:
        """This scope and those around it, inner first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    @property
    def outermost(self) -> Scope:
        *_, last = self.around()
        return last

    def column(self, name: str) -> Col | None:
        """The nearest known column of that name."""
        for scope in self.around():
            if scope.rows and scope.rows.columns and (found := column(scope.rows.columns, name)):
                return found
        return None

    def qualified(self, name: str) -> Shape | None:
        """The rows behind a qualifier, None when it is none."""
        for scope in self.around():
            if scope.rows and name in scope.rows.qualifiers:
                return Shape(scope.rows.qualifiers[name], row_type=scope.rows.row_types.get(name, "")).named(name)
        return None

    @property
    def has_rows(self) -> bool:
        return any(scope.rows is not None for scope in self.around())

    @property
    def is_known(self) -> bool:
        """Whether all columns that a name could mean are known."""
        return all(scope.rows is None or scope.rows.columns is not None for scope in self.around())

    @property
    def known(self) -> tuple[Col, ...]:
        return tuple(col for scope in self.around() if scope.rows for col in scope.rows.columns or ())
