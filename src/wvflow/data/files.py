"""Files that appear whole or not at all: temporary name in the same folder, sync, rename."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha1
from pathlib import Path
from secrets import token_hex

_CHUNK = 1 << 20


@contextmanager
def published(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A name to write to; what stands there becomes ``path`` when the block ends well, synced if ``durable``.

    Readers see the file as it was before or as it is after. The folder is made. On an error nothing is left.
    """
    with beside(path) as temporary:
        yield temporary
        publish(temporary, path, durable=durable)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A name to write to in the same folder, which is made. Nothing of it is left unless it was published."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{token_hex(8)}.tmp")
    try:
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink()


def publish(temporary: Path, path: Path, *, durable: bool = True) -> None:
    """Give what was written beside it its name."""
    if durable:
        sync(temporary)
    os.replace(temporary, path)
    if durable:
        sync(path.parent)


def sync(path: Path) -> None:
    """Have a file's content, or a folder's entries, survive power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(path: Path) -> str:
    """``sha1:…`` of a file's content: found to be the fastest of the standard library's that isn't a mere CRC."""
    digest = sha1(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"sha1:{digest.hexdigest()}"


def checksum_of(data: bytes) -> str:
    return f"sha1:{sha1(data, usedforsecurity=False).hexdigest()}"


def literal(path: Path | str) -> str:
    """A path as a SQL string."""
    return "'" + str(path).replace("'", "''") + "'"


def exactly(path: Path | str) -> str:
    """A path as a SQL string for DuckDB's readers, which take ``*``, ``?`` and ``[`` in names for patterns."""
    return literal("".join(f"[{char}]" if char in "*?[" else char for char in str(path)))
