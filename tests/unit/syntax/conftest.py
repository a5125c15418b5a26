"""Sources to trees as text, so that a table of both can be read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wvflow.diagnostics import Diagnostic
from wvflow.source import Source
from wvflow.syntax import parse
from wvflow.syntax.nodes import FlowDef, Module, QueryStatement, ValDef


@pytest.fixture(scope="session")
def read() -> Callable[[str], tuple[Module, tuple[Diagnostic, ...]]]:
    """Tree and diagnostics of a text."""
    return lambda text: parse(Source("test.wv", text))


@pytest.fixture(scope="session")
def places(read: Callable[[str], tuple[Module, tuple[Diagnostic, ...]]]) -> Callable[[str], list[str]]:
    """The findings of a text, each as ``line:column code``."""

    def find(text: str) -> list[str]:
        _, found = read(text)
        return [f"{one.span.position.line}:{one.span.position.column} {one.code.number}" for one in found]

    return find


@pytest.fixture(scope="session")
def program(read: Callable[[str], tuple[Module, tuple[Diagnostic, ...]]]) -> Callable[[str], Module]:
    """The tree of a text without mistakes."""

    def tree(text: str) -> Module:
        module, found = read(text)
        assert [one.message for one in found] == []
        return module

    return tree


@pytest.fixture(scope="session")
def statements(program: Callable[[str], Module], dump: Callable[[object], str]) -> Callable[[str], list[str]]:
    return lambda text: [dump(statement) for statement in program(text).statements]


@pytest.fixture(scope="session")
def query(program: Callable[[str], Module], dump: Callable[[object], str]) -> Callable[[str], str]:
    """The dump of the one query of a text: its input, then its operators."""

    def tree(text: str) -> str:
        (statement,) = program(text).statements
        assert isinstance(statement, QueryStatement)
        return " | ".join(map(dump, (statement.query.input, *statement.query.operators)))

    return tree


@pytest.fixture(scope="session")
def stage(program: Callable[[str], Module], dump: Callable[[object], str]) -> Callable[[str], str]:
    """The dump of the one stage of a flow whose items are the text."""

    def tree(text: str) -> str:
        (flow,) = program(f"flow f = {{ {text} }}").statements
        assert isinstance(flow, FlowDef)
        return " ".join(map(dump, flow.items))

    return tree


@pytest.fixture(scope="session")
def expression(program: Callable[[str], Module], dump: Callable[[object], str]) -> Callable[[str], str]:
    def tree(text: str) -> str:
        (statement,) = program(f"val x = {text}").statements
        assert isinstance(statement, ValDef)
        return dump(statement.value)

    return tree
