"""The kit for users' tests: real flows, fake activities, no waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pyarrow as pa
import pytest

import wvflow.testing
from wvflow import NonRetryable, Retry
from wvflow.data.warehouse import lock_of
from wvflow.errors import UserError
from wvflow.testing import Sandbox, after, dies

ACTIVITIES = """
from wvflow import ActivityContext, activity

@activity
def fetch(*, url: str = "u") -> list[dict]:
    raise AssertionError("the real one was called")

@activity
def send(rows: list[dict]) -> None:
    raise AssertionError("the real one was called")

@activity
def really(rows: list[dict]) -> list[dict]:
    return [{"n": row["n"] + 1} for row in rows]
"""
FLOW = """
flow F(factor: int = 2) = {
  stage fetched [PROPERTIES] = call fetch(url: 'https://here')
  stage doubled = from fetched | really() | select n = n * 10
  stage sent = from doubled | send()
}
"""
ROWS = [{"n": 1}, {"n": 2}]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    made: list[Sandbox] = []

    def make(properties: str = "retries: 0", flow: str = FLOW, **options: Any) -> Sandbox:
        (tmp_path / "activities.py").write_text(ACTIVITIES)
        (tmp_path / "f.wv").write_text(flow.replace("PROPERTIES", properties))
        made.append(Sandbox(tmp_path / "f.wv", **options))
        made[-1].fake("fetch", ROWS)
        made[-1].fake("send") if "send" in flow else None
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_these_are_the_kits_public_names() -> None:
    assert wvflow.testing.__all__ == ["Call", "Fake", "NothingLeft", "Sandbox", "VirtualClock", "after", "dies"]
    assert all(getattr(wvflow.testing, name) is not None for name in wvflow.testing.__all__)
    with pytest.raises(AttributeError, match="simulat"):
        _ = wvflow.testing.simulatte


def test_fakes_are_called_in_place_of_activities_and_tell_with_what(sandbox: Any, tmp_path: Path) -> None:
    box = sandbox()
    fetch, send = box.fake("fetch", ROWS), box.fake("send")
    result = box.run("F")
    assert result.state == "success", result.error
    (fetched,), (sent,) = fetch.calls, send.calls
    assert (dict(fetched.arguments), fetched.rows, fetched.stage) == ({"url": "https://here"}, None, "fetched")
    assert sent.rows.to_pylist() == [{"n": 20}, {"n": 30}]
    assert result.rows("doubled").to_pylist() == [{"n": 20}, {"n": 30}]
    assert not (tmp_path / ".wvflow").exists()
    assert box.clock.elapsed == timedelta()


def test_hours_of_back_off_pass_at_once_and_exactly(sandbox: Any) -> None:
    box = sandbox("retries: 5, retry_delay: '1h', jitter: 0.5")
    fetch = box.fake("fetch", ConnectionError("503"), ConnectionError, Retry(after=timedelta(days=30)), ROWS)
    result = box.run("F")
    assert result.state == "success", result.error
    assert result.stages["fetched"].attempts == 4
    hours = [(call.at - fetch.calls[0].at) / 3_600_000 for call in fetch.calls]
    assert hours == [0, 1, 3, 3 + 30 * 24]
    assert box.clock.elapsed == timedelta(days=30, hours=3)
    assert result.stages["fetched"].finished_at == "2024-01-31T03:00:00.000Z"


def test_a_failure_is_that_of_a_real_activity(sandbox: Any) -> None:
    box = sandbox("retries: 5")
    box.fake("fetch", NonRetryable("gone"))
    result = box.run("F")
    assert (result.state, result.stages["fetched"].attempts) == ("failed", 1)
    assert result.stages["fetched"].error["kind"] == "NonRetryable"
    assert result.stages["sent"].state == "skipped"


@pytest.mark.parametrize("hangs", ["2h", "300 days"])
def test_a_time_out_strikes_at_its_virtual_time(sandbox: Any, hangs: str) -> None:
    box = sandbox("timeout: '1h', retries: 1, retry_delay: '10m'")
    box.fake("fetch", after(hangs, ROWS), after("59m", ROWS))
    result = box.run("F")
    assert result.state == "success", result.error
    assert box.clock.elapsed == timedelta(hours=1, minutes=10 + 59)
    kinds = [event["event"] for event in box.events(result) if event.get("stage") == "fetched"]
    assert kinds == ["TaskStarted", "TaskTimedOut", "TaskStarted", "TaskSucceeded"]


def test_a_run_is_cancelled_at_its_virtual_time(sandbox: Any) -> None:
    box = sandbox()
    box.fake("fetch", after("2h", ROWS))
    result = box.run("F", cancel_after="90m")
    assert result.state == "cancelled"
    assert box.clock.elapsed == timedelta(minutes=90)


def test_a_process_that_dies_is_bounded_by_the_limit(sandbox: Any) -> None:
    box = sandbox()
    fetch = box.fake("fetch", dies())
    result = box.run("F")
    assert (result.state, len(fetch.calls)) == ("failed", 4)
    assert "the faked process died" in result.stages["fetched"].error["message"]


def test_a_failed_run_is_resumed_with_other_answers(sandbox: Any) -> None:
    box = sandbox()
    box.fake("send", ValueError("no"))
    failed = box.run("F")
    assert failed.state == "failed"
    fetch, send = box.fake("fetch", ROWS), box.fake("send")
    resumed = box.resume(failed)
    assert (resumed.state, resumed.run_id) == ("success", failed.run_id)
    assert (len(fetch.calls), len(send.calls)) == (0, 1)


def test_a_function_answers_with_rows_arguments_and_context(sandbox: Any) -> None:
    box = sandbox()
    box.fake("fetch", lambda *, url, ctx: [{"n": len(url) + ctx.attempt}])
    assert box.run("F").rows("fetched").to_pylist() == [{"n": 13}]


def test_the_warehouse_is_the_sandboxes_own(sandbox: Any, tmp_path: Path) -> None:
    flow = "flow F = {\n  stage kept = from given | where n > 1 | save to kept_rows\n}\n"
    (tmp_path / "activities.py").write_text(ACTIVITIES)
    (tmp_path / "f.wv").write_text(flow)
    with Sandbox(tmp_path) as box:
        box.sql("create table given as select * from (values (1), (2)) as t(n)")
        assert box.run("F").state == "success"
        assert box.sql("from kept_rows").to_pylist() == [{"n": 2}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["activities.py", "f.wv"]


def test_sql_waits_until_what_was_stopped_has_let_go_of_the_warehouse(sandbox: Any) -> None:
    box, held, asked = sandbox(), Event(), Event()
    seen: list[object] = []

    def ask() -> None:
        held.wait()
        asked.set()
        seen.append(box.sql("select 1 as one").to_pylist())

    asking = Thread(target=ask)
    asking.start()
    with lock_of(box.program.project.database).alone():
        held.set()
        asked.wait()
        assert seen == []
    asking.join()
    assert seen == [[{"one": 1}]]


def test_many_stages_wait_at_the_same_time(sandbox: Any) -> None:
    stages = "\n".join(f"  stage s{number} = call fetch(url: '{number}')" for number in range(40))
    box = sandbox(flow=f"flow F = {{\n{stages}\n}}\n")
    box.fake("fetch", after("2h", ROWS))
    assert box.run("F").state == "success"
    assert box.clock.elapsed == timedelta(hours=2)


def test_the_run_time_is_the_virtual_now(sandbox: Any) -> None:
    box = sandbox(now="2025-03-01T06:00:00+01:00")
    assert box.run("F").summary.run_time == "2025-03-01T05:00:00.000Z"


def test_a_fake_that_nobody_calls_is_refused(sandbox: Any) -> None:
    with pytest.raises(UserError, match="no flow calls an activity `fetsch`") as caught:
        sandbox().fake("fetsch")
    assert caught.value.help == "did you mean `fetch`?"


def test_rows_may_come_in_any_form(sandbox: Any) -> None:
    box = sandbox()
    box.fake("fetch", pa.table({"n": [5]}))
    assert box.run("F").rows("doubled").to_pylist() == [{"n": 60}]
