from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from wvflow.data.kept import Kept, key_of

NUMBERS = msgspec.json.Decoder(list[int])


def kept(folder: Path, most: int = 8) -> Kept[list[int]]:
    return Kept(folder, NUMBERS, most)


def test_what_was_put_is_found_under_its_key_and_no_other(tmp_path: Path) -> None:
    kept(tmp_path).put(key_of("a"), [1, 2**70])
    assert kept(tmp_path).get(key_of("a")) == [1, 2**70]
    assert kept(tmp_path).get(key_of("b")) is None


@pytest.mark.parametrize("content", [b"", b"[1", b'{"x": 1}', b"\xff"])
def test_an_entry_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / key_of("a")).write_bytes(content)
    assert kept(tmp_path).get(key_of("a")) is None


def test_an_entry_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    kept(tmp_path / "file").put(key_of("a"), [1])
    assert kept(tmp_path / "file").get(key_of("a")) is None


def test_the_oldest_are_forgotten_where_there_are_too_many(tmp_path: Path) -> None:
    for number in range(11):
        kept(tmp_path).put(key_of(number), [number])
        os.utime(tmp_path / key_of(number), (number, number))
    found = [kept(tmp_path).get(key_of(number)) for number in range(11)]
    assert found == [None] * 3 + [[number] for number in range(3, 11)]


@pytest.mark.parametrize(
    "other",
    [pytest.param(("ab", "c"), id="borders"), pytest.param(("a", "bcd"), id="text"), pytest.param(("a",), id="fewer")],
)
def test_a_key_is_of_all_parts_and_their_borders(other: tuple[str, ...]) -> None:
    assert key_of("a", "bc") == key_of("a", "bc") != key_of(*other)
