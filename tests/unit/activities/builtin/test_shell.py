"""``shell('…')``: what goes in, what comes out, and that nothing of it stays."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from wvflow.ports.stop import StopToken

SHELL = "builtin.shell"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups and /bin/sh")


@pytest.mark.parametrize(
    ("command", "rows", "given", "result"),
    [
        ("echo hello", None, {}, None),
        ("printf 'a\\n\\nb\\n\\n'", None, {"output": "text"}, [{"value": "a\n\nb"}]),
        ("cat", [{"n": 1, "d": date(2024, 5, 1)}, {"n": 2, "d": None}], {"output": "json"}, [
            {"n": 1, "d": "2024-05-01"}, {"n": 2, "d": None},
        ]),
        ("echo '[1, 2]'", None, {"output": "json"}, [{"value": 1}, {"value": 2}]),
        ("echo '{\"a\": 1}'", None, {"output": "json"}, [{"a": 1}]),
        ("true", [{"n": 1}], {}, None),
        ("head -1 >/dev/null", [{"n": "x" * 1000}] * 1000, {}, None),
        ('printf %s "$a/$b/$c/$d/$e"', None, {
            "output": "text", "a": "it's; $(rm)", "b": 2, "c": None, "d": True, "e": Decimal("1.50"),
        }, [{"value": "it's; $(rm)/2//true/1.50"}]),
        ('printf %s "$list"', None, {"output": "text", "list": [1, "a"]}, [{"value": '[1,"a"]'}]),
        ("printf '\\377'", None, {"output": "text"}, [{"value": "\ufffd"}]),
    ],
)  # fmt: skip
def test_what_a_command_gives(use: Any, command: str, rows: Any, given: Any, result: Any) -> None:
    assert use(SHELL, rows, command=command, **given) == result


def test_what_it_prints_goes_to_the_log_and_is_a_sign_of_life(use: Any, logged: list[Any]) -> None:
    beats: list[Any] = []
    use(SHELL, command="echo one; echo two; echo three >&2", call_heartbeat=beats.append)
    assert [line for line in logged if line[0] == "info"] == [("info", "one"), ("info", "two")]
    assert ("warning", "three") in logged
    assert beats == [None, None, None]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo a >&2; echo b >&2; exit 3", "the command ended by itself, with exit code 3: b"),
        ("exit 1", "the command ended by itself, with exit code 1"),
        ("kill -SEGV $$", "the command was killed by SIGSEGV"),
    ],
)
def test_a_command_that_fails(failure: Any, command: str, message: str) -> None:
    error = failure(SHELL, command=command)
    assert (error.kind, error.message, error.retryable) == ("ShellError", message, True)


def test_the_end_of_what_it_said_is_kept_with_the_failure(failure: Any) -> None:
    error = failure(SHELL, command="seq 1 100 >&2; exit 1")
    assert error.detail.split() == [str(number) for number in range(81, 101)]


@pytest.mark.parametrize(
    ("given", "kind"), [({"command": "a\0b"}, "WrongArgument"), ({"command": "true", "x": "a\0"}, "WrongArgument")]
)
def test_a_command_that_can_not_be_run(failure: Any, given: Any, kind: str) -> None:
    error = failure(SHELL, **given)
    assert (error.kind, error.retryable) == (kind, False)


def test_what_is_no_json_is_told(failure: Any) -> None:
    error = failure(SHELL, command="echo {", output="json")
    assert (error.kind, error.retryable) == ("WrongAnswer", False)


# --- its end --------------------------------------------------------------------------------------------------------


def pids_of(logged: list[Any]) -> list[int]:
    return [int(pid) for level, line in logged if level == "info" for pid in line.split()]


def wait_until_gone(pid: int) -> None:
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            assert select.select([handle], [], [], 30)[0], f"process {pid} lives on"
        finally:
            os.close(handle)


def told_when(act: Any) -> Any:
    """A heartbeat comes with each line that it prints."""
    return lambda details: threading.Thread(target=act).start()


def test_all_of_it_is_killed_when_nobody_waits_any_more(failure: Any, stop: StopToken, logged: list[Any]) -> None:
    command = "trap '' TERM; sleep 1000 & echo $$ $!; wait"
    error = failure(SHELL, command=command, call_heartbeat=told_when(stop.abandon))
    assert error.kind == "Interrupted"
    pids = pids_of(logged)
    assert len(pids) == 2
    for pid in pids:
        wait_until_gone(pid)


def test_a_stop_asks_it_to_end(failure: Any, stop: StopToken, logged: list[Any]) -> None:
    command = "trap 'echo cleaned up; exit 1' TERM; echo ready; while true; do sleep 0.01; done"
    error = failure(SHELL, command=command, call_heartbeat=told_when(stop.request))
    assert error.kind == "Interrupted"
    assert ("info", "cleaned up") in logged


def test_what_it_leaves_behind_is_killed(use: Any, logged: list[Any]) -> None:
    use(SHELL, command="sleep 1000 >&- 2>&- & echo $!")
    (pid,) = pids_of(logged)
    wait_until_gone(pid)


def test_rows_that_can_not_be_read_end_it(call: Any, stop: StopToken) -> None:
    import pyarrow as pa

    from wvflow.activities.registry import Registry
    from wvflow.errors import StoreUnavailable

    def broken() -> pa.RecordBatchReader:
        def batches() -> Any:
            yield pa.record_batch({"n": [1]})
            raise StoreUnavailable("away")

        return pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), batches())

    made = call("it", arguments={"command": "cat; sleep 1000"}, function=SHELL)
    import msgspec

    with pytest.raises(StoreUnavailable):
        Registry({}).run(msgspec.structs.replace(made, rows=broken), stop)


OWNER = """
from wvflow.activities.registry import Registry
from wvflow.ports.activities import ActivityCall
from wvflow.ports.stop import StopToken

call = ActivityCall(
    activity="it", function="builtin.shell", rows=None, run_id="r", flow="F", stage="s", attempt=1, run_time=0,
    arguments={"command": "trap '' TERM; sleep 1000 & echo $$ $!; wait"}, params={},
    log=lambda level, line: print(line, flush=True), heartbeat=lambda details: None,
)
Registry({}).run(call, StopToken())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_dies_with_wvflow_however_that_dies(tmp_path: Path, number: int) -> None:
    (tmp_path / "owner.py").write_text(OWNER)
    owner = subprocess.Popen([sys.executable, tmp_path / "owner.py"], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    owner.send_signal(number)
    owner.wait()
    owner.stdout.close()
    assert len(pids) == 2
    for pid in pids:
        wait_until_gone(pid)
