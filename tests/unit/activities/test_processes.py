"""Activities in processes of their own: what is killed, what dies, and what a pool keeps."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from wvflow.activities.isolation import Isolated, Pool
from wvflow.activities.registry import Registry
from wvflow.errors import TaskError, Unavailable, WorkerLost
from wvflow.ports.stop import StopToken

PATIENCE = 30
SOURCE = """
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading

import pyarrow as pa
from wvflow import ActivityContext, activity

@activity
def pid():
    return os.getpid()

@activity
def group():
    return [{"group": os.getpgrp(), "session": os.getsid(0), "stdin": sys.stdin.read(), "ppid": os.getppid()}]

@activity
def dies(*, how: str):
    if how == "exit":
        os._exit(7)
    if how == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), getattr(signal, how))

@activity
def dies_late():
    def batches():
        yield pa.record_batch({"n": range(500_000)})
        yield pa.record_batch({"n": range(500_000)})
        os._exit(1)
    return pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), batches())

@activity
def waits(*, ctx: ActivityContext):
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    ctx.heartbeat([os.getpid(), child.pid])
    child.wait()

@activity
def forks(*, ctx: ActivityContext):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.read(reader, 1)
    ctx.heartbeat([os.getpid(), child])
    os._exit(3)

@activity
def chatters(*, ctx: ActivityContext):
    threading.Thread(target=lambda: [ctx.heartbeat("late") for _ in iter(int, 1)], daemon=True).start()
"""


def isolated(folder: Path, source: str = SOURCE, size: int = 2) -> Isolated:
    (folder / "activities.py").write_text(source)
    return Isolated(Registry.discover(folder), folder, size)


@pytest.fixture(scope="module")
def activities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Isolated]:
    made = isolated(tmp_path_factory.mktemp("project"))
    yield made
    made.close()


@pytest.fixture
def perform(call: Callable[..., Any]) -> Callable[..., Any]:
    """Call an activity in a process; its one value, if it has one row."""

    def perform(activities: Isolated, name: str, stop: StopToken | None = None, /, **fields: Any) -> Any:
        rows = activities.run(call(name, isolation="process", **fields), stop or StopToken())
        if rows is None:
            return None
        (row,) = rows.read_all().to_pylist()
        return row.get("value", row)

    return perform


def wait_until_gone(pid: int) -> None:
    """Until the process has ended, reaped or not."""
    with suppress(ProcessLookupError):
        end = os.pidfd_open(pid)
        gone = select.select([end], [], [], PATIENCE)[0]
        os.close(end)
        assert gone, f"process {pid} lives"


def test_one_process_takes_one_call_after_another(activities: Isolated, perform: Any) -> None:
    first = perform(activities, "pid")
    assert first != os.getpid()
    assert {perform(activities, "pid") for _ in range(5)} == {first}


def test_no_more_processes_are_started_than_work_at_once_and_never_more_than_the_pools_size(
    tmp_path: Path, perform: Any
) -> None:
    activities = isolated(tmp_path, size=2)
    found: set[int] = set()
    threads = [threading.Thread(target=lambda: found.add(perform(activities, "pid"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert 1 <= len(found) <= 2
    assert activities.pool.processes == len(found)
    activities.close()


def test_a_process_whose_call_is_not_begun_after_all_is_free_for_the_next(tmp_path: Path, perform: Any) -> None:
    def refuse() -> None:
        raise TaskError("Cancelled", "cancelled before it began")

    activities = isolated(tmp_path)
    with pytest.raises(TaskError, match="before it began"):
        perform(activities, "pid", begun=refuse)
    assert perform(activities, "pid")
    assert activities.pool.processes == 1
    activities.close()


def test_a_process_leads_a_session_of_its_own_with_nothing_to_read(activities: Isolated, perform: Any) -> None:
    row, process = perform(activities, "group"), perform(activities, "pid")
    assert row == {"group": process, "session": process, "stdin": "", "ppid": os.getpid()}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exit", "ended by itself, with exit code 7"),
        ("segfault", "was killed by SIGSEGV"),
        ("SIGKILL", "was killed by SIGKILL (was the memory short?)"),
        ("SIGTERM", "was killed by SIGTERM"),
    ],
)
def test_one_that_dies_is_told_of_with_how_it_died_and_replaced(
    activities: Isolated, perform: Any, how: str, said: str
) -> None:
    before = perform(activities, "pid")
    with pytest.raises(WorkerLost) as lost:
        perform(activities, "dies", arguments={"how": how})
    assert lost.value.message == f"the process that ran the activity {said}"
    wait_until_gone(before)
    assert perform(activities, "pid") != before


def test_one_that_dies_while_its_rows_are_read_is_lost_too(activities: Isolated, perform: Any) -> None:
    with pytest.raises(WorkerLost, match="exit code 1"):
        perform(activities, "dies_late")


def test_one_that_died_between_two_calls_is_not_called_again(activities: Isolated, perform: Any) -> None:
    before = perform(activities, "pid")
    os.kill(before, signal.SIGKILL)
    assert all(process._ended.wait(PATIENCE) for process in activities.pool._idle)
    assert perform(activities, "pid") != before


def test_what_is_abandoned_is_killed_with_all_that_it_started(activities: Isolated, perform: Any) -> None:
    stop, seen = StopToken(), []

    def beat(pids: object) -> None:
        seen.extend(pids)  # type: ignore[arg-type]  # a list, as the activity sends it
        stop.abandon()

    with pytest.raises(WorkerLost):
        perform(activities, "waits", stop, heartbeat=beat)
    for pid in seen:
        wait_until_gone(pid)
    assert len(seen) == 2


def test_a_fork_that_holds_on_to_the_line_does_not_hide_its_parents_death(activities: Isolated, perform: Any) -> None:
    seen: list[int] = []
    with pytest.raises(WorkerLost, match="exit code 3"):
        perform(activities, "forks", heartbeat=seen.extend)
    wait_until_gone(seen[1])


def test_nothing_is_heard_of_a_thread_that_a_call_left_behind(activities: Isolated, perform: Any) -> None:
    perform(activities, "chatters")
    beats: list[object] = []
    for _ in range(20):
        perform(activities, "pid", heartbeat=beats.append)
    assert beats == []


def test_a_module_that_ends_its_process_while_it_is_imported_is_a_failure_that_says_so(
    tmp_path: Path, perform: Any
) -> None:
    activities = isolated(tmp_path)
    (tmp_path / "activities.py").write_text("import os\nos._exit(9)\n")
    with pytest.raises(TaskError) as caught:
        perform(activities, "pid")
    assert caught.value.kind == "WorkerNotStarted"
    assert "ended by itself, with exit code 9 while it imported the project's modules" in caught.value.message
    assert activities.pool.processes == 0


def test_a_module_that_can_not_be_imported_any_more_is_told_as_such(tmp_path: Path, perform: Any) -> None:
    activities = isolated(tmp_path)
    (tmp_path / "activities.py").write_text("import not_there_at_all\n")
    with pytest.raises(TaskError, match="`activities` can't be imported: ModuleNotFoundError") as caught:
        perform(activities, "pid")
    assert caught.value.kind == "ActivityNotFound"
    activities.close()


def test_code_that_has_changed_since_the_start_is_run_and_the_log_says_so(tmp_path: Path, perform: Any) -> None:
    activities, lines = isolated(tmp_path), []
    (tmp_path / "activities.py").write_text(SOURCE.replace("return os.getpid()", "return -1"))
    assert perform(activities, "pid", log=lambda level, line: lines.append((level, line))) == -1
    assert lines == [("warning", "the code of `pid` has changed since wvflow was started; this is the new")]
    activities.close()


def test_when_the_system_starts_no_process_the_call_can_be_made_later(
    tmp_path: Path, perform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    activities = isolated(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(tmp_path / "no such program"))
        with pytest.raises(Unavailable, match="no process can be started"):
            perform(activities, "pid")
    assert isinstance(perform(activities, "pid"), int)
    activities.close()


def test_a_stop_ends_the_wait_for_a_process_and_for_its_start(tmp_path: Path, perform: Any) -> None:
    activities, stop = isolated(tmp_path, size=1), StopToken()
    stop.request()
    with pytest.raises(TaskError) as caught:
        perform(activities, "pid", stop)
    assert caught.value.kind == "Interrupted"
    never = tmp_path / "never"
    os.mkfifo(never)
    (tmp_path / "activities.py").write_text(f"open({str(never)!r})")
    pool, waiting = Pool(tmp_path, ("activities",), 1), StopToken()
    ended: list[str] = []

    def take(stop: StopToken) -> None:
        with pytest.raises(TaskError) as caught:
            pool.take(stop)
        ended.append(caught.value.kind)

    stops = [waiting, StopToken()]
    threads = [threading.Thread(target=take, args=(stop,)) for stop in stops]
    for thread in threads:
        thread.start()
    for stop in stops:
        stop.request()
    for thread in threads:
        thread.join(PATIENCE)
    assert ended == ["Interrupted"] * 2
    pool.close()


def test_closing_kills_what_runs_and_takes_no_more(tmp_path: Path, perform: Any) -> None:
    activities, seen = isolated(tmp_path), []

    def beat(pids: object) -> None:
        seen.extend(pids)  # type: ignore[arg-type]
        threading.Thread(target=activities.close).start()

    with pytest.raises(WorkerLost):
        perform(activities, "waits", heartbeat=beat)
    for pid in seen:
        wait_until_gone(pid)
    with pytest.raises(TaskError, match="stopped"):
        perform(activities, "pid")


OWNER = """
import sys
from pathlib import Path
from wvflow.activities.isolation import Isolated
from wvflow.activities.registry import Registry
from wvflow.ports.activities import ActivityCall
from wvflow.ports.stop import StopToken

root = Path(sys.argv[1])
activities = Isolated(Registry.discover(root), root)
call = ActivityCall(
    activity="waits", arguments={}, rows=None, run_id="r", flow="F", stage="s", attempt=1, run_time=0, params={},
    log=print, heartbeat=lambda pids: print(*pids, flush=True), isolation="process",
)
activities.run(call, StopToken())
"""


def test_processes_die_with_their_owner_however_it_dies(tmp_path: Path) -> None:
    (tmp_path / "activities.py").write_text(SOURCE)
    # No guard of `__main__`: nothing runs the owner's script again.
    (tmp_path / "owner.py").write_text(OWNER)
    owner = subprocess.Popen([sys.executable, tmp_path / "owner.py", tmp_path], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert len(pids) == 2
    for pid in pids:
        wait_until_gone(pid)
