from __future__ import annotations

import threading
from pathlib import Path

import pytest

from wvflow.data import files
from wvflow.data.locks import Claim, FileLock


def test_a_published_file_appears_only_when_it_is_complete_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new" / "out.txt"
    synced: list[tuple[str, bool]] = []
    real = files.sync

    def watched(path: Path) -> None:
        synced.append(("folder" if path.is_dir() else "file", target.exists()))
        real(path)

    monkeypatch.setattr(files, "sync", watched)
    with files.published(target) as temporary:
        temporary.write_text("rows")
        assert not target.exists()
    assert target.read_text() == "rows"
    assert synced == [("file", False), ("folder", True)]


def test_what_fails_to_be_published_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")

    def fail() -> None:
        with files.published(target) as temporary:
            temporary.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("path", "read", "written"),
    [("a.csv", "'a.csv'", "'a.csv'"), ("it's [a]*?", "'it''s [[]a][*][?]'", "'it''s [a]*?'")],
)
def test_paths_mean_themselves_in_sql(path: str, read: str, written: str) -> None:
    assert (files.exactly(path), files.literal(path)) == (read, written)


@pytest.mark.parametrize(
    ("first", "second", "granted"),
    [("shared", "shared", True), ("shared", "exclusive", False), ("exclusive", "shared", False)],
)
def test_a_lock_is_shared_to_read_and_exclusive_to_write(
    tmp_path: Path, first: str, second: str, granted: bool
) -> None:
    one, other = (FileLock(tmp_path / "folder" / "lock") for _ in range(2))
    assert one.acquire(shared=first == "shared")
    assert other.acquire(shared=second == "shared") == granted
    one.release()
    if not granted:
        assert other.acquire(shared=second == "shared")
    other.release()


def test_a_lock_names_who_took_it(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.holder() == "another process"
    lock.acquire(shared=False)
    assert "(process " in lock.holder()
    lock.release()


def test_a_claim_is_granted_when_the_lock_is_free_and_one_given_up_holds_nothing(tmp_path: Path) -> None:
    holder, waiter = (FileLock(tmp_path / "lock") for _ in range(2))
    assert holder.acquire(shared=False)
    granted = threading.Event()
    late = Claim(waiter, shared=False, told=granted.set)
    given_up = Claim(waiter, shared=False, told=lambda: None)
    given_up.give_up()
    assert not late.granted
    holder.release()
    assert granted.wait(60)
    assert late.granted
    assert not given_up.granted
    assert not holder.acquire(shared=True)
    late.give_up()
    assert Claim(holder, shared=False, told=(again := threading.Event()).set)
    assert again.wait(60)
    holder.release()
