"""Whole flows that people talk to: an approval, an escalation, updates, and what is told of them."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from wvflow.cli.main import cli
from wvflow.errors import CallFailed, NotPossible, UserError, WvflowError
from wvflow.service.api import Program, RunHandle
from wvflow.testing import Sandbox

PAGE = (Path(__file__).parents[2] / "docs/language/conversations.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```wv\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLE = Path(__file__).parents[2] / "examples/approval"
APPROVAL = (EXAMPLE / "approval.wv").read_text(encoding="utf-8").replace("requests.csv", f"{EXAMPLE}/requests.csv")
Signals = Sequence[tuple[str, str, dict[str, object]]]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Callable[[str], Sandbox]]:
    made: list[Sandbox] = []

    def make(flow: str) -> Sandbox:
        (tmp_path / "f.wv").write_text(flow)
        made.append(Sandbox(tmp_path / "f.wv"))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_page_have_no_mistakes_and_run(number: int, sandbox: Callable[[str], Sandbox]) -> None:
    box = sandbox(EXAMPLES[number])
    assert box.program.check() == ()
    for plan in box.program.bundle.flows.values():
        result = box.run(plan.flow, signals=[("1s", "vote", {"who": "ann"})] if plan.flow == "Collect" else ())
        assert result.state == "success", result.summary


def decide(after: str, who: str, approved: bool = True) -> tuple[str, str, dict[str, object]]:
    return after, "decide", {"approved": approved, "who": who}


APPROVALS: list[tuple[Signals, dict[str, str], dict[str, list[object]], timedelta]] = [
    ([decide("1h", "ann")], {"decided": "success", "escalated": "skipped", "refused": "skipped"},
     {"approved": [True], "who": ["ann"]}, timedelta(hours=1)),
    ([decide("2 days 1h", "eve")], {"decided": "failed", "escalated": "success", "refused": "skipped"},
     {"approved": [True], "who": ["eve"]}, timedelta(days=2, hours=1)),
    ([decide("5m", "ann", approved=False), decide("6m", "eve")], {"decided": "success"},
     {"approved": [False], "who": ["ann"]}, timedelta(minutes=5)),
    ([], {"decided": "failed", "escalated": "failed", "refused": "success"},
     {"approved": [False], "who": ["nobody"]}, timedelta(days=3)),
]  # fmt: skip


@pytest.mark.parametrize("text", [EXAMPLES[0], APPROVAL], ids=["page", "example"])
@pytest.mark.parametrize(("signals", "states", "verdict", "elapsed"), APPROVALS)
def test_a_request_is_approved_by_whom_it_is_or_escalated(
    sandbox: Callable[[str], Sandbox],
    text: str,
    signals: Signals,
    states: dict[str, str],
    verdict: dict[str, list[object]],
    elapsed: timedelta,
) -> None:
    box = sandbox(text)
    assert box.program.check() == ()
    result = box.run("Approval", signals=signals)
    assert {name: result.stages[name].state for name in states} == states
    assert result.rows("verdict").to_pydict() == verdict
    assert box.clock.elapsed == elapsed
    assert (result.state, result.rows("paid").num_rows) == ("success", int(bool(verdict["approved"][0])))


# --- from Python ------------------------------------------------------------------------------------------------------

TALKATIVE = """
flow F(most: int = 10) = {
  state n: int = 1
  state name = 'nobody'
  signal say(text: string, day: date = null)
  signal call_it(name: string) = set_name(name)
  update add(more: int) = set_n(n + more) where more > 0 and n + more <= most
  update split(by_: int) = set_n((10 / by_)::int)
  stage first with { timeout: 1m } = wait for say | where day is null or day > '2026-01-01':date
  stage last with { timeout: 1m } = from first | wait until n = most | shout(prefix: name)
}
"""
SHOUT = """
from wvflow import activity

@activity
def shout(rows: list[dict], *, prefix: str) -> list[dict]:
    return [{"told": f"{prefix}: {row['text']}"} for row in rows]
"""


@pytest.fixture
def talk(make_program: Callable[..., Program]) -> Callable[..., Any]:
    """Start the flow, talk to it, and give what the talk came to."""

    def run(talking: Callable[[RunHandle], Coroutine[Any, Any, Any]]) -> Any:
        async def drive() -> Any:
            return await talking(await make_program(TALKATIVE, SHOUT).start("F"))

        return asyncio.run(drive())

    return run


def test_a_handle_signals_and_updates_its_run(talk: Callable[..., Any]) -> None:
    async def talking(handle: RunHandle) -> tuple[Any, ...]:
        await handle.signal("call_it", name="ann")
        await handle.signal("say", text="hello")
        answers = [await handle.update("add", more=4), await handle.update("add", more=5)]
        result = await handle.result()
        return answers, result.output.to_pydict() if result.output else None, result.state

    assert talk(talking) == ([{"n": 5}, {"n": 10}], {"told": ["ann: hello"]}, "success")


REFUSED = [
    ("update", "add", {"more": 10}, NotPossible, "does not hold with more = 10, n = 1, most = 10"),
    ("update", "add", {"more": None}, NotPossible, "does not hold with more = null, n = 1"),
    ("update", "split", {"by_": 0}, NotPossible, "`n` can't be set by `split`"),
    ("update", "ad", {}, UserError, "takes no update `ad`"),
    ("update", "say", {}, UserError, "takes no update `say`"),
    ("signal", "say", {"text": 5}, UserError, "the parameter `text` must be string, not 5"),
    ("signal", "say", {"text": object}, UserError, "the parameter `text` must be string, not <class 'object'>"),
    ("signal", "say", {}, UserError, "signal say needs the parameter `text` (string)"),
    ("signal", "say", {"text": "a", "day": "x"}, UserError, "the parameter `day` must be date, not 'x'"),
    ("signal", "say", {"text": "a" * 1_100_000}, UserError, "take 1,100,"),
    ("signal", "add", {"more": 1}, UserError, "no signal `add` | it is one of its updates: `wvflow runs update "),
    ("signal", "pause", {}, UserError, "no signal `pause` | every run can be told to: `wvflow runs pause "),
    ("update", "resume", {}, UserError, "no update `resume` | every run can be told to: `wvflow runs resume "),
]  # fmt: skip


@pytest.mark.parametrize(("how", "name", "args", "error", "message"), REFUSED)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    talk: Callable[..., Any], how: str, name: str, args: dict[str, object], error: type[WvflowError], message: str
) -> None:
    async def talking(handle: RunHandle) -> Any:
        with pytest.raises(error) as refused:
            await getattr(handle, how)(name, **args)
        assert message in f"{refused.value.message} | {refused.value.help}"
        result = await handle.cancel()
        return result.summary.variables

    assert talk(talking) == {"paused": False, "n": 1, "name": "nobody"}


def test_a_run_that_has_ended_takes_neither(talk: Callable[..., Any]) -> None:
    async def talking(handle: RunHandle) -> None:
        await handle.cancel()
        with pytest.raises(NotPossible, match="has ended already: cancelled"):
            await handle.signal("say", text="a")
        with pytest.raises(NotPossible, match="has ended already: cancelled"):
            await handle.update("add", more=1)

    talk(talking)


def test_a_paused_run_begins_nothing_until_it_is_resumed(talk: Callable[..., Any]) -> None:
    async def talking(handle: RunHandle) -> Any:
        await handle.pause()
        await handle.update("add", more=9)
        await handle.signal("say", text="hello")
        paused = (await handle.update("split", by_=1)), handle._runs.find(handle.run_id).state
        await handle.resume()
        return paused, (await handle.result()).state

    assert talk(talking) == (({"n": 10}, "paused"), "success")


CALLING = """
activity refuse(n: int) with { retries: 1, retry_delay: 1ms }
flow F(most: int = 100) = {
  state n: int = 1
  update scaled(x: int) = set_n(n + x), double(n) where x > 0
  update listed(x: int) = listing(n: n, x: x)
  update silent = nothing()
  update finish = set_n(most), gated()
  update broken = refuse(n: n)
  update large = much()
  stage last with { timeout: 1m } = wait until n >= most
}
"""
CALLED = """
import threading
from pathlib import Path
from wvflow import activity, ActivityContext
HERE = Path(__file__).parent
TICK = threading.Event()

@activity
def double(*, n: int) -> int:
    return n * 2

@activity
def listing(*, n: int, x: int) -> list[dict]:
    return [{"n": n, "x": x}, {"n": n, "x": None}]

@activity
def nothing() -> None:
    pass

@activity
def much() -> str:
    return "x" * 2_000_000

@activity
def refuse(*, n: int, ctx: ActivityContext) -> None:
    raise ValueError(f"{n} in attempt {ctx.attempt}")

@activity
def gated(*, ctx: ActivityContext) -> str:
    (HERE / "begun").touch()
    while not (HERE / "open").exists():
        if ctx.is_cancelled():
            raise RuntimeError("told to stop")
        TICK.wait(0.001)
    return "open"
"""


@pytest.fixture
def call(make_program: Callable[..., Program], tmp_path: Path) -> Callable[..., Any]:
    """Start a flow whose updates end with calls, and give what talking to it came to."""

    def run(talking: Callable[[RunHandle], Coroutine[Any, Any, Any]]) -> Any:
        async def drive() -> Any:
            return await talking(await make_program(CALLING, CALLED).start("F"))

        return asyncio.run(drive())

    return run


def test_the_reply_of_an_update_is_the_result_of_its_call(call: Callable[..., Any]) -> None:
    async def talking(handle: RunHandle) -> Any:
        answers = [
            await handle.update("scaled", x=4),
            await handle.update("listed", x=7),
            await handle.update("silent"),
        ]
        with pytest.raises(NotPossible, match="does not hold with x = 0"):
            await handle.update("scaled", x=0)
        together = await asyncio.gather(*(handle.update("scaled", x=one) for one in (1, 2, 3)))
        await handle.cancel()
        return answers, together

    answers, together = call(talking)
    assert answers == [10, [{"n": 5, "x": 7}, {"n": 5, "x": None}], None]
    assert max(together) == 22, "each sees the state as it is when it is called"


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ("broken", r"accepted the update broken, and its call failed: ValueError: 1 in attempt 2"),
        ("large", r"`much` answers an update and returned more than 1,048,576 bytes"),
    ],
)
def test_the_failure_of_a_call_goes_to_its_caller_and_the_run_goes_on(
    call: Callable[..., Any], update: str, message: str
) -> None:
    async def talking(handle: RunHandle) -> Any:
        for _ in range(2):
            with pytest.raises(CallFailed, match=message):
                await handle.update(update)
        await handle.update("scaled", x=99)
        return (await handle.result()).state

    assert call(talking) == "success"


async def begun(folder: Path) -> None:
    while not (folder / "begun").exists():
        await asyncio.sleep(0)


def test_a_run_does_not_end_before_a_call_of_its_updates_has(call: Callable[..., Any], tmp_path: Path) -> None:
    async def talking(handle: RunHandle) -> Any:
        waiting = asyncio.create_task(handle.update("finish"))
        await begun(tmp_path)
        while handle._runs.summary(handle.run_id).stages[0].state != "success":
            await asyncio.sleep(0)
        state = handle._runs.find(handle.run_id).state
        (tmp_path / "open").touch()
        return state, await waiting, (await handle.result()).state

    assert call(talking) == ("running", "open", "success")


def test_a_cancel_stops_the_call_of_an_update_and_its_caller_is_told(call: Callable[..., Any], tmp_path: Path) -> None:
    async def talking(handle: RunHandle) -> Any:
        waiting = [asyncio.create_task(handle.update("finish")) for _ in range(2)]
        await begun(tmp_path)
        state = (await handle.cancel()).state
        return state, await asyncio.gather(*waiting, return_exceptions=True)

    state, told = call(talking)
    assert state == "cancelled"
    assert all(isinstance(one, CallFailed | NotPossible) for one in told), told


def test_in_a_pause_a_call_waits_and_its_caller_is_told_so(call: Callable[..., Any]) -> None:
    async def talking(handle: RunHandle) -> Any:
        told: list[str] = []
        await handle.pause()
        update = partial(handle._runs.update, handle.run_id, "scaled", {"x": 1}, held=told.append)
        waiting = asyncio.create_task(asyncio.to_thread(update))
        while not told or handle._runs.summary(handle.run_id).variables["n"] != 2:
            await asyncio.sleep(0)
        waits = not waiting.done()
        await handle.resume()
        answer = await waiting
        await handle.cancel()
        return waits, answer.result, told == [handle.run_id]

    assert call(talking) == (True, 4, True)


# --- from the command line --------------------------------------------------------------------------------------------


def test_explain_names_the_command_that_sends_what_is_waited_for(make_program: Callable[..., Program]) -> None:
    program = make_program(TALKATIVE, SHOUT)

    async def drive() -> str:
        handle = await program.start("F", run_id="r")
        words = ["--project", str(program.project.root), "runs", "explain", "r"]
        before = await asyncio.to_thread(lambda: CliRunner().invoke(cli, words).stdout)
        await handle.signal("say", text="hello")
        while not handle._runs.summary("r").stages[1].waits_for:
            await asyncio.sleep(0)
        after = await asyncio.to_thread(lambda: CliRunner().invoke(cli, words).stdout)
        await handle.cancel()
        return before + after

    told = " ".join(asyncio.run(drive()).split())
    assert "`wvflow runs signal r say text=… day=…`" in told
    assert "`wait until n = most` must be true with n = 1 and most = 10" in told
    assert "`wvflow runs update r add more=…`" in told


def test_a_signal_is_acted_on_without_polling(talk: Callable[..., Any]) -> None:
    async def talking(handle: RunHandle) -> float:
        began = time.monotonic()
        for _ in range(20):
            await handle.update("split", by_=1)
        await handle.cancel()
        return time.monotonic() - began

    assert talk(talking) < 15, "twenty answers would take twenty seconds if the safety net had to find them"


def test_the_json_of_an_answer(make_program: Callable[..., Program]) -> None:
    program = make_program(TALKATIVE, SHOUT)

    async def drive() -> Any:
        handle = await program.start("F", run_id="r")
        words = ["--project", str(program.project.root), "runs", "update", "r", "add", "more=2", "--json"]
        told = await asyncio.to_thread(lambda: CliRunner().invoke(cli, words).stdout)
        await handle.cancel()
        return json.loads(told)

    assert asyncio.run(drive()) == {"run_id": "r", "update": "add", "args": {"more": 2}, "result": {"n": 3}}


# --- from another run -------------------------------------------------------------------------------------------------

ANSWERING = """
activity answer(whom: string) = signal(say, run: whom, text: 'from G')
flow G(whom: string, name: string = 'say') = {
  stage told = from [['x']] as t(x) | answer(whom)
  stage odd depends on told with { on_failure: skip } = call signal(name, run: whom)
}
"""


def test_a_run_signals_another_and_is_told_what_is_refused(make_program: Callable[..., Program]) -> None:
    program = make_program(TALKATIVE + ANSWERING, SHOUT)

    async def drive() -> tuple[Any, Any]:
        handle = await program.start("F", run_id="f")
        other = await (await program.start("G", {"whom": "f", "name": "sya"})).result()
        await handle.update("add", more=9)
        return other, await handle.result()

    other, result = asyncio.run(drive())
    assert result.output.to_pydict() == {"told": ["nobody: from G"]}
    assert other.stages["told"].state == "success"
    error = other.stages["odd"].error
    assert (error["kind"], "flow F takes no signal `sya`" in error["message"]) == ("SignalRefused", True)
