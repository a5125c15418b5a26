"""Whatever the text, there are rows or findings: random pipelines run in DuckDB, mutilated programs are checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wvflow.diagnostics import Diagnostic, has_errors
from wvflow.lang.catalog import Catalog
from wvflow.semantics import Checked, check
from wvflow.source import Source
from wvflow.sql import lower_relation
from wvflow.syntax import parse

GOLDEN = Path(__file__).parents[1] / "golden"
PROGRAMS = sorted(GOLDEN.glob("*/*.wv"))
MUTATIONS_OF_EACH = 400


def understood(text: str) -> tuple[Checked, list[Diagnostic]]:
    module, unread = parse(Source("random.wv", text))
    checked, found = check([module], Catalog())
    return checked, [*unread, *found]


class Writer:
    """Writes a pipeline operator by operator. ``columns``: what may be named, by type; now and then something else."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.columns: dict[str, str] = {}
        self.made = 0

    def pipeline(self) -> str:
        parts = [self.source()]
        parts += [self.operator() for _ in range(self.random.randrange(7))]
        bars = [self.random.choice(("\n", " ", " | ")) for _ in parts]
        return "".join(part + bar for part, bar in zip(parts, bars, strict=True)).rstrip(" |")

    def name(self, kind: str) -> str:
        self.made += 1
        self.columns[f"{kind}{self.made}"] = kind
        return f"{kind}{self.made}"

    def source(self) -> str:
        columns = [self.name("i"), self.name("i"), self.name("t")]
        cell = self.random.choice
        rows = [[cell(["1", "2", "-3", "null"]), cell(["0", "7"]), cell(["'a'", "'b''s'", "null"])] for _ in range(4)]
        written = ", ".join(f"[{', '.join(row)}]" for row in [["1", "2", "'z'"], *rows])
        return f"from [{written}] as q{self.made}({', '.join(columns)})"

    def operator(self) -> str:
        writers = (self.where, self.select, self.add, self.exclude, self.grouped, self.aggregated, self.ordered)
        return self.random.choice(
            (*writers, self.cut, self.joined, self.concatenated, self.counted, self.deduplicated)
        )()

    # --- operators ---

    def where(self) -> str:
        return f"where {self.condition(2)}"

    def select(self) -> str:
        items = self.items()
        return f"select {self.random.choice(('', 'distinct '))}{items}"

    def items(self) -> str:
        written = [self.item() for _ in range(self.random.randrange(1, 4))]
        self.columns = {name: kind for name, kind, _ in written}
        return ", ".join(text for _, _, text in written) + self.random.choice(("", ", where true"))

    def item(self) -> tuple[str, str, str]:
        kind = self.random.choice("it")
        self.made += 1
        name, value = f"{kind}{self.made}", self.value(kind, 2)
        return name, kind, self.random.choice((f"{name} = {value}", f"({value}) as {name}"))

    def add(self) -> str:
        name, kind, text = self.item()
        self.columns[name] = kind
        return f"{self.random.choice(('add', 'prepend'))} {text}"

    def exclude(self) -> str:
        if len(self.columns) < 2:
            return "dedup"
        gone = self.column("it")
        self.columns.pop(gone, None)
        return f"exclude {gone}"

    def grouped(self) -> str:
        key, condition = self.column("it"), self.random.choice(("", " where _.count > 0"))
        value = self.column("i")
        self.columns = {key: self.columns.get(key, "i")}
        aggregate = self.random.choice(("_.count", f"{value}.sum", f"{value}.max", f"_.count_if({value} = 1)"))
        return (
            f"group by {key}{condition} {self.random.choice(('agg', f'select {key},'))} {self.name('i')} = {aggregate}"
        )

    def aggregated(self) -> str:
        value = self.column("i")
        self.columns = {}
        return f"agg {self.name('i')} = {value}.{self.random.choice(('min', 'max', 'count', 'count_distinct'))}"

    def ordered(self) -> str:
        order = self.random.choice(("", " desc", " asc nulls first", " desc nulls last"))
        return f"order by 0 + {self.value('i', 1)}{order}, {self.column('it')}"

    def cut(self) -> str:
        return self.random.choice(("limit 3", "limit 0", "offset 1"))

    def joined(self) -> str:
        left = self.column("i")
        right = self.source().removeprefix("from ")
        kind = self.random.choice(("", "left ", "full ", "cross "))
        return f"{kind}join {right}" + ("" if kind == "cross " else f" on {left} = {self.column('i')}")

    def concatenated(self) -> str:
        values = ", ".join("1" if kind == "i" else "'c'" for kind in self.columns.values())
        return f"select {', '.join(self.columns)} concat {{ select {values} }}"

    def counted(self) -> str:
        self.columns = {}
        return f"count | select {self.name('i')} = `count_star()`"

    def deduplicated(self) -> str:
        return "dedup"

    # --- expressions ---

    def column(self, kinds: str) -> str:
        there = [name for name, kind in self.columns.items() if kind in kinds]
        return self.random.choice(there) if there and self.random.random() < 0.98 else "nowhere"

    def value(self, kind: str, depth: int) -> str:
        if depth == 0 or self.random.random() < 0.3:
            literal = self.random.choice(("1", "42", "25_000") if kind == "i" else ("'x'", '"y"', "'it''s'"))
            return self.random.choice((literal, self.column(kind)))
        inner = self.value(kind, depth - 1)
        if kind == "i":
            other = self.value("i", depth - 1)
            forms = (f"{inner} + {other}", f"({inner} - {other})", f"-({inner})", f"({self.value('t', 0)}).length")
        else:
            forms = (f"{inner} + {self.value('i', 0)}", f's"<${{{inner}}}>"', f"({inner}).upper", f"({inner})::string")
        choice = f"if {self.condition(depth - 1)} then {inner} else {self.value(kind, 0)}"
        return self.random.choice((*forms, f"({choice})", f"(case when {self.condition(0)} then {inner})"))

    def condition(self, depth: int) -> str:
        one, two = self.value("i", max(depth - 1, 0)), self.value("i", 0)
        if depth == 0:
            return f"{one} {self.random.choice(('<', '=', '!=', 'is', 'is not'))} {two}"
        left, right, text = self.condition(depth - 1), self.condition(depth - 1), self.value("t", depth - 1)
        forms = (f"{left} and {right}", f"not ({left} or {right})", f"{one} between 0 and {two}", f"{text} like 'a%'")
        return self.random.choice((*forms, f"{one} not in (1, {two},)", f"{text} is not null", f"!({left})"))


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        yield connection


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_a_random_pipeline_runs_or_is_found_fault_with(seed: int, database: duckdb.DuckDBPyConnection) -> None:
    text = Writer(seed).pipeline()
    checked, found = understood(text)
    if has_errors(found):
        assert "nowhere" in text, (text, found)
        return
    (query,) = checked.queries
    database.execute(lower_relation(query.relation).select).fetchall()


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_with_random_bytes_changed_is_answered(path: Path) -> None:
    random, whole = Random(path.stem), path.read_bytes()
    for _ in range(MUTATIONS_OF_EACH):
        at = random.randrange(len(whole))
        mutated = bytearray(whole[max(0, at - 600) : at + 600])
        for _ in range(random.randrange(1, 4)):
            _mutate(mutated, random)
        _, found = understood(mutated.decode(errors="replace"))
        assert all(one.message and one.span.start <= one.span.end for one in found)


def _mutate(text: bytearray, random: Random) -> None:
    """One byte changed, one left out, one put in, or a stretch twice."""
    at = random.randrange(len(text))
    match random.randrange(4):
        case 0:
            text[at] = random.randrange(256)
        case 1:
            del text[at]
        case 2:
            text.insert(at, random.choice(b"'\"`{}[]()|,;:.=-+*/$_@ \n\0a1"))
        case _:
            text[at:at] = text[at : at + random.randrange(40)]
