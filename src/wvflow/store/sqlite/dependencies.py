"""The table of which runs came after which."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

import msgspec

from wvflow.errors import WvflowError
from wvflow.kernel.events import EpochMs
from wvflow.plan.dependencies import After
from wvflow.ports.dependencies import ANY, Among, Use
from wvflow.ports.rows import RunRow
from wvflow.ports.store import ENDED_STATES
from wvflow.store.sqlite import endings, rows
from wvflow.store.sqlite.database import Database
from wvflow.store.sqlite.endings import Search
from wvflow.store.sqlite.rows import Row

_ENDED = f"state in ({', '.join(map(repr, sorted(ENDED_STATES)))})"
_AFTER = msgspec.json.Decoder(tuple[After, ...])
_FREE = "not exists (select 1 from used where flow = ? and upstream = runs.run and not again)"
_MEANT = (
    f"select {rows.RUN}, ended from runs where flow = ? and parent = '' and finished_at >= ? and project = ?"
    f" and position > 0 and state in (select value from json_each(?)) and (not ? or cause <> 'backfill') and {_FREE}"
)
# By the index ``runs_ended``, in its order: none is sorted, and those that were passed are not looked at.
UNUSED = f"{_MEANT} and ended > ? order by ended, seq limit ?"
# By ``runs_about``: only those about the window are looked at.
UNUSED_ABOUT = f"{_MEANT} and run_time > ? and run_time <= ? order by run_time desc, finished_at desc, seq desc limit ?"
ARE_FREE = (  # by the ids alone: most runs have ended
    f"select count(*) from runs where run in (select value from json_each(?)) and +{_ENDED} and {_FREE}"
)

_Question: TypeAlias = tuple[str, str, After, Among]
"""What ``Dependencies.unused`` asks: of which project, for which flow, what runs."""


def are_free(connection: sqlite3.Connection, flow: str, uses: Sequence[Use]) -> bool:
    """Whether a run of a flow may use all of these: they have ended, and none of them is used by another."""
    wanted = [one.run_id for one in uses if not one.again]
    if not wanted:
        return True
    (found,) = connection.execute(ARE_FREE, (rows.encoded(wanted).decode(), flow)).fetchone()
    return int(found) == len(wanted)


def take(connection: sqlite3.Connection, flow: str, run_id: str, uses: Sequence[Use]) -> None:
    """Note that a run of a flow uses these."""
    connection.executemany(
        "insert into used (flow, run, number, upstream_flow, upstream, again) values (?, ?, ?, ?, ?, ?)",
        [(flow, run_id, number, one.flow, one.run_id, one.again) for number, one in enumerate(uses)],
    )


def let_go(connection: sqlite3.Connection, run_id: str) -> None:
    """Have the runs that this one was to use be free again, as it makes room. What it was to use again is another's."""
    endings.go_back(connection, run_id)
    connection.execute("delete from used where run = ? and not again", (run_id,))


_GONE = (
    "not exists (select 1 from runs where runs.run = used.run)"
    " and not exists (select 1 from runs where runs.run = used.upstream)"
    " and not exists (select 1 from used as later where later.upstream = used.run)"
)
ORIGINS = """
    with recursive origins (top, flow, run) as (
        select value, '', value from json_each(?)
        union
        select origins.top, used.upstream_flow, used.upstream from origins join used on used.run = origins.run
    )
    select top, flow, run from origins where flow <> ''
"""


def forget(connection: sqlite3.Connection, run_id: str) -> None:
    """What is said of runs that are both gone. As long as one is there, the other is not used again, and is named; and
    as long as it is known what came after them, so is what they came after."""
    due = [run_id]
    while due:
        one = due.pop()
        gone = connection.execute(
            f"delete from used where ? in (run, upstream) and {_GONE} returning run, upstream", (one,)
        ).fetchall()
        due += [upstream for _, upstream in gone if upstream != one]


def origins(connection: sqlite3.Connection, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """As ``Dependencies.origins``."""
    found: dict[str, dict[str, str]] = {}
    for top, flow, run in connection.execute(ORIGINS, (rows.encoded(tuple(run_ids)).decode(),)):
        found.setdefault(top, {}).setdefault(flow, run)
    return found


def attend(
    connection: sqlite3.Connection,
    project: str,
    flows: Mapping[str, Sequence[After]],
    now: EpochMs,
    timed: Collection[str],
) -> dict[str, EpochMs]:
    """As ``Dependencies.attend``."""
    rows_before = connection.execute("select flow, since, timed from attended where project = ?", (project,))
    before = {flow: since for flow, since, was_timed in rows_before if flow in timed or not was_timed}
    since = {flow: EpochMs(before.get(flow, now)) for flow in flows}
    # A flow that is gone may come back: a file that is being replaced is missing for a moment.
    connection.execute("update attended set is_on = 0 where project = ?", (project,))
    connection.executemany(
        "insert into attended (project, flow, since, after, timed) values (?, ?, ?, ?, ?)"
        " on conflict do update set since = excluded.since, after = excluded.after, timed = excluded.timed, is_on = 1",
        [
            (project, flow, since[flow], rows.encoded(tuple(after)).decode(), flow in timed)
            for flow, after in flows.items()
        ],
    )
    return since


def wanted(connection: sqlite3.Connection) -> frozenset[str]:
    """The runs that flows are to come after yet, and those that runs which are to begin come after."""
    ordered = connection.execute("select upstream from orders cross join used on used.run = orders.run").fetchall()
    yet = [row for search in attended(connection) for row in _found(connection, *search, None)]
    return frozenset(run for (run,) in ordered) | {rows.run_of(row[:-1]).run_id for row in yet}


def attended(connection: sqlite3.Connection) -> list[_Question]:
    """What is looked for, for the flows that come after others."""
    found = connection.execute("select project, flow, since, after from attended where is_on").fetchall()
    return [(project, flow, one, Among(since)) for project, flow, since, after in found for one in _AFTER.decode(after)]


def _found(
    connection: sqlite3.Connection, project: str, flow: str, after: After, among: Among, limit: int | None
) -> list[Row]:
    """The runs of ``Dependencies.unused``, each with the number of its end."""
    states = rows.encoded(after.states).decode()
    most = -1 if limit is None else limit
    meant = (after.flow, among.since, project, states, among.live, flow)
    if among.about is not None:
        return connection.execute(UNUSED_ABOUT, (*meant, *among.about, most)).fetchall()
    return connection.execute(
        UNUSED, (*meant, _since(connection, _search(project, flow, after, among), among), most)
    ).fetchall()


def _search(project: str, flow: str, after: After, among: Among) -> Search:
    return Search(project, flow, after.flow, rows.encoded((after.states, among.since, among.live)).decode())


def _since(connection: sqlite3.Connection, search: Search, among: Among) -> int:
    """Behind which number a look begins: none is lower than its instant."""
    return max(endings.passed(connection, search), among.since - 1)


def _is_far(connection: sqlite3.Connection, question: _Question) -> bool:
    """Whether many are looked at in vain before the first is found."""
    search, among = _search(*question), question[-1]
    return among.about is None and endings.is_far(
        connection, search, _since(connection, search, among), _first(connection, question)
    )


def _first(connection: sqlite3.Connection, question: _Question) -> int | None:
    found = _found(connection, *question, 1)
    return found[0][-1] if found else None


class DependenciesStore:
    """``wvflow.ports.dependencies.Dependencies`` over a database."""

    _database: Database

    def unused(
        self, project: str, flow: str, after: After, among: Among = ANY, *, limit: int | None = 1
    ) -> list[RunRow]:
        question = project, flow, after, among
        self._go_on([question])
        with self._database.reading() as connection:
            return [rows.run_of(row[:-1]) for row in _found(connection, *question, limit)]

    def _go_on(self, questions: Sequence[_Question]) -> None:
        """Have what was looked at in vain not be looked at again, where that is much."""
        with self._database.reading() as connection:
            far = [one for one in questions if _is_far(connection, one)]
        if far:
            with suppress(WvflowError), self._database.writing() as connection:  # it only saves work
                for one in far:
                    endings.go_on(connection, _search(*one), _first(connection, one))

    def _wanted(self) -> frozenset[str]:
        with self._database.reading() as connection:
            questions = attended(connection)
        self._go_on(questions)
        with self._database.reading() as connection:
            return wanted(connection)

    def attend(
        self, project: str, flows: Mapping[str, Sequence[After]], now: EpochMs, timed: Collection[str] = ()
    ) -> dict[str, EpochMs]:
        with self._database.writing() as connection:
            return attend(connection, project, flows, now, timed)

    def origins(self, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        with self._database.reading() as connection:
            return origins(connection, run_ids)

    def uses(self, run_id: str) -> list[Use]:
        with self._database.reading() as connection:
            found = connection.execute(
                "select upstream_flow, upstream, again from used where run = ? order by number", (run_id,)
            )
            return [Use(flow, run, bool(again)) for flow, run, again in found]

    def users(self, run_id: str) -> list[Use]:
        with self._database.reading() as connection:
            found = connection.execute("select flow, run, again from used where upstream = ? order by rowid", (run_id,))
            return [Use(flow, run, bool(again)) for flow, run, again in found]
