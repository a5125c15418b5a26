"""Tests of a program: each file's statements in a session of its own (`wvflow test`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from wvflow.diagnostics import Diagnostic
from wvflow.service.statements import StatementFailed, StatementRefused, Statements, Tested
from wvflow.service.stoppable import run_stoppable
from wvflow.service.workspace import Workspace
from wvflow.source import Span

TEST_FAILED = "TEST_FAILED"
NOT_JUDGED = "NOT_JUDGED"


class Error(NamedTuple):
    """Why a file failed. ``code`` is empty for what only happens when it runs."""

    code: str
    kind: str
    message: str
    span: Span
    help: str | None = None
    sql: str = ""


class FileReport(NamedTuple):
    """One file. ``tests`` counts those that passed or failed; of ``unjudged`` neither can be said."""

    file: str
    tests: int
    failed: tuple[Error, ...]
    error: Error | None = None
    unjudged: tuple[Error, ...] = ()

    @property
    def passed(self) -> int:
        return self.tests - len(self.failed)

    @property
    def ok(self) -> bool:
        return self.error is None and not self.failed

    @property
    def first(self) -> Error | None:
        return self.error or (self.failed[0] if self.failed else None)


def run_suite(workspace: Workspace, files: Sequence[Path]) -> Iterator[FileReport]:
    """Run the files one after the other. One that can't be compiled fails by itself."""
    for path in files:
        yield run_file(workspace, workspace.name(path))


def run_file(workspace: Workspace, name: str) -> FileReport:
    """Run the statements of one file in a fresh session and judge its tests."""
    session = Statements(workspace, testing=True)
    try:
        return run_stoppable(lambda: _run(session, name), session.interrupt)
    finally:
        session.close()


def _run(session: Statements, name: str) -> FileReport:
    wrong = next((one for one in session.check(name) if one.is_error), None)
    if wrong is not None:
        return FileReport(name, 0, (), _of(wrong))
    told: list[Tested] = []
    error: Error | None = None
    try:
        for outcome in session.run(name):
            if isinstance(outcome, Tested):
                told.append(outcome)  # noqa: PERF401  # those before a failure count
    except StatementRefused as refused:
        error = _of(refused.diagnostics[0])
    except StatementFailed as failure:
        error = of_failure(failure)
    return FileReport(
        file=name,
        tests=sum(one.verdict.passed is not None for one in told),
        failed=tuple(_of_test(one, TEST_FAILED) for one in told if one.verdict.passed is False),
        error=error,
        unjudged=tuple(_of_test(one, NOT_JUDGED) for one in told if one.verdict.passed is None),
    )


def _of_test(tested: Tested, kind: str) -> Error:
    return Error("", kind, tested.verdict.message, tested.test.span)


def _of(found: Diagnostic) -> Error:
    return Error(found.code.number, found.code.kind, found.message, found.span, found.help)


def of_failure(error: StatementFailed) -> Error:
    """What the engine said, at the place of the program that it is about."""
    return Error("", error.kind, error.error.message, error.span, error.error.help, error.sql)
