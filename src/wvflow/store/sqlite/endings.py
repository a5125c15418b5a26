"""In what order runs have ended, and up to where a flow that comes after others has nothing to look for among them.

``runs.ended`` numbers the ends of a flow's runs, those that no run started, in the order in which they were recorded:
it is the instant of the end, or what follows on the last number where that is not later, as a clock was set or a commit
was late. So what ends later has a higher number, whatever its instant, and nothing that a look has passed comes to be
unused but by ``let_go``: ``passed`` says up to which number a look has found none that is meant and not used.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

STEP: Final = 200
"""So many ends are looked at again and again before it is noted that they needn't be."""

_OF_FLOW = "flow = :upstream and parent = '' and ended is not null"
LAST: Final = f"select max(ended) from runs where {_OF_FLOW}"
PASSED: Final = f"select 1 from runs where {_OF_FLOW} and ended > :since and ended < :until limit 1 offset {STEP}"
_NUMBER = """
    update runs set ended = max(
        finished_at,
        1 + coalesce(
            (select max(ended) from runs as r where r.flow = runs.flow and r.parent = '' and r.ended is not null), 0
        ),
        1 + coalesce((select max(until) from passed where upstream = runs.flow), 0)
    )
    where run = ? and parent = '' and position > 0 and ended is null and finished_at is not null
"""


class Search(NamedTuple):
    """What a flow looks for among the ends of another: the ``key`` says which ones it means."""

    project: str
    flow: str
    upstream: str
    key: str


def number(connection: sqlite3.Connection, run_ids: Iterable[str]) -> None:
    """Number the ends of those of these runs that have just ended."""
    connection.executemany(_NUMBER, [(one,) for one in run_ids])


def passed(connection: sqlite3.Connection, search: Search) -> int:
    """Up to which number there is nothing to be found."""
    found = connection.execute(
        "select until from passed where project = ? and flow = ? and upstream = ? and key = ?", search
    ).fetchone()
    return 0 if found is None else int(found[0])


def is_far(connection: sqlite3.Connection, search: Search, since: int, found: int | None) -> bool:
    """Whether many lie between where a look began and what it ``found``, None for nothing."""
    until = 1 << 62 if found is None else found
    where = {"upstream": search.upstream, "since": since, "until": until}
    return connection.execute(PASSED, where).fetchone() is not None


def go_on(connection: sqlite3.Connection, search: Search, found: int | None) -> None:
    """The next look begins behind all that this one has passed."""
    if found is None:
        (last,) = connection.execute(LAST, {"upstream": search.upstream}).fetchone()
    else:
        last = found - 1
    connection.execute(
        "insert into passed (project, flow, upstream, key, until) values (?, ?, ?, ?, ?)"
        " on conflict do update set until = excluded.until",
        (*search, last or 0),
    )


def go_back(connection: sqlite3.Connection, run_id: str) -> None:
    """What a run was to use is there to be found again."""
    used = connection.execute(
        "select ended - 1, used.flow, upstream_flow from used join runs on runs.run = upstream"
        " where used.run = ? and not again and ended is not null",
        (run_id,),
    ).fetchall()
    connection.executemany("update passed set until = min(until, ?) where flow = ? and upstream = ?", used)
