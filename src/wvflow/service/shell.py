"""An interactive session: texts that come one after the other, each seeing what those before it defined."""

from __future__ import annotations

from collections.abc import Iterator

from wvflow.diagnostics import has_errors
from wvflow.lang.stdlib import CASTS, METHODS
from wvflow.service.project import Project
from wvflow.service.statements import Outcome, StatementRefused, Statements
from wvflow.service.stoppable import stoppable
from wvflow.service.workspace import Workspace
from wvflow.source import Source


class Shell:
    """One session over a project. Close it."""

    def __init__(self, project: Project) -> None:
        self.workspace = Workspace(project)
        self.session = Statements(self.workspace)
        self._count = 0
        self._functions: tuple[str, ...] | None = None

    def close(self) -> None:
        self.session.close()

    # --- running ------------------------------------------------------------------------------------------------------

    def run(self, text: str) -> Iterator[Outcome]:
        """Run a text and give what comes of each of its statements. What it defines stays, and takes the place of
        earlier definitions of the same names.

        Raises:
            StatementRefused: the text has mistakes, or a statement turns out to be wrong; StatementFailed.
        """
        self._count += 1
        source = Source(f"<{self._count}>", text)
        self.workspace.replace_definitions(source)
        found = self.session.check(source.name)
        if has_errors(found):
            self.workspace.remove(source.name)
            raise StatementRefused([one for one in found if one.is_error])
        yield from self.session.run(source.name)

    def outcomes(self, text: str) -> Iterator[Outcome]:
        """As ``run``; Ctrl-C stops the statement alone, and the session goes on."""
        return stoppable(self.run(text), self.session.interrupt)

    # --- what can be completed ----------------------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """Tables in memory, models and table constants."""
        view = self.workspace.program.view("")
        constants = [name for name, val in view.vals.items() if val.columns is not None]
        return sorted({*self.session.engine.tables(), *view.models, *constants})

    def columns(self) -> list[str]:
        """The columns of all that was read so far."""
        known = self.session.known_columns()
        return sorted({name for columns in known for name, _ in columns})

    def functions(self) -> list[str]:
        """Functions of the engine, of the standard library and of the program."""
        if self._functions is None:
            self._functions = self.session.engine.functions()
        own = self.workspace.program.view("").functions
        return sorted({*self._functions, *METHODS, *CASTS, *own})
