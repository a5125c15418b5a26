"""``save to``: a table of the warehouse, once for all attempts of a run, or a file, replaced as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from wvflow.data import identity
from wvflow.data.files import literal, published
from wvflow.data.rows import quoted
from wvflow.data.session import Session
from wvflow.data.warehouse import CATALOG
from wvflow.errors import TaskError

_FORMATS: Mapping[str, Mapping[str, str]] = {
    ".csv": {"format": "csv", "header": "true"},
    ".tsv": {"format": "csv", "header": "true", "delimiter": "'\t'"},
    ".json": {"format": "json"},
    ".jsonl": {"format": "json"},
    ".ndjson": {"format": "json"},
    ".parquet": {"format": "parquet", "compression": "zstd"},
}
_PACKED = ".gz"

_APPLIED = f"{CATALOG}._wvflow.applied"
_KEY = "run, stage, task, iteration, instance"
_CREATE_APPLIED = f"""CREATE TABLE IF NOT EXISTS {_APPLIED} (
    run VARCHAR, stage VARCHAR, task INTEGER, iteration INTEGER, instance INTEGER,
    rows_saved BIGINT, target VARCHAR, saved_at TIMESTAMPTZ DEFAULT current_timestamp,
    PRIMARY KEY ({_KEY}))"""
_SAME = "(run, stage, task, instance) = ($1, $2, $3, $5)"
_FIND = f"SELECT rows_saved, target FROM {_APPLIED} WHERE {_SAME} AND iteration >= $4 ORDER BY iteration LIMIT 1"
_FORGET = f"DELETE FROM {_APPLIED} WHERE {_SAME} AND iteration < $4"
_MARK = f"INSERT INTO {_APPLIED} ({_KEY}, rows_saved, target) VALUES ($1, $2, $3, $4, $5, $6, $7)"

Applied = tuple[str, str, int, int, int]


class Saved(NamedTuple):
    """``rows``: their number. ``select`` reads them back, None when an earlier attempt saved them: the table may have
    been replaced since."""

    rows: int
    select: str | None


@contextmanager
def to_table(
    session: Session, select: str, values: Mapping[str, object], parts: tuple[str, ...], applied: Applied
) -> Iterator[Saved]:
    """Replace a table by the rows of ``select``, unless this save was applied before.

    The rows and the mark of it become durable together, when the block has ended well.
    """
    schema, table = table_name(parts)
    with once(session, applied) as effect:
        if effect.done is not None:
            yield Saved(effect.done[0], None)
            return
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        rows = int(session.execute(f"CREATE OR REPLACE TABLE {schema}.{table} AS {select}", values)[0][0])
        effect.mark(rows, ".".join(parts))
        yield Saved(rows, f"SELECT * FROM {schema}.{table}")


class Once(NamedTuple):
    """An effect on the warehouse that takes place once for all attempts. ``done``: the rows and the target of the one
    that did it, None before that."""

    session: Session
    applied: Applied
    done: tuple[int, str] | None

    def mark(self, rows: int, target: str) -> None:
        """It is done now, together with what else the block did."""
        if iteration_of(self.applied) > 1:
            self.session.execute(_FORGET, self.applied)
        self.session.execute(_MARK, (*self.applied, rows, target))


@contextmanager
def once(session: Session, applied: Applied) -> Iterator[Once]:
    """A transaction on the warehouse, and whether its effect took place before.

    Of a loop, one mark is kept: that of its last iteration tells the same of all before, as these are past.
    """
    with _transaction(session):
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {CATALOG}._wvflow")
        session.execute(_CREATE_APPLIED)
        found = session.execute(_FIND, applied)
        yield Once(session, applied, (int(found[0][0]), str(found[0][1])) if found else None)


def iteration_of(applied: Applied) -> int:
    """The one of a loop that a save is of, 0 outside."""
    return applied[3]


@contextmanager
def _transaction(session: Session) -> Iterator[None]:
    session.execute("BEGIN")
    try:
        yield
        session.execute("COMMIT")
    except BaseException:
        with suppress(Exception):  # DuckDB has rolled back by itself after some errors
            session.main.rollback()
        raise


def table_name(parts: tuple[str, ...]) -> tuple[str, str]:
    """Schema and table as SQL."""
    *before, table = parts
    if len(before) > 1 and before[:-1] != [CATALOG]:
        known = f"the tables that flows write are in `{CATALOG}`"
        raise TaskError("SaveFailed", f"no catalog named `{'.'.join(before[:-1])}`", retryable=False, help=known)
    return f"{CATALOG}.{quoted(before[-1] if before else 'main')}", quoted(table)


def to_file(
    session: Session,
    select: str,
    values: Mapping[str, object],
    path: Path,
    options: Sequence[tuple[str, str]],
) -> tuple[int, str]:
    """Replace a file by the rows of ``select``. Gives their number, and the identity of the file."""
    written = settings(form(path, options))
    with published(path) as temporary:
        rows = int(session.execute(f"COPY ({select}) TO {literal(temporary)} ({written})", values)[0][0])
        return rows, identity.of_file(temporary)


def form(path: Path, options: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The options of ``COPY``, as SQL by name in small letters: those of the file's format, and what the program says
    instead. Raises TaskError for an unknown format."""
    given = {name.lower(): value for name, value in options}
    return {**_format(path, given.pop("format", "").strip("'").lower()), **given}


def settings(form: Mapping[str, str]) -> str:
    """The options of ``COPY`` as it takes them."""
    return ", ".join(f"{name.upper()} {value}" for name, value in form.items())


def _format(path: Path, named: str) -> Mapping[str, str]:
    """What the format's name says, or else the extension. Raises TaskError for one that isn't known."""
    packed = path.suffix.lower() == _PACKED
    extension = f".{named}" if named else (path.with_suffix("") if packed else path).suffix.lower()
    settings = _FORMATS.get(extension)
    if settings is None or (packed and extension == ".parquet"):
        known = ", ".join(one.removeprefix(".") for one in _FORMATS)
        way_out = f"known are {known}; all but parquet also with {_PACKED}"
        raise TaskError("SaveFailed", f"can't tell the format of `{path.name}`", retryable=False, help=way_out)
    return {**settings, "compression": "gzip"} if packed else settings
