"""Random pipelines mean in DuckDB what a naive interpreter, one operator after the other, says that they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cmp_to_key
from itertools import product
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from straining import examples
from wvflow.lang import algebra as a
from wvflow.lang.types import LONG

Cell = int | None
Row = tuple[Cell, ...]
Run = Callable[[a.Rel], list[tuple[object, ...]]]


def number(value: Cell) -> a.Literal:
    return a.Literal(value, LONG)


@dataclass(frozen=True)
class Known:
    """What the model knows of a relation. ``columns``: (qualifier, name); ``ordered``: the rows' order is defined."""

    relation: a.Rel
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    ordered: bool = False

    def names(self) -> list[str]:
        return [name for _, name in self.columns]

    def usable(self) -> list[int]:
        """Columns that can be referred to: by qualifier, or by a name that only one of them has."""
        names = self.names()
        return [i for i, (table, name) in enumerate(self.columns) if table or names.count(name) == 1]

    def column(self, index: int, qualified: bool) -> a.Column:
        table, name = self.columns[index]
        needs = self.names().count(name) > 1
        return a.Column(name, table if needs or qualified else "")


def compare(op: str, left: Cell, right: Cell) -> bool:
    if left is None or right is None:
        return False
    return {"=": left == right, "<": left < right, ">=": left >= right}[op]


def ordering(keys: Sequence[tuple[int, bool, bool]]) -> Callable[[Row, Row], int]:
    """Compares rows by (column, descending, nulls first)."""

    def order(one: Row, other: Row) -> int:
        for index, descending, nulls_first in keys:
            x, y = one[index], other[index]
            if x == y:
                continue
            if x is None or y is None:
                return -1 if (x is None) == nulls_first else 1
            return -1 if (x < y) != descending else 1
        return 0

    return order


def drawn_rows(random: Random, width: int, least: int = 0, most: int = 6) -> list[Row]:
    cells = (None, -2, -1, 0, 1, 2, 3)
    return [tuple(random.choice(cells) for _ in range(width)) for _ in range(random.randint(least, most))]


def source(name: str, columns: tuple[str, ...], rows: Sequence[Row]) -> Known:
    cells = tuple(tuple(map(number, row)) for row in rows)
    relation = a.Rows(columns, (LONG,) * len(columns), cells, name)
    return Known(relation, tuple((name, column) for column in columns), tuple(rows))


class Pipeline:
    """Draws operators one after the other and applies each to the plan and to the model."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.known = source("t", ("a", "b"), drawn_rows(random, 2))
        self.fresh = 0

    def maybe(self) -> bool:
        return self.random.choice((False, True))

    def new_name(self) -> str:
        self.fresh += 1
        return f"n{self.fresh}"

    def pick(self) -> tuple[int, a.Column] | None:
        if not self.known.usable():
            return None
        index = self.random.choice(self.known.usable())
        return index, self.known.column(index, self.maybe() and bool(self.known.columns[index][0]))

    def where(self) -> None:
        if picked := self.pick():
            index, column = picked
            op, value = self.random.choice(["=", "<", ">="]), self.random.randint(-1, 2)
            rows = tuple(row for row in self.known.rows if compare(op, row[index], value))
            condition = a.Binary(op, column, number(value))
            self.known = replace(self.known, relation=a.Filter(self.known.relation, condition), rows=rows)

    def add(self) -> None:
        if picked := self.pick():
            index, column = picked
            name, first = self.new_name(), self.maybe()
            made = [None if row[index] is None else -row[index] for row in self.known.rows]
            relation = a.Extend(self.known.relation, (a.Item(name, a.Unary("-", column)),), first=first)
            pairs = zip(made, self.known.rows, strict=True)
            rows = tuple((new, *row) if first else (*row, new) for new, row in pairs)
            columns = (("", name), *self.known.columns) if first else (*self.known.columns, ("", name))
            self.known = replace(self.known, relation=relation, columns=columns, rows=rows)

    def select(self) -> None:
        picks = [picked for _ in range(self.random.randint(1, 3)) if (picked := self.pick())]
        if not picks:
            return
        # A new name may be that of another column of the input: it must hide it, but not in sort keys before.
        pool = [*dict.fromkeys(self.known.names()), "x", "y", "z"]
        names = self.random.sample(pool, len(picks))
        distinct = self.maybe()
        items = tuple(a.Item(name, column) for name, (_, column) in zip(names, picks, strict=True))
        rows = tuple(tuple(row[index] for index, _ in picks) for row in self.known.rows)
        self.known = Known(
            a.Select(self.known.relation, items, distinct),
            tuple(("", name) for name in names),
            tuple(dict.fromkeys(rows)) if distinct else rows,
            self.known.ordered and not distinct,
        )

    def exclude(self) -> None:
        names = self.known.names()
        single = [name for name in names if names.count(name) == 1]
        if len(names) > 1 and single:
            name = self.random.choice(single)
            at = names.index(name)
            relation = a.Exclude(self.known.relation, (name,))
            columns = self.known.columns[:at] + self.known.columns[at + 1 :]
            rows = tuple(row[:at] + row[at + 1 :] for row in self.known.rows)
            self.known = replace(self.known, relation=relation, columns=columns, rows=rows)

    def single(self) -> list[int]:
        """Columns whose name no other one has."""
        names = self.known.names()
        return [index for index, name in enumerate(names) if names.count(name) == 1]

    def rename(self) -> None:
        if indexes := self.single():
            at, name = self.random.choice(indexes), self.new_name()
            columns = [*self.known.columns]
            columns[at] = ("", name)
            relation = a.Rename(self.known.relation, ((self.known.names()[at], name),))
            self.known = replace(self.known, relation=relation, columns=tuple(columns))

    def shift(self) -> None:
        if indexes := self.single():
            moved = self.random.sample(indexes, self.random.randint(1, len(indexes)))
            rest = [index for index in range(len(self.known.columns)) if index not in moved]
            last = self.maybe()
            order = (*rest, *moved) if last else (*moved, *rest)
            names = tuple(self.known.names()[index] for index in moved)
            self.known = replace(
                self.known,
                relation=a.Shift(self.known.relation, names, last),
                columns=tuple(self.known.columns[index] for index in order),
                rows=tuple(tuple(row[index] for index in order) for row in self.known.rows),
            )

    def unpivot(self) -> None:
        names = self.known.names()
        if len(self.single()) < len(names):
            return
        listed = self.random.sample(range(len(names)), self.random.randint(1, len(names)))
        others = [index for index in range(len(names)) if index not in listed]
        made = a.Unpivot(self.known.relation, self.new_name(), "label", tuple(names[index] for index in listed))
        rows = tuple(
            (*[row[index] for index in others], row[index])
            for row in self.known.rows
            for index in listed
            if row[index] is not None
        )
        columns = tuple(("", name) for name in (*[names[index] for index in others], made.value))
        self.known = Known(a.Exclude(made, ("label",)), columns, rows)

    def any_of_each(self) -> None:
        """A group of its own for each row: the default columns of a grouping are then the row."""
        if len(self.single()) < len(self.known.columns) or len(self.known.columns) > 3:
            return
        keys = tuple(a.Item(f"k{index}", self.known.column(index, False)) for index in range(len(self.known.columns)))
        every = a.Item("", a.Call("arbitrary", (a.Star(),)))
        names = [key.name for key in keys] + [f"arbitrary({name})" for name in self.known.names()]
        rows = tuple((*row, *row) for row in dict.fromkeys(self.known.rows))
        columns = tuple(("", name) for name in names)
        self.known = Known(a.Aggregate(self.known.relation, keys, (every,)), columns, rows)

    def set_operation(self) -> None:
        width, kind, every = len(self.known.columns), self.random.choice(["intersect", "except"]), self.maybe()
        other = self.random.sample(self.known.rows, min(2, len(self.known.rows))) + drawn_rows(self.random, width, 1, 2)
        right, both = Counter(other), Counter(self.known.rows)
        left = both if every else Counter(set(both))
        kept = left & right if kind == "intersect" else (left - right if every else left - Counter(set(right)))
        relation = a.SetOperation(
            self.known.relation, source("w", tuple(f"w{i}" for i in range(width)), other).relation, kind, every
        )
        self.known = Known(relation, tuple(("", name) for name in self.known.names()), tuple(kept.elements()))

    def sort(self) -> None:
        indexes = self.known.usable()
        if len(indexes) < len(self.known.columns):
            return
        order = self.random.sample(indexes, len(indexes))
        keys = [(index, self.maybe(), self.maybe()) for index in order]
        sort_keys = tuple(self.sort_key(*key) for key in keys)
        rows = tuple(sorted(self.known.rows, key=cmp_to_key(ordering(keys))))
        relation = a.Sort(self.known.relation, sort_keys)
        self.known = replace(self.known, relation=relation, rows=rows, ordered=True)

    def sort_key(self, index: int, descending: bool, nulls_first: bool) -> a.SortKey:
        column = self.known.column(index, False)
        nulls = "first" if nulls_first else "last"
        if self.maybe():
            return a.SortKey(a.Unary("-", column), not descending, nulls)
        return a.SortKey(column, descending, nulls)

    def limit(self) -> None:
        if self.known.ordered:
            count, offset = self.random.choice((None, 0, 1, 2, 4)), self.random.randint(0, 2)
            if count is not None or offset:
                rows = self.known.rows[offset:] if count is None else self.known.rows[offset : offset + count]
                relation = a.Limit(self.known.relation, count, offset)
                self.known = replace(self.known, relation=relation, rows=rows)

    def dedup(self) -> None:
        rows = tuple(dict.fromkeys(self.known.rows))
        columns = tuple(("", name) for name in self.known.names())
        self.known = Known(a.Distinct(self.known.relation), columns, rows)

    def count(self) -> None:
        self.known = Known(a.Count(self.known.relation), (("", "count_star()"),), ((len(self.known.rows),),))

    def aggregate(self) -> None:
        key, value = self.pick(), self.pick()
        if key is None or value is None:
            return
        items = (a.Item("total", a.Call("sum", (value[1],))), a.Item("n", a.Call("count", (a.Star(),))))
        groups: dict[Cell, list[Cell]] = {}
        for row in self.known.rows:
            groups.setdefault(row[key[0]], []).append(row[value[0]])
        least = self.random.randint(1, 2)
        having = a.Binary(">=", a.Call("count", (a.Star(),)), number(least))
        rows = tuple(
            (group, sum(present) if (present := [cell for cell in cells if cell is not None]) else None, len(cells))
            for group, cells in groups.items()
            if len(cells) >= least
        )
        relation = a.Aggregate(self.known.relation, (a.Item("k", key[1]),), items, (having,))
        self.known = Known(relation, (("", "k"), ("", "total"), ("", "n")), rows)

    def join(self) -> None:
        if any(table == "u" for table, _ in self.known.columns) or not (picked := self.pick()):
            return
        index, column = picked
        right = source("u", ("a", "d"), drawn_rows(self.random, 2))
        if self.maybe():
            rows = tuple(row for row in right.rows if compare(">=", row[1], 0))
            condition = a.Binary(">=", a.Column("d"), number(0))
            right = replace(right, relation=a.Filter(right.relation, condition), rows=rows)
        if not column.table and column.name in ("a", "d"):
            return
        kind = self.random.choice(["inner", "left", "right", "full"])
        rows = []
        for row in self.known.rows:
            matches = [other for other in right.rows if compare("=", row[index], other[0])]
            rows += [(*row, *other) for other in matches]
            if kind in ("left", "full") and not matches:
                rows.append((*row, None, None))
        if kind in ("right", "full"):
            met = [row[index] for row in self.known.rows]
            alone = [other for other in right.rows if other[0] is None or other[0] not in met]
            rows += [(*[None] * len(self.known.columns), *other) for other in alone]
        on = a.Binary("=", column, a.Column("a", "u"))
        relation = a.Join(self.known.relation, right.relation, kind, on)
        self.known = Known(relation, (*self.known.columns, *right.columns), tuple(rows))

    def concat(self) -> None:
        width = len(self.known.columns)
        extra = drawn_rows(self.random, width, 1, 2)
        other = source("w", tuple(f"w{i}" for i in range(width)), extra)
        rows = (*self.known.rows, *other.rows)
        columns = tuple(("", name) for name in self.known.names())
        self.known = Known(a.Concat(self.known.relation, other.relation), columns, rows)


OPERATORS = {
    operator.__name__: operator
    for operator in (
        Pipeline.where,
        Pipeline.add,
        Pipeline.select,
        Pipeline.exclude,
        Pipeline.rename,
        Pipeline.shift,
        Pipeline.unpivot,
        Pipeline.any_of_each,
        Pipeline.set_operation,
        Pipeline.sort,
        Pipeline.limit,
        Pipeline.dedup,
        Pipeline.count,
        Pipeline.aggregate,
        Pipeline.join,
        Pipeline.concat,
    )
}


def sortable(rows: Sequence[tuple[object, ...]]) -> list[list[tuple[bool, object]]]:
    return sorted([(cell is None, cell if cell is not None else 0) for cell in row] for row in rows)


def check(run: Run, names: Sequence[str], random: Random) -> None:
    pipeline = Pipeline(random)
    for name in names:
        OPERATORS[name](pipeline)
    expected = pipeline.known
    rows = run(expected.relation)
    if expected.ordered:
        assert rows == list(expected.rows)
    else:
        assert sortable(rows) == sortable(expected.rows)


@pytest.mark.parametrize("first", OPERATORS)
def test_each_operator_means_the_same_wherever_it_stands(run: Run, first: str) -> None:
    for seed, (second, _) in enumerate(product(OPERATORS, range(4))):
        check(run, ["sort", first, second, Random(seed).choice([*OPERATORS])], Random(seed))


@settings(max_examples=examples(70), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random=st.randoms(use_true_random=False), names=st.lists(st.sampled_from([*OPERATORS]), min_size=3, max_size=8))
def test_a_pipeline_means_one_operator_after_the_other(run: Run, random: Random, names: list[str]) -> None:
    check(run, names, random)
