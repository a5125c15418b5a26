"""Trees as text, so that a table of sources and trees can be read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wvflow.diagnostics import Diagnostic
from wvflow.source import Source
from wvflow.syntax import parse
from wvflow.syntax.nodes import (
    BinaryExpr,
    BooleanLiteral,
    Dot,
    DurationLiteral,
    FlowDef,
    Module,
    Name,
    NameRef,
    NullLiteral,
    NumberLiteral,
    Paren,
    QueryStatement,
    StringLiteral,
    SyntaxNode,
    TypeName,
    UnaryExpr,
    Underscore,
    ValDef,
)

_KINDS = {"int": "", "decimal": "", "exp": "", "float": "f", "double": "d"}


def _dump(value: object) -> str:
    """``(Class part …)`` with parts left out that have their default; names, literals and operators bare."""
    match value:
        case tuple():
            return f"[{' '.join(map(_dump, value))}]"
        case Name():
            return f"`{value.text}`" if value.quoted else value.text
        case NameRef():
            return _dump(value.name)
        case NumberLiteral():
            return value.text + _KINDS[value.kind]
        case StringLiteral():
            return repr(value.value)
        case DurationLiteral():
            return f"{value.ms}ms"
        case NullLiteral():
            return "null"
        case BooleanLiteral():
            return str(value.value).lower()
        case Underscore():
            return "_"
        case TypeName():
            return value.name + (_dump(value.args) if value.args else "")
        case BinaryExpr():
            return f"({value.op} {_dump(value.left)} {_dump(value.right)})"
        case UnaryExpr():
            return f"({value.op} {_dump(value.operand)})"
        case Dot():
            return f"{_dump(value.operand)}.{_dump(value.name)}"
        case Paren():
            return f"({_dump(value.inner)})"
        case SyntaxNode():
            return _dump_node(value)
        case str() | int() | None:
            return repr(value)
    raise TypeError(value)


def _dump_node(node: SyntaxNode) -> str:
    required = len(node.__struct_fields__) - len(node.__struct_defaults__)
    parts = [type(node).__name__]
    for position, field in enumerate(node.__struct_fields__):
        part = getattr(node, field)
        if field == "span":
            continue
        if position < required:
            parts.append(_dump(part))
        elif part is True:
            parts.append(field)
        elif part not in (False, None, (), ""):
            parts.append(f"{field}={_dump(part)}")
    return f"({' '.join(parts)})"


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
def statements(program: Callable[[str], Module]) -> Callable[[str], list[str]]:
    return lambda text: [_dump(statement) for statement in program(text).statements]


@pytest.fixture(scope="session")
def query(program: Callable[[str], Module]) -> Callable[[str], str]:
    """The dump of the one query of a text: its input, then its operators."""

    def tree(text: str) -> str:
        (statement,) = program(text).statements
        assert isinstance(statement, QueryStatement)
        return " | ".join(map(_dump, (statement.query.input, *statement.query.operators)))

    return tree


@pytest.fixture(scope="session")
def stage(program: Callable[[str], Module]) -> Callable[[str], str]:
    """The dump of the one stage of a flow whose items are the text."""

    def tree(text: str) -> str:
        (flow,) = program(f"flow f = {{ {text} }}").statements
        assert isinstance(flow, FlowDef)
        return " ".join(map(_dump, flow.items))

    return tree


@pytest.fixture(scope="session")
def expression(program: Callable[[str], Module]) -> Callable[[str], str]:
    def tree(text: str) -> str:
        (statement,) = program(f"val x = {text}").statements
        assert isinstance(statement, ValDef)
        return _dump(statement.value)

    return tree
