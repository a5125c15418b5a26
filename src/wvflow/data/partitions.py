"""``save to 'folder/' with partition: …``: files in folders that say the values, ``day=2024-02-29/data_0.parquet``.

Names and contents are DuckDB's, which also reads them back: ``from 'folder/**/*.parquet'``. Each file appears whole.
Other partitions are not touched, and another attempt that does it again leaves the same files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from shutil import rmtree

from wvflow.data.changes import New
from wvflow.data.files import literal, publish
from wvflow.data.rows import quoted
from wvflow.data.saves import form, settings
from wvflow.data.session import Session

_DEFAULT = ("format", "parquet")


def change_folder(
    session: Session, by: tuple[str, ...], new: New, folder: Path, options: Sequence[tuple[str, str]]
) -> int:
    """Replace the partitions of the rows by them, or the one whose values are all fixed, also by none. Gives the number
    of rows."""
    written = f"{settings(form(folder, (_DEFAULT, *options)))}, PARTITION_BY ({', '.join(map(quoted, by))})"
    columns = {name.lower() for name in session.relation(new.select, new.values).columns}
    if columns == {name.lower() for name in by}:  # else nothing would stand in the files
        written += ", WRITE_PARTITION_COLUMNS"
    with _beside(folder) as temporary:
        rows = int(session.execute(f"COPY ({new.select}) TO {literal(temporary)} ({written})", new.values)[0][0])
        if not rows and all(name in new.fixed for name in by):
            _name(session, new, temporary, written)
        for partition in _partitions(temporary):
            _put(temporary / partition, folder / partition)
    return rows


def _name(session: Session, new: New, temporary: Path, written: str) -> None:
    """Make the folder of the fixed partition, without files."""
    one = New("SELECT 1 AS _wvflow").with_fixed(new.fixed)
    session.execute(f"COPY ({one.select}) TO {literal(temporary)} ({written}, OVERWRITE)", one.values)
    for file in [path for path in temporary.rglob("*") if path.is_file()]:
        file.unlink()


def _partitions(folder: Path) -> list[Path]:
    """The innermost folders, relative to the outermost."""
    inner = [path for path in folder.rglob("*") if path.is_dir() and not any(one.is_dir() for one in path.iterdir())]
    return sorted(path.relative_to(folder) for path in inner)


def _put(new: Path, there: Path) -> None:
    """The files of a partition in the place of those that are there."""
    there.mkdir(parents=True, exist_ok=True)
    names = [file.name for file in new.iterdir()]
    for name in names:
        publish(new / name, there / name)
    for old in there.iterdir():
        if old.is_file() and old.name not in names:
            old.unlink()
    with suppress(OSError):  # not empty
        there.rmdir()


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{token_hex(8)}.tmp")
    try:
        yield temporary
    finally:
        rmtree(temporary, ignore_errors=True)
