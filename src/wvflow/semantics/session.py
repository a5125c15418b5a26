"""One checking of one program: its definitions, the world, and what has been found so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wvflow.diagnostics import Diagnostic
from wvflow.lang.algebra import Expr
from wvflow.lang.catalog import Catalog
from wvflow.semantics.checked import Use
from wvflow.semantics.definitions import Definitions
from wvflow.source import Span
from wvflow.syntax.nodes import Query

if TYPE_CHECKING:
    from wvflow.semantics.models import Template
    from wvflow.semantics.scopes import Relation, Scope


class Record:
    """What one stage, model or query names: columns and tables with their places, and stages that it reads."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self.reads: dict[str, Span] = {}

    def add(self, other: Record) -> None:
        self.uses += other.uses
        for stage, span in other.reads.items():
            self.reads.setdefault(stage, span)


class Session:
    """``query`` elaborates a sub-query; it is handed in, as relations and expressions are mutually recursive.

    ``models`` and ``vals`` keep what was read before, ``expanding`` the vals whose values are being read.
    """

    def __init__(self, definitions: Definitions, catalog: Catalog, query: Callable[[Query, Scope], Relation]) -> None:
        self.definitions = definitions
        self.catalog = catalog
        self.query = query
        self.findings: dict[Diagnostic, None] = {}
        self.record = Record()
        self.models: dict[str, Template] = {}
        self.vals: dict[str, Expr] = {}
        self.expanding: list[str] = []

    def report(self, *found: Diagnostic) -> None:
        """Keep findings; one that was made already (in a model expanded twice) counts once."""
        self.findings.update(dict.fromkeys(found))

    def use(self, name: str, span: Span) -> None:
        self.record.uses.append(Use(name, span))

    def reads(self, stage: str, span: Span) -> None:
        self.record.reads.setdefault(stage, span)

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
