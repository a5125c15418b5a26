"""What tells whether a file or a table still is what it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wvflow.data import identity
from wvflow.data.identity import READ_WHOLE, Tables

SMALL, LARGE = b"x" * 10, b"x" * (READ_WHOLE + 1)
DAY_NS = 86_400 * 1_000_000_000


def older(path: Path) -> None:
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns - DAY_NS))


def other_content(path: Path) -> None:
    """Other content of the same length under the same time."""
    found = path.stat()
    path.write_bytes(b"y" * found.st_size)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def replaced(path: Path) -> None:
    """A copy in its place, with its time."""
    found = path.stat()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
    copy.replace(path)


@pytest.mark.parametrize(
    ("content", "change", "same"),
    [
        pytest.param(SMALL, older, True, id="a small file that was only touched is the same"),
        pytest.param(SMALL, replaced, True, id="and so is a copy of it"),
        pytest.param(SMALL, other_content, False, id="other content makes another of a small one"),
        pytest.param(LARGE, older, False, id="a large one counts as changed when it was touched"),
        pytest.param(LARGE, longer, False, id="when it has another size"),
        pytest.param(LARGE, replaced, False, id="and when it was replaced"),
    ],
)
def test_a_file(tmp_path: Path, content: bytes, change: Callable[[Path], None], same: bool) -> None:
    file = tmp_path / "f"
    file.write_bytes(content)
    before = identity.of_file(file)
    assert identity.of_file(file) == before
    change(file)
    assert (identity.of_file(file) == before) is same


def test_a_glob_is_another_with_each_file_that_comes_goes_or_changes(tmp_path: Path) -> None:
    pattern = str(tmp_path / "**" / "*.csv")
    seen = [identity.of_files(pattern)]
    for name, content in (("a.csv", "1"), (".b.csv", "1"), ("c/d.csv", "1"), ("a.csv", "2")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
        seen.append(identity.of_files(pattern))
    (tmp_path / "other.txt").write_text("no matter")
    assert seen[0] is None
    assert len(set(seen)) == 5
    assert identity.of_files(pattern) == seen[-1]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("1")
    assert identity.of_files(str(tmp_path / "a[1].csv")) is not None


def test_a_table_changes_with_its_saves_and_what_may_be_a_view_with_all() -> None:
    before = Tables("file", "since", {"main.a": "since", "main.b": "since"})
    after = before.saved(("A",), "r1/s").at("later")
    assert after.version(["main", "a"]) == "r1/s"
    assert after.version(["b"]) == before.version(["warehouse", "main", "B"]) == "since"
    assert after.version(["v"]) != before.version(["v"])
    assert before.at("later").version(["v"]) == before.version(["v"])


def test_what_is_known_of_tables_is_forgotten_when_the_file_changes(tmp_path: Path) -> None:
    database = tmp_path / "w.duckdb"
    assert identity.recall(database) is None
    database.write_bytes(b"1")
    identity.keep(database, Tables("", "since", {"main.a": "r1"}))
    assert identity.recall(database) == Tables(identity.state_of(database), "since", {"main.a": "r1"})
    (tmp_path / "w.duckdb.wal").write_bytes(b"not played back")
    assert identity.recall(database) is None
    (tmp_path / "w.duckdb.wal").unlink()
    assert identity.recall(database) is not None
    database.write_bytes(b"2")
    os.utime(database, ns=(0, DAY_NS))
    assert identity.recall(database) is None


def test_what_was_found_out_anew_is_noted_in_place_of_what_was_forgotten(tmp_path: Path) -> None:
    database = tmp_path / "w.duckdb"
    database.write_bytes(b"1")
    identity.keep(database, Tables("", "since", {"main.a": "r1"}))
    database.write_bytes(b"22")
    anew = Tables(identity.state_of(database), "later", {"main.a": "later"})
    identity.keep(database, anew)
    assert identity.recall(database) == anew


def test_notes_that_are_damaged_are_as_none(tmp_path: Path) -> None:
    database = tmp_path / "w.duckdb"
    database.write_bytes(b"1")
    (tmp_path / "w.duckdb.versions").write_bytes(b"{")
    assert identity.recall(database) is None
