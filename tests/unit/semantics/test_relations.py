"""Queries by their relations: what names mean, what is known of columns, and how operators nest."""

from __future__ import annotations

import pytest

from wvflow.lang.algebra import (
    Aggregate,
    Alias,
    Column,
    Count,
    Distinct,
    Exclude,
    FanIn,
    File,
    Filter,
    Join,
    Limit,
    Rows,
    Select,
    Single,
    StageRows,
    Table,
    TableFunction,
    Value,
)
from wvflow.lang.relations import HANDED, nodes
from wvflow.semantics.checked import RowsStep


def stages(checked, body, *, params="", around=""):
    """The relation of each stage that is nothing but one."""
    program, found = checked(f"{around} flow F{params} = {{ {body} }}")
    assert not [one for one in found if one.is_error], found
    relations = {}
    for stage in program.flows[0].stages:
        (step,) = stage.steps
        assert isinstance(step, RowsStep)
        relations[stage.name] = step.relation
    return relations


def query(checked, text, around=""):
    program, found = checked(f"{around} {text}")
    assert not [one for one in found if one.is_error], found
    return program.queries[0].relation


SOURCES = [
    ("from t", Table(("t",), "t")),
    ("from a.b.c as x", Table(("a", "b", "c"), "x")),
    ("from 'x.csv' as x", File("x.csv", "x")),
    ("from 'x.csv' as x(a)", Alias(File("x.csv"), "x", ("a",))),
    ("from { from t }", Table(("t",), "t")),
    ("from { from t } as u", Alias(Table(("t",), "t"), "u")),
    ("{ from t } limit 1", Limit(Table(("t",), "t"), 1)),
    ("with c as { from t } from c", Alias(Table(("t",), "t"), "c", closed=True)),
    ("from t offset 2 limit 3", Limit(Table(("t",), "t"), 3, 2)),
    ("from t limit 3 offset 2", Limit(Limit(Table(("t",), "t"), 3), None, 2)),
    ("from t count", Count(Table(("t",), "t"))),
    ("from t dedup", Distinct(Table(("t",), "t"))),
    ("from t exclude a, b", Exclude(Table(("t",), "t"), ("a", "b"))),
    ("from t, u", Join(Table(("t",), "t"), Table(("u",), "u"), "cross")),
    ("from t join u on id, k", Join(Table(("t",), "t"), Table(("u",), "u"), "inner", using=("id", "k"))),
]


@pytest.mark.parametrize(("text", "relation"), SOURCES)
def test_a_query_is_this_relation(checked, text, relation):
    assert query(checked, text) == relation


def test_a_table_function_keeps_its_columns(checked):
    found = query(checked, "from generate_series(3) as r(n)")
    assert isinstance(found, TableFunction)
    assert (found.function, found.alias, found.columns) == ("generate_series", "r", ("n",))


def test_a_name_is_a_cte_then_a_stage_then_a_parameter_then_a_constant_then_a_model_then_a_table(checked):
    around = "val v(a) = [[1]] val w(a) = [[1]] model m = { from 'm.csv' } model n = { from 'n.csv' }"
    found = stages(
        checked,
        """stage s = with p as { from 'cte.csv' } from p
           stage p = from t
           stage q = from p
           stage x = from c
           stage y = from v
           stage z = from n
           stage n2 = from m
           stage users = from users""",
        params="(p: string = 'a', c: long = 1)",
        around=around,
    )
    assert found["s"] == Alias(File("cte.csv"), "p", closed=True)
    assert found["q"] == StageRows("p", "p")
    assert found["x"] == Alias(Select(Single(), found["x"].input.items), "c")
    assert isinstance(found["x"].input.items[0].value, Value)
    assert isinstance(found["y"], Rows)
    assert found["y"].alias == "v"
    assert found["z"] == Alias(File("n.csv"), "n", closed=True)
    assert found["users"] == Table(("users",), "users")


def test_several_stages_fan_in_and_several_tables_cross_join(checked):
    found = stages(
        checked, "stage a = from t stage b = from u stage c = from a, b stage d = from t, u stage e = merge a"
    )
    assert found["c"] == FanIn((StageRows("a", "a"), StageRows("b", "b")))
    assert isinstance(found["d"], Join)
    assert found["e"] == StageRows("a", "a")


def test_merge_on_joins_all_its_stages(checked):
    found = stages(checked, "stage a = from t stage b = from u stage c = from v stage d = merge a, b, c on id")
    outer = found["d"]
    assert isinstance(outer, Join)
    assert isinstance(outer.left, Join)
    assert (outer.using, outer.left.using) == (("id",), ("id",))


def test_columns_are_known_through_stages_whatever_their_order_of_declaration(checked):
    found = stages(
        checked,
        "stage last = from middle exclude b stage middle = from first add c = 1 stage first = from [[1, 2]] as t(a, b)",
    )
    assert [item.name for item in found["last"].items] == ["a", "c"]


def test_two_columns_of_one_name_are_excluded_by_the_engine(checked):
    found = query(checked, "from [[1, 2]] as t(a, b) join [[1, 3]] as u(a, c) on t.a = u.a exclude b")
    assert isinstance(found, Exclude)


def test_a_model_takes_the_callers_arguments(checked):
    model = "model m(n: int, k: string = 'd') = { from 'x.csv' where a > n and b = k }"
    found = query(checked, "from m(40 + 2)", model)
    assert isinstance(found, Alias)
    assert found.name == "m"
    assert not [node for node in nodes(found) if isinstance(node, Value)]
    literals = {node.value for node in nodes(found) if hasattr(node, "value") and not isinstance(node.value, tuple)}
    assert {40, 2, "d"} <= literals


def test_a_models_parameter_is_not_the_callers_of_the_same_name(checked):
    found = stages(
        checked,
        "stage s = from m(n + 1)",
        params="(n: long = 1)",
        around="model m(n: long) = { from 'x.csv' where a > n }",
    )
    condition = found["s"].input.condition
    assert condition.right.left == Value("n", condition.right.left.type)
    assert condition.right.op == "+"


def test_a_hundred_models_deep_is_fine_and_one_more_is_not(checked):
    def program(depth):
        models = [f"model m{i}(n: int) = {{ from m{i - 1}(n) as q where a > n }}" for i in range(1, depth)]
        return "model m0(n: int) = { from t where a > n } " + " ".join(models) + f" from m{depth - 1}(1)"

    assert not checked(program(100))[1]
    assert [one.code.number for one in checked(program(101))[1]] == ["WV0216"]


def test_a_key_may_name_an_item_of_the_select_behind(checked):
    found = query(checked, "from 'x.csv' group by z select z = zone.upper, n = _.count")
    assert isinstance(found, Aggregate)
    assert found.keys[0].name == "z"
    assert found.keys[0].value == found.items[0].value


def test_a_key_that_its_item_aggregates_or_reads_is_a_column(checked):
    found = query(checked, "from 'x.csv' group by z, y select z = z.upper, y = a.max")
    assert [key.value for key in found.keys] == [Column("z"), Column("y")]


def test_where_behind_group_by_is_having_and_behind_agg_a_filter(checked):
    found = query(checked, "from t group by a where _.count > 1 where a > 2 agg n = _.count where n > 3")
    assert isinstance(found, Filter)
    assert isinstance(found.input, Aggregate)
    assert len(found.input.having) == 2
    assert found.input.keys_shown


def test_count_behind_group_by_counts_groups(checked):
    found = query(checked, "from t group by a count")
    assert isinstance(found, Count)
    assert found.input == Aggregate(Table(("t",), "t"), found.input.keys, ())


def test_group_by_alone_takes_any_value_of_each_column(checked):
    found = query(checked, "from [[1, 2]] as t(id, age) group by id")
    assert [item.name for item in (*found.keys, *found.items)] == ["id", "arbitrary(id)", "arbitrary(age)"]


def test_the_input_of_a_stage_is_what_was_handed_over(checked):
    assert stages(checked, "stage a = from _ as i where i.x > 1")["a"].input == StageRows(HANDED, "i")


def test_files_tell_of_each_others_definitions(checked):
    program, found = checked("model m = { from 'first.csv' } from m", "model m = { from 'second.csv' }")
    assert [one.code.number for one in found] == ["WV0208"]
    assert found[0].span.source.name == "file1.wv"
    assert program.queries[0].relation == Alias(File("first.csv"), "m", closed=True)


def test_deep_nesting_never_exhausts_the_stack(checked):
    for text in ("(" * 60 + "a" + ")" * 60, " + ".join(["a"] * 190), "f(" * 60 + "1" + ")" * 60, "not " * 90 + "a"):
        _, found = checked(f"from t select x = {text}")
        assert not [one for one in found if one.is_error]


def test_what_is_wrong_with_an_unused_model_is_only_a_warning_and_is_kept_with_it(checked):
    program, found = checked("model m = { from [[1]] as t(a) select b } model n = { from m } from t")
    assert [(one.code.number, one.is_error) for one in found] == [("WV0217", False)]
    assert found[0].message == "the model `m` can't be used: no column named `b`"
    assert [one.code.number for one in program.models["m"].findings] == ["WV0205"]


def test_without_a_list_of_tables_only_a_name_near_a_stages_is_doubted(checked):
    _, found = checked(
        "flow F = { stage extract = from source stage b = from extrct stage c = from extract, b, d "
        "stage d = from elsewhere }"
    )
    assert [(one.code.number, one.help) for one in found] == [("WV0204", "did you mean `extract`?")]
