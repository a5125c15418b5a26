"""A small working project to begin with: ``wvflow init``."""

from __future__ import annotations

from pathlib import Path

from wvflow.errors import NotPossible

_FLOW = """\
-- Sales per region, from a file, with an activity in Python.
-- Try:  wvflow check                          what is wrong with it
--       wvflow test                           whether the tests of sales_test.wv hold
--       wvflow show sales.wv                  its plan
--       wvflow run sales.wv -p smallest=50    another run

model orders_from(smallest: double) = {
  from 'data/orders.csv'
  where amount >= smallest
}

flow Sales(smallest: double = 10.0) = {
  stage orders = from orders_from(smallest)

  -- `with_tax` is a Python function in activities.py
  stage taxed with { retries: 2, retry_delay: 1s } = from orders | with_tax(rate: 0.2)

  stage by_region =
    from taxed
    group by region
    agg _.count as orders, total.sum as total
    order by total desc
}
"""

_ACTIVITIES = '''\
"""Activities of this project: Python functions that flows call by name."""

from wvflow import ActivityContext, activity


@activity
def with_tax(rows: list[dict], *, rate: float, ctx: ActivityContext) -> list[dict]:
    """Each order with its total."""
    ctx.logger.info("%d orders, attempt %d", len(rows), ctx.attempt)
    return [row | {"total": round(row["amount"] * (1 + rate), 2)} for row in rows]
'''

_TEST = """\
-- What must hold of the data and of the model. Try:  wvflow test

from 'data/orders.csv'
test _.columns should be ['id', 'region', 'amount']
test _.size should be 6

from orders_from(50.0)
order by amount desc
test _.rows should be [
  [4, 'west', 260.0],
  [1, 'north', 120.0],
  [2, 'south', 80.5]
]
group by region
agg _.count as orders
test _.size should be 3
test _.output should contain 'region'
"""

_ORDERS = """\
id,region,amount
1,north,120.0
2,south,80.5
3,north,35.25
4,west,260.0
5,south,5.0
6,west,42.75
"""

_CONFIG = """\
# Settings of this project; every key has a default. See docs/configuration.md of wvflow.

[retention]
keep_runs = 50
"""

_IGNORE = """\
.wvflow/
__pycache__/
"""

FILES = {
    "sales.wv": _FLOW,
    "sales_test.wv": _TEST,
    "activities.py": _ACTIVITIES,
    "data/orders.csv": _ORDERS,
    "wvflow.toml": _CONFIG,
    ".gitignore": _IGNORE,
}


def write_project(folder: Path) -> list[Path]:
    """Write the files of a small project and return their paths.

    Raises:
        NotPossible: one of them exists; nothing was written.
    """
    paths = {folder / name: text for name, text in FILES.items()}
    if there := [str(path) for path in paths if path.exists()]:
        raise NotPossible(f"{there[0]} exists already; nothing was written", help="choose an empty folder")
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(paths)
