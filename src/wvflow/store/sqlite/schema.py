"""The tables of ``state.db``, their version, and the way from an older one.

``events`` is the truth; ``runs`` and ``stages`` are projections of it that lists read, ``snapshots`` a cache of its
fold. Instants are milliseconds since the epoch, ``crc`` is the chained checksum of ``rows.chained``. ``ledger``
claims idempotency keys: a row is ``running`` under the token of the run's owner (0 when nobody is at it), or ``done``,
with the output so far. ``orders`` has what the rows of ``runs`` in state ``pending`` need to begin, and beside it what
says whose turn it is; ``slots_of`` is the group that a run takes a slot of, ``most`` how many of it may be open, 0 for
any number. ``used`` says which runs came after which, but for those that ``again`` do so; ``attended`` which flows are
to come after others, and since when; one that is to no more is no longer ``is_on``. ``passed`` says up to where there
is nothing left to come after (``endings``). ``schedules`` says up to where the times of a flow's schedule are decided,
``fires`` how. ``keys_voided`` has what a run did under keys and is to undo, or has undone.
"""

from __future__ import annotations

import sqlite3
from typing import Final

APPLICATION_ID: Final = 0x77766677  # "wvfw": tells a database of wvflow from any other

_TABLES = (
    """
    create table runs (
        seq        integer primary key,
        run        text not null unique,
        flow       text not null,
        version    integer not null,
        bundle     text not null,
        parent     text not null,
        project    text not null,
        semantics  integer not null,
        created_at integer not null,
        run_time   integer not null,
        params     text not null,
        state      text not null,
        problem    text not null,
        error      text,
        started_at integer,
        finished_at integer,
        owner      integer not null,
        epoch      integer not null,
        position   integer not null,
        crc        integer not null,
        fence      integer not null
    ) strict
    """,
    "create index runs_newest on runs (created_at, seq)",
    "create index runs_of_flow on runs (flow, created_at, seq)",
    "create index runs_in_state on runs (state, created_at, seq)",
    """
    create table events (
        run      text not null,
        position integer not null,
        at       integer not null,
        body     text not null,
        commands integer,
        crc      integer not null,
        primary key (run, position)
    ) strict, without rowid
    """,
    """
    create table stages (
        run         text not null,
        number      integer not null,
        stage       text not null,
        state       text not null,
        phase       text not null,
        reason      text,
        attempts    integer not null,
        rows        integer,
        error       text,
        started_at  integer,
        finished_at integer,
        output      text,
        primary key (run, number)
    ) strict, without rowid
    """,
    """
    create table outputs (
        run       text not null,
        stage     integer not null,
        task      integer not null,
        iteration integer not null,
        instance  integer not null,
        attempt   integer not null,
        ref       text not null,
        output    text not null,
        inline    blob,
        unique (run, stage, task, iteration, instance, attempt)
    ) strict
    """,
    "create index outputs_inline on outputs (ref) where inline is not null",
    """
    create table inbox (
        id   integer primary key autoincrement,
        run  text not null,
        kind text not null,
        body text not null,
        at   integer not null
    ) strict
    """,
    "create index inbox_of_run on inbox (run, id)",
    """
    create table ledger (
        flow       text not null,
        stage      text not null,
        key        text not null,
        state      text not null check (state in ('running', 'done')),
        run        text not null,
        token      integer not null,
        input_hash text not null,
        output     text,
        at         integer not null,
        primary key (flow, stage, key)
    ) strict, without rowid
    """,
    "create index ledger_of_run on ledger (run)",
    """
    create table snapshots (
        run      text primary key,
        position integer not null,
        made_by  text not null,
        body     blob not null,
        crc      integer not null
    ) strict
    """,
    """
    create table owners (
        token      integer primary key autoincrement,
        pid        integer not null,
        host       text not null,
        port       integer not null,
        started_at integer not null,
        beat_at    integer not null
    ) strict
    """,
    "create table bundles (digest text primary key, body blob not null) strict",
    """
    create table logs (
        id      integer primary key,
        run     text not null,
        stage   text not null,
        attempt integer not null,
        at      integer not null,
        level   text not null,
        message text not null
    ) strict
    """,
    "create index logs_of_run on logs (run, stage, id)",
)

_REUSE = (
    "alter table stages add column reused text not null default ''",
    "alter table outputs add column key text not null default ''",
    "alter table outputs add column saved text not null default '[]'",
    "alter table outputs add column origin text not null default ''",
    "create index outputs_reusable on outputs (key) where key <> ''",
)

_HEARTBEATS = (
    """
    create table heartbeats (
        run     text not null,
        stage   integer not null,
        task    integer not null,
        attempt integer not null,
        details text not null,
        at      integer not null,
        primary key (run, stage)
    ) strict, without rowid
    """,
)

_SHARES = (
    """
    create table slots (
        id       integer primary key autoincrement,
        pool     text not null,
        token    integer not null,
        ticket   integer not null,
        priority integer not null,
        held     integer not null,
        unique (token, ticket)
    ) strict
    """,
    "create index slots_of_pool on slots (pool, held, priority desc, id)",
    "create table paces (name text primary key, next integer not null, at integer not null) strict",
)

_CHILDREN = ("create index runs_of_parent on runs (parent, created_at, seq) where parent <> ''",)

_WAITS = (
    "alter table stages add column awaited text not null default ''",
    "alter table stages add column due integer",
)

_INSTANCES = (
    "alter table stages add column instances text",
    "alter table heartbeats rename to heartbeats_of_stages",
    """
    create table heartbeats (
        run      text not null,
        stage    integer not null,
        instance integer not null,
        task     integer not null,
        attempt  integer not null,
        details  text not null,
        at       integer not null,
        primary key (run, stage, instance)
    ) strict, without rowid
    """,
    "insert into heartbeats select run, stage, 0, task, attempt, details, at from heartbeats_of_stages",
    "drop table heartbeats_of_stages",
)

# No release has written to the one before.
_LEDGER = (
    "drop table ledger",
    "alter table runs add column key text not null default ''",
    """
    create table keys_reused (
        run       text not null,
        flow      text not null,
        stage     text not null,
        iteration integer not null,
        key       text not null,
        primary key (run, flow, stage, iteration, key)
    ) strict, without rowid
    """,
    """
    create table ledger (
        flow       text not null,
        stage      text not null,
        iteration  integer not null,
        key        text not null,
        state      text not null check (state in ('running', 'done')),
        run        text not null,
        token      integer not null,
        instance   integer not null,
        attempt    integer not null,
        claim      text not null,
        input_hash text not null,
        code       text not null,
        steps      integer not null,
        output     text,
        inline     blob,
        at         integer not null,
        expires    integer not null,
        unique (flow, stage, iteration, key)
    ) strict
    """,
    "create index ledger_of_run on ledger (run)",
)

_REPLIES = ("create table replies (message integer primary key, run text not null, body text not null) strict",)

_RETRIES = (
    "alter table runs add column retry_of text not null default ''",
    "create index runs_of_retry on runs (retry_of, created_at, seq) where retry_of <> ''",
)

_ITERATIONS = (
    "alter table stages add column iteration integer",
    "alter table heartbeats add column iteration integer not null default 0",
)

_LATE = ("alter table runs add column late integer", "alter table stages add column late integer")
_AGENDA = (
    "alter table runs add column slots_of text not null default ''",
    "alter table runs add column cause text not null default ''",
    "create index runs_of_group on runs (slots_of, seq) where slots_of <> ''",
    "alter table owners add column serves text not null default ''",
    """
    create table orders (
        seq     integer primary key autoincrement,
        run     text not null unique,
        project text not null,
        body    text not null
    ) strict
    """,
    "create index orders_of_project on orders (project, seq)",
    """
    create table schedules (
        project   text not null,
        flow      text not null,
        version   integer not null,
        digest    text not null,
        cursor    integer not null,
        since     integer not null,
        paused_at integer,
        note      text not null,
        primary key (project, flow)
    ) strict, without rowid
    """,
    """
    create table fires (
        project    text not null,
        flow       text not null,
        at         integer not null,
        entry      integer not null,
        decision   text not null check (decision in ('started', 'queued', 'caught_up', 'skipped')),
        decided_at integer not null,
        reason     text not null,
        run        text not null,
        count      integer not null,
        late_at    integer,
        primary key (project, flow, at, entry)
    ) strict, without rowid
    """,
)

_VOIDED = (
    "drop table keys_reused",
    "alter table ledger add column unsure integer not null default 0",
    """
    create table keys_voided (
        claim    text not null unique,
        run      text not null,
        stage    text not null,
        instance integer not null,
        key      text not null,
        state    text not null,
        steps    integer not null,
        output   text,
        inline   blob,
        at       integer not null
    ) strict
    """,
    "create index keys_voided_of_run on keys_voided (run, stage, instance)",
)

_KEY_WAITS = (
    """
    create table key_waits (
        run       text not null,
        stage     text not null,
        iteration integer not null,
        instance  integer not null,
        attempt   integer not null,
        key       text not null,
        holder    text not null,
        primary key (run, stage, instance)
    ) strict, without rowid
    """,
)

_BACKFILLS = (
    """
    create table backfills (
        seq     integer primary key,
        id      text not null unique,
        project text not null,
        body    text not null
    ) strict
    """,
    """
    create table windows (
        backfill text not null,
        number   integer not null,
        body     text not null,
        run      text not null,
        primary key (backfill, number)
    ) strict, without rowid
    """,
)

_USED = (
    """
    create table used (
        flow          text not null,
        run           text not null,
        number        integer not null,
        upstream_flow text not null,
        upstream      text not null,
        again         integer not null,
        primary key (run, number)
    ) strict
    """,
    "create unique index used_once on used (flow, upstream) where not again",
    "create index used_of_upstream on used (upstream)",
)

_ATTENDED = (
    """
    create table attended (
        project text not null,
        flow    text not null,
        since   integer not null,
        after   text not null,
        primary key (project, flow)
    ) strict, without rowid
    """,
    "create index fires_of_run on fires (run) where run <> ''",
)

_VOIDED_ITERATIONS = ("alter table keys_voided add column iteration integer not null default 0",)

_NOT_ATTENDED = ("alter table attended add column is_on integer not null default 1",)

_SERVERS = ("create index owners_that_serve on owners (serves) where serves <> ''",)

# Of open runs, which are written often, it has none.
_ENDED_RUNS = (
    "create index runs_ended on runs (flow, finished_at, seq) where parent = '' and finished_at is not null",
)

_OVERDUE = (
    "alter table fires add column deadline integer",
    "create index fires_by_deadline on fires (project, deadline) where deadline is not null and late_at is null",
)

_RUNS_ABOUT = (
    "create index runs_about on runs (flow, run_time, finished_at, seq) where parent = '' and finished_at is not null",
)

# The orders of runs that were ended before they began.
_WITHDRAWN = ("create table withdrawn (run text primary key, body text not null) strict, without rowid",)


# A run that was to begin before this was written is not told of as late.
_IN_TURN = (
    "alter table orders add column slots_of text not null default ''",
    "alter table orders add column most integer not null default 0",
    "alter table orders add column waiter integer not null default 0",
    "alter table orders add column begin_by integer",
    """
    update orders set slots_of = coalesce(json_extract(body, '$.group'), ''),
                      most = coalesce(json_extract(body, '$.limit'), 0),
                      waiter = coalesce(json_extract(body, '$.waiter'), 0)
    """,
    "update orders set most = 0 where slots_of = ''",
    "drop index orders_of_project",
    "create index orders_of_any_number on orders (project, seq) where most = 0",
    "create index orders_in_turn on orders (project, slots_of, seq) where most > 0",
    "create index orders_of_most on orders (project, slots_of, most) where most > 0",
    "create index orders_waited_for on orders (waiter) where waiter > 0",
    "create index orders_begin_by on orders (project, begin_by) where begin_by is not null",
    "drop index runs_of_group",
    "create index runs_open on runs (slots_of, state) where slots_of <> '' and finished_at is null",
)

_ENDS = (
    "alter table runs add column ended integer",
    "update runs set ended = finished_at where parent = '' and position > 0",
    "drop index runs_ended",
    "create index runs_ended on runs (flow, ended, seq) where parent = '' and ended is not null",
    """
    create table passed (
        project  text not null,
        flow     text not null,
        upstream text not null,
        key      text not null,
        until    integer not null,
        primary key (project, flow, upstream, key)
    ) strict, without rowid
    """,
    "create index passed_of_upstream on passed (upstream, until)",
)

_TIMED = ("alter table attended add column timed integer not null default 0",)

# Number n of these takes version n to n + 1. A release only ever appends.
_MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    _TABLES,
    _REUSE,
    _HEARTBEATS,
    _SHARES,
    _CHILDREN,
    _WAITS,
    _INSTANCES,
    _LEDGER,
    _REPLIES,
    _RETRIES,
    _ITERATIONS,
    _LATE,
    _AGENDA,
    _VOIDED,
    _KEY_WAITS,
    _BACKFILLS,
    _USED,
    _ATTENDED,
    _VOIDED_ITERATIONS,
    _NOT_ATTENDED,
    _SERVERS,
    _ENDED_RUNS,
    _OVERDUE,
    _RUNS_ABOUT,
    _WITHDRAWN,
    _IN_TURN,
    _ENDS,
    _TIMED,
)

SCHEMA_VERSION: Final = len(_MIGRATIONS)

# What ``delete`` forgets of a run. A key in the ledger outlives its run: it says what was done in the world.
TABLES_OF_RUN: Final = (
    "events",
    "stages",
    "outputs",
    "inbox",
    "replies",
    "snapshots",
    "logs",
    "heartbeats",
    "key_waits",
    "keys_voided",
    "withdrawn",
    "runs",
)


def version_of(connection: sqlite3.Connection) -> int:
    """The schema's version: 0 for a new file."""
    (version,) = connection.execute("pragma user_version").fetchone()
    return int(version)


def is_foreign(connection: sqlite3.Connection) -> bool:
    """Whether this is a database that something else has made."""
    (application,) = connection.execute("pragma application_id").fetchone()
    (tables,) = connection.execute("select count(*) from sqlite_schema").fetchone()
    return bool(application != APPLICATION_ID and tables)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to ``SCHEMA_VERSION``; inside the caller's transaction."""
    for script in _MIGRATIONS[version_of(connection) :]:
        for statement in script:
            connection.execute(statement)
    connection.execute(f"pragma application_id = {APPLICATION_ID}")
    connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
