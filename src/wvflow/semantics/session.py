"""One checking of one program: its definitions, the world, and what has been found so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from posixpath import normpath
from typing import TYPE_CHECKING, TypeAlias

from wvflow.diagnostics import Code, Diagnostic
from wvflow.lang.algebra import Expr, File, Rel, Table, Value
from wvflow.lang.builtins import ACTIVITIES
from wvflow.lang.catalog import Catalog, Columns
from wvflow.plan.refs import FlowRef
from wvflow.semantics import mistakes
from wvflow.semantics.checked import Observed, Use
from wvflow.semantics.definitions import Definitions, View
from wvflow.source import Span
from wvflow.syntax.nodes import ModelDef, Name, Query, StageDef, ValDef

Known: TypeAlias = "Columns | None"

if TYPE_CHECKING:
    from wvflow.semantics.models import Template
    from wvflow.semantics.scopes import Columns as ShapeColumns
    from wvflow.semantics.scopes import Relation, Scope, Upstream


class Record:
    """What one stage, model or query names: columns and tables with their places, and stages that it reads; the new
    ids that it asks for; and the tests and debugging that stand in it, in their order."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self.natives: list[Value] = []
        self.reads: dict[str, Span] = {}
        self.observed: list[Observed] = []
        self._added: set[object] = set()

    def add(self, other: Record) -> None:
        self.uses += other.uses
        for stage, span in other.reads.items():
            self.reads.setdefault(stage, span)

    def observe_once(self, key: object, observed: Iterable[Observed]) -> None:
        """Add what stands in a model, once for all its uses with the same arguments."""
        if key not in self._added:
            self._added.add(key)
            self.observed += observed


class Session:
    """``query`` elaborates a sub-query; it is handed in, as relations and expressions are mutually recursive.

    ``models`` and ``vals`` keep what was read before, by the identity of their definition; ``expanding`` names the vals
    whose values are being read, ``settled`` the models whose parameters all have constants in their place, by their
    identity, ``inlining`` the functions and partial queries that are being put in place.
    ``selected``: the relations of `select as` so far. ``wanted``: sources whose columns nobody has asked for.
    ``saved``: the columns of tables and files that statements have written so far.
    ``flow_result``: the name of the table of what a flow yields that a statement runs.
    ``flow``: the name of the one that is checked. ``flow_columns``: of the outputs of the flows that were checked so
    far, None where nobody knows; ``sagas``: those of them in which a stage has a compensation. ``flow_stages``: by
    flow, the stages of its highest version so far.
    ``natives``: how many new ids were asked for so far. ``applied``: where each partial query's body was put in place.
    """

    def __init__(self, program: Definitions, catalog: Catalog, query: Callable[[Query, Scope], Relation]) -> None:
        self.program = program
        self.definitions: View = program.view("")
        self.catalog = catalog
        self._first = catalog.current
        self.query = query
        self.findings: dict[Diagnostic, None] = {}
        self.record = Record()
        self.models: dict[int, Template] = {}
        self.vals: dict[int, Expr] = {}
        self.settled: dict[int, Rel] = {}
        self.expanding: list[ValDef] = []
        self.inlining: dict[object, str] = {}
        self.selected: dict[str, Relation] = {}
        self.saved: dict[Rel, Known] = {}
        self.connector = ""
        self.wanted: dict[Rel, None] = {}
        self.natives = 0
        self.flow_result = "_flow"
        self.applied: dict[Span, list[Name]] = {}
        self.flow_columns: dict[FlowRef, ShapeColumns] = {}
        self.sagas: set[FlowRef] = set()
        self.flow = ""
        self.flow_stages: dict[str, Mapping[str, Upstream]] = {}

    def report(self, *found: Diagnostic) -> None:
        """Keep findings; one that was made already (in a model expanded twice) counts once."""
        self.findings.update(dict.fromkeys([self._in_partial_query(one) for one in found] if self.applied else found))

    def _in_partial_query(self, found: Diagnostic) -> Diagnostic:
        """A column that a partial query wants is missing where it is applied."""
        if found.code is Code.UNKNOWN_COLUMN:
            for body, uses in self.applied.items():
                if body.covers(found.span):
                    places = [one.span for one in uses]
                    return mistakes.column_missing_in_partial_query(found, uses[0].text, places)
        return found

    def use(self, name: str, span: Span) -> None:
        self.record.uses.append(Use(name, span))

    def reads(self, stage: str, span: Span) -> None:
        self.record.reads.setdefault(stage, span)

    def columns(self, source: Rel) -> Known:
        """The columns of a source outside of the program; where nobody has asked for them it is noted as wanted.

        Of what the program itself writes they are those that it wrote last: what the engine has of it now may be of
        an earlier run. Where each statement is checked right before it runs, the engine knows.
        """
        if not self.catalog.live and self.is_saved(source):
            return self.saved.get(source)
        if not self.catalog.live and self.is_elsewhere(source):
            return None
        known = self.catalog.columns.get(source)
        if known is None and source not in self.catalog.columns:
            self.wanted[source] = None
        return known

    def is_elsewhere(self, source: Rel) -> bool:
        """Whether a table is not where the engine was asked: on the connector of a stage, or, by its bare name, in the
        schema that a `use` before it chose."""
        if not isinstance(source, Table):
            return False
        return bool(self.connector) or (len(source.parts) == 1 and self.catalog.current != self._first)

    def is_saved(self, source: Rel) -> bool:
        """Whether the program writes that table, or a file of those."""
        saved = self.program.saved
        target = _target(source)
        return target in saved or (isinstance(source, File) and any(_is_of(target, one) for one in saved))

    def is_saved_once(self, source: Rel) -> bool:
        """Whether there is one place alone in the program that writes it."""
        return self.program.saved.get(_target(source)) == 1

    def is_activity(self, name: str) -> bool:
        """Whether a name behind a pipe that is no partial query's is an activity's."""
        known = (self.definitions.activities, self.catalog.activities, ACTIVITIES)
        return any(name in one for one in known)

    def stages_elsewhere(self, flow: str) -> set[str]:
        """The names of the stages of a flow of the program, whether it was checked yet or not."""
        defined = [one for (name, _), one in self.definitions.flows.items() if name == flow]
        return {item.name.text for one in defined for item in one.items if isinstance(item, StageDef)}

    def template(self, model: ModelDef) -> Template | None:
        return self.models.get(id(model))

    @contextmanager
    def numbering(self) -> Iterator[None]:
        """Within, new ids are numbered from 1: the names of one flow's don't depend on what else the program has."""
        before, self.natives = self.natives, 0
        try:
            yield
        finally:
            self.natives = before

    @contextmanager
    def recording(self) -> Iterator[Record]:
        """Within, uses go to a record of their own."""
        before, self.record = self.record, Record()
        try:
            yield self.record
        finally:
            self.record = before

    @contextmanager
    def apart(self) -> Iterator[dict[Diagnostic, None]]:
        """Within, findings go to a list of their own."""
        before, self.findings = self.findings, {}
        try:
            yield self.findings
        finally:
            self.findings = before

    @contextmanager
    def within(self, place: Span) -> Iterator[None]:
        """Within, names mean what the file of that place sees."""
        before, self.definitions = self.definitions, self.program.view(place.source.name)
        try:
            yield
        finally:
            self.definitions = before


def _is_of(pattern: str, saved: str) -> bool:
    """Whether a pattern of files is one of what is saved there: a file, or a folder of partitions."""
    return fnmatchcase(saved, pattern) or (saved.endswith("/") and pattern.startswith(saved))


def _target(source: Rel) -> str:
    """As which the program's writes name it."""
    match source:
        case Table(parts=parts):
            return parts[-1].lower()
        case File(path=path):
            return normpath(path)
        case _:
            return ""
