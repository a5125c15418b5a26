"""Programs of the whole grammar, flows too: read, formatted, read again and checked, whatever their names mean."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import get_args

import pytest
from fuzzing.amount import SHARDS, drawn
from fuzzing.corpus import keeps_its_form
from fuzzing.grammar import Choose, Grammar
from fuzzing.pipelines import World
from fuzzing.rules import GRAMMAR

from wvflow.diagnostics import Code, Diagnostic, has_errors
from wvflow.source import Source
from wvflow.syntax import nodes as n
from wvflow.syntax import parse
from wvflow.syntax.walk import walk

FEW, MANY = 600, 60_000
MOST_SEEDS = 3_000
ANY = Grammar(GRAMMAR, typed=False)
KINDS = {*get_args(n.Expr), *get_args(n.Input), *get_args(n.Operator), *get_args(n.Primary), *get_args(n.Statement)}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.mark.parametrize("shard", SHARDS)
def test_a_program_of_the_grammar_is_read_keeps_its_form_and_is_checked(
    shard: int, world: World, dump: Callable[[object], str]
) -> None:
    def understood(choose: Choose) -> None:
        text = written(choose, world)
        module, found = parse(Source("drawn.wv", text))
        assert not [one for one in found if _is_mistake(one)], (text, found)
        if not has_errors(found):
            keeps_its_form(text, module, dump)
        world.understood(text)

    drawn(understood, few=FEW, many=MANY, shard=shard)


def written(choose: Choose, world: World) -> str:
    start = ("focus", "program")[choose(0, 1)]
    return ANY.text(choose, start, world.anything(), choose(3, 7))


def test_every_class_of_the_tree_is_drawn(world: World) -> None:
    missing = set(KINDS)
    for seed in range(MOST_SEEDS):
        module, _ = parse(Source("drawn.wv", written(Random(seed).randint, world)))
        missing -= {type(node) for node in walk(module)}
        if not missing:
            return
    raise AssertionError(f"no production in fuzzing/rules.py makes {sorted(kind.__name__ for kind in missing)}")


def _is_mistake(found: Diagnostic) -> bool:
    """What the language has and this version can't run is told by the parser, too."""
    return found.is_error and found.code is not Code.NOT_AVAILABLE


def test_every_production_can_be_drawn() -> None:
    assert ANY.unreachable("program") & ANY.unreachable("focus") == set()
