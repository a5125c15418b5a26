"""Expressions to trees: query language, section 7."""

from __future__ import annotations

from collections.abc import Callable

import pytest

PRECEDENCE = [
    ("1 + 2 * 3", "(+ 1 (* 2 3))"),
    ("1 - 2 - 3", "(- (- 1 2) 3)"),
    ("a // b % c", "(% (// a b) c)"),
    ("a or b and not c = d", "(or a (and b (not (= c d))))"),
    ("true and false or null", "(or (and true false) null)"),
    ("-a.b::int + 2", "(+ (- (CastExpr a.b int)) 2)"),
    ("- a * b", "(* (- a) b)"),
    ("a = -1", "(= a (- 1))"),
    ("a + b = c * d", "(= (+ a b) (* c d))"),
    ("a == b", "(= a b)"),
    ("a = b or c != d", "(or (= a b) (!= c d))"),
    ("!a and b", "(and (not a) b)"),
    ("not not a", "(not (not a))"),
    ("(a or b) and c", "(and ((or a b)) c)"),
]

PREDICATES = [
    ("a is null", "(is a null)"),
    ("a is not null", "(is not a null)"),
    ("a in (1, 2)", "(InExpr a [1 2])"),
    ("a not in (1,)", "(InExpr a [1] negated)"),
    ("(a, b) in ((1, 'x'), (2, 'y'))", "(InExpr (TupleExpr [a b]) [(TupleExpr [1 'x']) (TupleExpr [2 'y'])])"),
    ("x in { from q }", "(InExpr x [(Subquery (Query (From [(Aliased (TableRef [q]))]) []))])"),
    ("x in (from q)", "(InExpr x [(Subquery (Query (From [(Aliased (TableRef [q]))]) []))])"),
    ("x.in(1, 2)", "(CallExpr in [(CallArg 1) (CallArg 2)] receiver=x)"),
    ("a between 1 + 1 and 2 and c", "(and (BetweenExpr a (+ 1 1) 2) c)"),
    ("a not between 1 and 2", "(BetweenExpr a 1 2 negated)"),
    ("a like 'x%'", "(LikeExpr a 'x%')"),
    ("a not like b escape '!' or c", "(or (LikeExpr a b escape='!' negated) c)"),
    ("!exists { from q }", "(not (ExistsExpr (Query (From [(Aliased (TableRef [q]))]) [])))"),
    ("x > { from q count }", "(> x (Subquery (Query (From [(Aliased (TableRef [q]))]) [(CountOp)])))"),
]

CONDITIONALS = [
    ("if a then b else if c then d else e", "(IfExpr a b (IfExpr c d e))"),
    ("if a then 1 else 2 + 3", "(IfExpr a 1 (+ 2 3))"),
    ("case when a then 1 when b then 2 else 3", "(CaseExpr [(When a 1) (When b 2)] otherwise=3)"),
    ("case x when 1 then 'a'", "(CaseExpr [(When 1 'a')] operand=x)"),
]

LITERALS = [
    ("25_000", "25000"),
    ("2.50", "2.50"),
    (".5", ".5"),
    ("1e5 + 1.5E-3", "(+ 1e5 1.5E-3)"),
    ("1.5f + 2D + 1d", "(+ (+ 1.5f 2d) 1d)"),
    ("'it''s'", '"it\'s"'),
    (r"'C:\temp'", repr(r"C:\temp")),
    ('"a string"', "'a string'"),
    ('"""say "hi""""', repr('say "hi"')),
    ("'2026-01-01':date", "(TypedLiteral '2026-01-01' date)"),
    ("'1.5':decimal[10,2]", "(TypedLiteral '1.5' decimal[10 2])"),
    ("'45 minutes'::interval", "(CastExpr '45 minutes' interval)"),
    ("[1, [2], ]", "(ArrayExpr [1 (ArrayExpr [2])])"),
    ("[]", "(ArrayExpr [])"),
    ("{k: 1, 'b c': x.y}", "(StructExpr [(StructField k 1) (StructField `b c` x.y)])"),
    ("map {'a': 1, b: 2}", "(MapExpr [(MapEntry 'a' 1) (MapEntry b 2)])"),
    ("(1, 2)", "(TupleExpr [1 2])"),
    ("x::array[map[string,int]]", "(CastExpr x array[map[string int]])"),
]

INTERPOLATIONS = [
    ("s\"a${x + 1}b${'}'}c\"", "(Interpolation 's' ['a' (+ x 1) 'b' '}' 'c'])"),
    ('s"$${x}"', "(Interpolation 's' ['$' x])"),
    (r's"\${x} \" \n"', r"""(Interpolation 's' ['${x} " \\n'])"""),
    ('s""', "(Interpolation 's' [])"),
    ('sql"""a "q" ${s"${y}"}"""', "(Interpolation 'sql' ['a \"q\" ' (Interpolation 's' [y])])"),
    ('s"${ {a: 1}.a }"', "(Interpolation 's' [(StructExpr [(StructField a 1)]).a])"),
]

CHAINS = [
    ("7.to_string", "7.to_string"),
    ("2.50.round(1)", "(CallExpr round [(CallArg 1)] receiver=2.50)"),
    ("a[1][2].k", "(IndexExpr (IndexExpr a 1) 2).k"),
    ("_.count + _1", "(+ _.count _1)"),
    ("`a b`.`c`", "`a b`.`c`"),
    ("x.select.where", "x.select.where"),
    ("t.*", "(StarRef qualifier=t)"),
    ("this.x", "(This).x"),
    ("count(*)", "(CallExpr count [(CallArg (StarRef))])"),
    ("count(distinct x)", "(CallExpr count [(CallArg x distinct)])"),
    ("f(n = 1, from: 2, a == b)", "(CallExpr f [(CallArg 1 name=n) (CallArg 2 name=from) (CallArg (= a b))])"),
    ("f(x -> x + 1)", "(CallExpr f [(CallArg (Lambda [x] (+ x 1)))])"),
    ("f(a -> b -> c)", "(CallExpr f [(CallArg (Lambda [a] (Lambda [b] c)))])"),
    ("f((a, b) -> a)", "(CallExpr f [(CallArg (Lambda [a b] a))])"),
    ("f((a, b))", "(CallExpr f [(CallArg (TupleExpr [a b]))])"),
]

WINDOWS = [
    ("x.sum over ()", "(Over x.sum)"),
    (
        "sum(x) over (partition by a, b order by c desc nulls first, d rows[-2,0])",
        "(Over (CallExpr sum [(CallArg x)]) partition=[a b] "
        "order=[(SortItem c descending nulls='first') (SortItem d)] rows=[-2 0])",
    ),
    ("x.sum over (rows[,1])", "(Over x.sum rows=[None 1])"),
    ("(x.sum over ()).round(2)", "(CallExpr round [(CallArg 2)] receiver=((Over x.sum)))"),
]

ALL = [*PRECEDENCE, *PREDICATES, *CONDITIONALS, *LITERALS, *INTERPOLATIONS, *CHAINS, *WINDOWS]


@pytest.mark.parametrize(("text", "tree"), ALL, ids=[text for text, _ in ALL])
def test_an_expression_has_the_tree_of_the_precedence_table(
    expression: Callable[[str], str], text: str, tree: str
) -> None:
    assert expression(text) == tree


def test_a_lambda_may_have_a_lambda_as_its_body(expression: Callable[[str], str]) -> None:
    assert expression("f((a, b) -> c -> b)") == "(CallExpr f [(CallArg (Lambda [a b] (Lambda [c] b)))])"


@pytest.mark.parametrize("text", ["a < b < c", "a = b is null", "a in (1) = true", "a between 1 and 2 between 3 and 4"])
def test_comparisons_do_not_chain(places: Callable[[str], list[str]], text: str) -> None:
    assert [place.split()[1] for place in places(f"val x = {text}")] == ["WV0101"]


@pytest.mark.parametrize("word", ["select", "order", "left", "when", "then"])
def test_a_reserved_word_starts_no_expression_but_is_a_name_in_back_quotes(
    places: Callable[[str], list[str]], expression: Callable[[str], str], word: str
) -> None:
    assert places(f"val x = {word}") != []
    assert expression(f"`{word}`") == f"`{word}`"


def test_membership_needs_a_member(places: Callable[[str], list[str]]) -> None:
    assert places("val x = a in ()") == ["1:15 WV0101"]


@pytest.mark.parametrize("literal", ["5", "1.5", "null"])
def test_a_single_colon_types_strings_only(places: Callable[[str], list[str]], literal: str) -> None:
    assert places(f"val x = {literal}:int") == [f"1:{9 + len(literal)} WV0101"]
