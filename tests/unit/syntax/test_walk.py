"""Going through trees."""

from __future__ import annotations

from collections.abc import Callable

from wvflow.syntax.nodes import Module, NameRef, NumberLiteral, QueryStatement
from wvflow.syntax.walk import children, first_below, walk


def test_children_are_the_nodes_right_below_in_their_order(program: Callable[[str], Module]) -> None:
    (statement,) = program("from t where a = 1 limit 5").statements
    assert isinstance(statement, QueryStatement)
    assert [type(child).__name__ for child in children(statement.query)] == ["From", "WhereOp", "LimitOp"]


def test_children_are_found_in_a_row_with_texts(program: Callable[[str], Module]) -> None:
    module = program('select s"a${b}c${d}"')
    assert [node.name.text for node in walk(module) if isinstance(node, NameRef)] == ["b", "d"]


def test_a_walk_meets_each_node_before_those_below_it(program: Callable[[str], Module]) -> None:
    module = program("val x = 1 + 2 * 3 val y = 4")
    assert [node.text for node in walk(module) if isinstance(node, NumberLiteral)] == ["1", "2", "3", "4"]
    kinds = [type(node).__name__ for node in walk(module)]
    assert kinds == [
        *["ValDef", "Name", "BinaryExpr", "NumberLiteral", "BinaryExpr", "NumberLiteral", "NumberLiteral"],
        *["ValDef", "Name", "NumberLiteral"],
    ]


def test_depth_is_counted_from_the_root(program: Callable[[str], Module]) -> None:
    (value,) = program("val x = ((1))").statements
    assert isinstance(first_below(value, 2), NumberLiteral)
    assert first_below(value, 3) is None
