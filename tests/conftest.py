"""What several suites share: asserts of the contract suites that explain themselves, and trees as text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wvflow.syntax.nodes import (
    BinaryExpr,
    BooleanLiteral,
    Dot,
    DurationLiteral,
    Name,
    NameRef,
    NullLiteral,
    NumberLiteral,
    Paren,
    StringLiteral,
    SyntaxNode,
    TypeName,
    UnaryExpr,
    Underscore,
)

pytest.register_assert_rewrite("wvflow.testing")  # they live with the code, and pytest must be told of them

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
def dump() -> Callable[[object], str]:
    """A node, or a tuple of nodes, as text."""
    return _dump
