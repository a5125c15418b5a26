"""Whatever becomes of a program's text, the answer is findings, in work that grows with the text and no faster."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from fuzzing.amount import SEED, SHARDS
from fuzzing.corpus import answered, programs
from fuzzing.mutations import MUTATIONS, mutated

FEW, MANY = 700, 100_000
PROGRAMS = programs()


@pytest.mark.parametrize("shard", SHARDS)
def test_a_mutated_program_is_answered(shard: int, dump: Callable[[object], str]) -> None:
    count, readable = MANY // len(SHARDS) if SEED else FEW, 0
    for number in range(count):
        random = Random(f"{SEED}-{shard}-{number}")
        text = mutated(random.choice(PROGRAMS), random.choice(PROGRAMS), random)
        try:
            readable += answered(text, dump)
        except Exception as error:
            raise AssertionError(f"seed {SEED}-{shard}-{number}: {text!r}") from error
    assert readable > count // 20  # the formatter has had its share


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_mutation_changes_texts_and_bears_an_empty_one(mutation: Callable[[str, Random], str]) -> None:
    assert mutation("", Random(1)) is not None
    assert any(mutation(PROGRAMS[0], Random(seed)) != PROGRAMS[0] for seed in range(20))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("select " + "(" * 10_000, id="open parentheses"),
        pytest.param("select " + "(" * 10_000 + ")" * 10_000, id="balanced parentheses"),
        pytest.param("from t where " + "not " * 10_000 + "a", id="signs"),
        pytest.param("select a" + " + 1" * 10_000, id="a chain of operators"),
        pytest.param("select a" + ".b()" * 5_000, id="a chain of calls"),
        pytest.param("select " + "(a, " * 5_000, id="what may be lambdas"),
        pytest.param("from " + "{from " * 5_000, id="sub-queries"),
        pytest.param("from t" + " | count" * 5_000, id="a long pipeline"),
        pytest.param("select " + 's"${' * 5_000, id="open holes"),
        pytest.param('select """' + '"' * 10_001, id="quotes"),
        pytest.param("select '" + "''" * 10_000, id="doubled quotes"),
        pytest.param("select 1" + "_" * 10_000, id="a number of underscores"),
        pytest.param("-" * 10_000, id="a ruler"),
        pytest.param("/*" * 10_000, id="open comments"),
        pytest.param("flow F = {" + "stage a = " * 3_000, id="headers without bodies"),
        pytest.param("flow F = {stage a = from t | fork {" * 1_000, id="flows in forks"),
        pytest.param("stage " * 10_000, id="one word"),
        pytest.param("with a as {" * 3_000, id="common tables"),
        pytest.param("type t = {a: array[" + "array[" * 5_000, id="types"),
        pytest.param("from t where \ud800\0\ufeff" + "`" * 9_999, id="no characters at all"),
        pytest.param("flow F with {a: " + "{a: " * 5_000, id="nested properties"),
        pytest.param("case when " * 5_000, id="cases"),
        pytest.param("from t | route {" + "case a -> b " * 3_000, id="an open route"),
    ],
)
def test_a_monstrous_text_is_answered(text: str, dump: Callable[[object], str]) -> None:
    answered(text, dump)
