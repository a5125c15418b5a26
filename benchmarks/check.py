"""``wvflow check`` of long programs: the whole command at 2,000 lines, and what a line costs when there are many.

    python benchmarks/check.py [--rounds N] [--json]

The floor is CPython's own parser, written in C, over as many lines of Python: ``ast.parse`` knows no names and no
types. A ratio that stays as it is from 2,000 lines to 20,000 says that the cost is linear.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

import kit

from wvflow.lang.catalog import Catalog
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.syntax import parse

FLOW = """
--- Sales of one day, part {n} ---
model recent{n}(least: int = 5) = {{
  from [[1, 7], [2, 3]] as trips(id, metres)
  where metres > least and id is not null
}}

flow Sales{n}(day: date = '2026-01-01':date, segment: string = 'a') with {{
  timeout: 1h30m
  tags: ['sales', 'daily']
  defaults: {{ retries: 2, backoff: exponential, retry_delay: 5s }}
}} = {{
  stage raw = from [[1, 'Oslo', 2.5], [2, 'Bergen', 3.5]] as t(id, city, amount)

  stage clean [retries: 3, timeout: 5m] =
    from raw
    where amount > 0 and city is not null and not id in (7, 8, 9)
    add price = amount * 1.25 + id / 2, label = s"${{city}} of ${{segment}}"
    select id, city, price, label, size = if price > 3 then 'big' else 'small'
{steps}
  stage per_city = from step9
    group by city
    agg n = _.count, total = price.sum, top = price.max
    where total > 1
    order by total desc nulls last
    limit 10

  stage joined depends on per_city =
    from clean
    join recent{n}(3) as r on clean.id = r.id
    select clean.city, n = r.metres, total = clean.price, top = clean.price

  stage report = merge per_city, joined | dedup | save to 'report{n}.parquet'
}}
"""
STEP = """
  stage step{k} with {{
    retries: {k}
    timeout: 5m
  }} =
    from {before}
    where price > 1 and (city like 'O%' or id between 1 and 3)
    add cost{k} = case when id > 1 then price else 0.5, net{k} = (price + id) * 2 - {k}
    order by price desc nulls last, id"""
PYTHON = """
def step{n}(rows, least=5):
    kept = [row for row in rows if row.price > least and (row.city in ("Oslo",) or 1 <= row.id <= 3)]
    for row in kept:
        row.cost = row.price if row.id > 1 else 0.5
        row.label = f"{{row.city}} of {{row.segment}}"
    return sorted(kept, key=lambda row: (row.price, row.id), reverse=True)
"""


def program(lines: int) -> str:
    steps = "".join(STEP.format(k=k, before=f"step{k - 1}" if k else "clean") for k in range(10))
    return _copies(FLOW, lines, steps)


def python(lines: int) -> str:
    return _copies(PYTHON, lines)


def _copies(text: str, lines: int, steps: str = "") -> str:
    """As many whole copies as make at least that many lines."""
    each = text.format(n=0, steps=steps).count("\n")
    return "".join(text.format(n=n, steps=steps) for n in range(-(-lines // each)))


def compiled(text: str) -> None:
    module, unread = parse(Source("program.wv", text))
    _, found = check([module], Catalog())
    assert [*unread, *found] == []


def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
    folder = bench.fresh("check")
    (folder / "wvflow.toml").touch()
    (folder / "program.wv").write_text(program(2_000))
    (folder / "program.py").write_text(python(2_000))
    yield bench.figure(
        "wvflow check of 2,000 lines, the whole process",
        ours=lambda: kit.process(*kit.WVFLOW, "check", "program.wv", cwd=folder),
        floor=lambda: kit.process(sys.executable, "-m", "ast", "program.py", cwd=folder),
        target=kit.seconds(1),
    )
    for lines in (2_000, 10_000, 20_000):
        ours, floor = program(lines), python(lines)
        yield bench.figure(
            f"parse and check {lines:,} lines, a thousand",
            ours=lambda text=ours: compiled(text),
            floor=lambda text=floor: ast.parse(text),
            share=lines // 1_000,
        )


if __name__ == "__main__":
    kit.main(__doc__, figures)
