"""What can be made again at some cost, kept on disk under the content of all that it is made of.

An entry that can't be read, for whatever reason, is made anew, and one that can't be written costs time and nothing
else; the folder can be deleted at any time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

_encode = msgspec.json.Encoder(order="deterministic").encode


def key_of(*parts: object) -> str:
    """A digest of values that are plain data."""
    return digest(map(_encode, parts))


def digest(parts: Iterable[bytes]) -> str:
    """A digest of bytes, with their borders.

    >>> digest([b"ab", b"c"]) == digest([b"a", b"bc"])
    False
    """
    whole = sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.hexdigest()


class Kept(Generic[T]):
    """Entries of one kind, in a folder of their own: the newest, ``most`` at least and a quarter more at most."""

    def __init__(self, folder: Path, decoder: msgspec.json.Decoder[T], most: int) -> None:
        self._folder = folder
        self._decode = decoder.decode
        self._most = most

    def get(self, key: str) -> T | None:
        try:
            return self._decode((self._folder / key).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def put(self, key: str, value: T) -> None:
        from wvflow.data.files import published

        with suppress(OSError):
            with published(self._folder / key, durable=False) as temporary:
                temporary.write_bytes(_encode(value))
            self._forget_old()

    def _forget_old(self) -> None:
        """Looks at the times of files only when there are too many."""
        if len(os.listdir(self._folder)) <= self._most + self._most // 4:
            return
        oldest_first = sorted(self._folder.glob("[0-9a-f]*"), key=lambda file: file.stat().st_mtime)
        for file in oldest_first[: -self._most]:
            file.unlink()
