"""``keep_runs``: which runs go when one of their flow ends, and which never do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from wvflow.errors import StoreUnavailable
from wvflow.service.api import Program
from wvflow.service.cleaning import Rule, outdated
from wvflow.service.runs import Runs
from wvflow.store.sqlite import SqliteStore

MakeProgram = Callable[..., Program]

FLOW = "flow F%s = { stage a = from range(5000) as r(i) }\n flow G = { stage b = from range(5000) as r(i) }"
KEEP_2 = FLOW % " with { keep_runs: 2 }"


def ids(program: Program) -> list[str]:
    """All runs, newest first."""
    runs = Runs(program.project)
    try:
        return [row.run_id for row in runs.recent(limit=None)]
    finally:
        runs.close()


def folders(root: Path) -> set[str]:
    return {folder.name for folder in (root / ".wvflow" / "runs").iterdir()}


def run(program: Program, *names: str, flow: str = "F") -> None:
    for name in names:
        assert program.run(flow, run_id=name).state == "success"


def test_a_flow_keeps_its_newest_runs_and_leaves_those_of_others_alone(
    make_program: MakeProgram, tmp_path: Path
) -> None:
    program = make_program(KEEP_2)
    run(program, "g1", "g2", "g3", flow="G")
    run(program, "f1", "f2", "f3", "f4")
    assert ids(program) == ["f4", "f3", "g3", "g2", "g1"]
    assert folders(tmp_path) == set(ids(program))


@pytest.mark.parametrize(
    ("flow", "retention", "kept"),
    [
        ("", "keep_runs = 1", ["f3"]),
        ("", "keep_runs = 0", ["f3"]),
        (" with { keep_runs: 2 }", "keep_runs = 1", ["f3", "f2"]),
        (" with { keep_runs: 1 }", "keep_runs = 3", ["f3"]),
        ("", "keep_runs = 1\nolder_than = '1h'", ["f3", "f2", "f1"]),
        ("", "older_than = '1h'", ["f3", "f2", "f1"]),
        ("", "", ["f3", "f2", "f1"]),
    ],
)
def test_a_flow_counts_before_the_project_and_the_run_that_ended_stays(
    make_program: MakeProgram, tmp_path: Path, flow: str, retention: str, kept: list[str]
) -> None:
    (tmp_path / "wvflow.toml").write_text(f"[retention]\n{retention}\n")
    program = make_program(FLOW % flow)
    run(program, "f1", "f2", "f3")
    assert ids(program) == kept


@pytest.mark.parametrize(("place", "ago", "goes"), [(0, 99, False), (1, 99, True), (1, 10, False), (1, 11, True)])
def test_under_two_conditions_a_run_goes_that_meets_both(
    make_program: MakeProgram, place: int, ago: int, goes: bool
) -> None:
    program = make_program(FLOW % "")
    run(program, "f1", "f2")
    runs = Runs(program.project)
    rows = runs.recent()
    now = (rows[place].finished_at or 0) + ago
    assert (rows[place] in outdated(rows, lambda row: Rule(1, 10), now)) is goes  # type: ignore[arg-type]
    runs.close()


def test_a_run_that_has_not_ended_stays_however_old(make_program: MakeProgram) -> None:
    program = make_program(
        """
        flow F(fails: boolean) with { keep_runs: 1 } = {
          stage a with { retries: 1, retry_delay: 1h } = call fail(fails: fails)
        }
        """,
        """
        from wvflow import activity

        @activity
        def fail(*, fails: bool) -> list[dict[str, bool]]:
            if fails:
                raise ValueError
            return [{"fails": fails}]
        """,
    )

    async def left_alone() -> None:
        handle = await program.start("F", {"fails": True}, run_id="open")
        handle._task.cancel()
        await asyncio.wait({handle._task})

    asyncio.run(left_alone())
    for name in ("f1", "f2"):
        assert program.run("F", {"fails": False}, run_id=name).state == "success"
    assert ids(program) == ["f2", "open"]
    runs = Runs(program.project)
    assert [row.run_id for row in runs.clean(dry_run=True).runs] == ["f2"]
    runs.close()


def test_a_file_that_cannot_be_removed_keeps_no_run_from_ending_and_is_taken_later(
    make_program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make_program(KEEP_2)
    run(program, "f1", "f2")
    real = os.unlink

    def stubborn(path: str, *, dir_fd: int | None = None) -> None:
        if str(path).endswith(".parquet"):
            raise PermissionError(13, "no", path)
        real(path, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", stubborn)
        run(program, "f3")
    assert (ids(program), folders(tmp_path)) == (["f3", "f2"], {"f1", "f2", "f3"})
    runs = Runs(program.project)
    assert runs.retain().bytes > 0
    assert folders(tmp_path) == {"f2", "f3"}
    runs.close()


def test_a_store_that_is_away_keeps_no_run_from_ending(
    make_program: MakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: SqliteStore, run_id: str) -> bool:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(SqliteStore, "delete", away)
    program = make_program(KEEP_2)
    run(program, "f1", "f2", "f3")
    assert ids(program) == ["f3", "f2", "f1"]


def test_of_two_that_clean_at_once_each_run_is_deleted_by_one(make_program: MakeProgram, tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(8)]
    program = make_program(FLOW % "")
    run(program, *names)
    ready = Barrier(2)

    def clean() -> list[str]:
        runs = Runs(program.project)
        try:
            ready.wait()
            return [row.run_id for row in runs.clean(keep=3).runs]
        finally:
            runs.close()

    with ThreadPoolExecutor(2) as pool:
        first, second = (future.result() for future in [pool.submit(clean), pool.submit(clean)])
    assert sorted(first + second) == names[:-3]
    assert set(ids(program)) == folders(tmp_path) == set(names[-3:])


def test_runs_that_end_at_once_are_read_before_they_go(make_program: MakeProgram) -> None:
    program = make_program(FLOW % " with { keep_runs: 1 }")

    async def together() -> list[str]:
        handles = [await program.start("F") for _ in range(6)]
        return [(await handle.result()).state for handle in handles]

    assert asyncio.run(together()) == ["success"] * 6
    run(program, "after")
    assert ids(program) == ["after"]


def test_what_is_freed_counts_no_file_that_another_run_has(make_program: MakeProgram) -> None:
    program = make_program((FLOW % "").replace("stage a", "stage a with { cache: inputs }"))
    run(program, "f1", "f2")
    runs = Runs(program.project)
    assert runs.clean(keep=1, dry_run=True).bytes == runs.clean(keep=1).bytes == 0
    assert runs.clean(keep=0).bytes > 0
    runs.close()
