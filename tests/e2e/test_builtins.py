"""Built-in activities and `activate` in whole flows, against real servers that also fail."""

from __future__ import annotations

import json
import os
import select
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from wvflow.service.api import Program, RunResult


def rows(result: RunResult, stage: str = "") -> list[dict[str, Any]]:
    assert result.state == "success", result.summary
    found: list[dict[str, Any]] = result.rows(stage).to_pylist()
    return found


def events(program: Program, result: RunResult) -> list[Any]:
    return [recorded.event for recorded in program._runs.events(result.run_id)]


def logged(program: Program, result: RunResult) -> list[tuple[str, str, str]]:
    return [(line.stage, line.level, line.message) for line in program._runs.logs(result.run_id)]


# --- http -----------------------------------------------------------------------------------------------------------


def test_a_declared_request_is_made_of_its_parameters(run_flow: Any, web: Any) -> None:
    web.answer((200, [{"id": 1, "price": 9.5}, {"id": 2}]), (200, 41), (200, {"ok": True}))
    flow = f"""
        activity page(n: int, day: date = '2024-01-02') =
          http(url: s"{web.url}/pages/${{n}}?day=${{day}}&run=${{run_date}}")
        activity total(whose: string): int = http(url: '{web.url}/total', query: {{of: whose}})
        flow F(page_number: int) = {{
          stage a = call page(n: page_number)
          stage b = from a | agg id.sum as n | total(whose: 'x') | select value + 1 as n
          stage c = from b | http(method: 'POST', url: s"{web.url}/done")
        }}
        """
    result = run_flow(flow, params={"page_number": 7})
    assert rows(result, "a") == [{"id": 1, "price": 9.5}, {"id": 2, "price": None}]
    assert rows(result, "b") == [{"n": 42}]
    assert rows(result) == [{"ok": True}]
    page, total, done = web.received
    assert page.path.startswith("/pages/7?day=2024-01-02&run=20")
    assert total.path == "/total?of=x"
    assert done.json == [{"n": 42}]


@pytest.mark.parametrize(
    ("answers", "state", "attempts", "kind"),
    [
        pytest.param([500, (200, {"n": 1})], "success", 2, None, id="an error of the server's is tried again"),
        pytest.param([(429, None, {"Retry-After": "0"}), 200], "success", 2, None, id="so is one that asks to wait"),
        pytest.param([503], "failed", 3, "HttpError", id="until there are no retries left"),
        pytest.param([404], "failed", 1, "HttpError", id="an error of ours is not"),
    ],
)
def test_the_status_decides_what_is_tried_again(
    run_flow: Any, web: Any, answers: Any, state: str, attempts: int, kind: str | None
) -> None:
    web.answer(*answers)
    flow = f"flow F = {{ stage a with {{ retries: 2, retry_delay: 1ms }} = call http(url: '{web.url}') }}"
    result = run_flow(flow)
    stage = result.stages["a"]
    assert (result.state, stage.attempts) == (state, attempts)
    assert (stage.error["kind"] if stage.error else None) == kind
    assert len({one.headers["Idempotency-Key"] for one in web.received}) == 1
    assert len(web.received) == attempts


def test_the_time_that_the_service_asks_for_is_waited(make_program: Any, web: Any) -> None:
    web.answer((429, None, {"Retry-After": "3600"}), 200)
    text = f"flow F = {{ stage a with {{ retries: 1, retry_delay: 1ms }} = call http(url: '{web.url}') }}"
    from wvflow.testing.sandbox import Sandbox

    make_program(text)
    with Sandbox(make_program(text).project.root / "program.wv") as sandbox:
        before = sandbox.clock.now()
        assert sandbox.run("F").state == "success"
        assert sandbox.clock.now() - before >= 3_600_000


def test_a_service_that_does_not_answer_in_time(run_flow: Any, web: Any, hang: object) -> None:
    web.answer((200, hang), (200, {"n": 1}))
    flow = (
        f"flow F = {{ stage a with {{ timeout: 300ms, retries: 1, retry_delay: 1ms }} = call http(url: '{web.url}') }}"
    )
    result = run_flow(flow)
    assert rows(result) == [{"n": 1}]
    assert result.stages["a"].attempts == 2


def test_the_policy_of_a_declaration_counts_for_its_calls(run_flow: Any, web: Any) -> None:
    web.answer(500, 500, (200, {"n": 1}))
    flow = f"""
        activity page with {{ retries: 2, retry_delay: 1ms }} = http(url: '{web.url}')
        flow F = {{ stage a = call page() }}
        """
    assert rows(run_flow(flow)) == [{"n": 1}]


# --- effects in a row -----------------------------------------------------------------------------------------------


def test_each_effect_of_a_stage_is_recorded_by_itself(make_program: Any, web: Any) -> None:
    web.answer(200, 503, 200)
    program = make_program(f"""
        flow F = {{
          stage a with {{ retries: 1, retry_delay: 1ms }} = from [[1], [2]] as t(n)
            | activate('webhook', url: '{web.url}/first')
            | activate('webhook', url: '{web.url}/second')
            | where n > 1
        }}
        """)
    result = program.run("F")
    assert rows(result) == [{"n": 2}]
    assert [one.path for one in web.received] == ["/first", "/second", "/second"]
    first, second, again = [one.headers["Idempotency-Key"] for one in web.received]
    assert first != second == again


def test_a_resumed_run_goes_on_with_the_delivery_that_failed(make_program: Any, web: Any) -> None:
    web.answer(200, 200, 400, 200)
    program = make_program(f"""
        flow F = {{
          stage a = from range(5) as t(n)
            | activate('webhook', url: '{web.url}/first')
            | activate('webhook', url: '{web.url}/second', max_rows: 2)
        }}
        """)
    result = program.run("F")
    assert result.state == "failed"
    import asyncio

    asyncio.run(program._runs.resume(result.run_id))
    assert [(one.path, len(one.json)) for one in web.received] == [
        ("/first", 5), ("/second", 2), ("/second", 2), ("/second", 2), ("/second", 1),
    ]  # fmt: skip
    keys = [one.headers["Idempotency-Key"] for one in web.received]
    assert keys[2] == keys[3]
    assert len(set(keys)) == 4


def test_secrets_reach_the_service_and_nothing_that_is_kept(
    make_program: Any, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t/ü")
    web.answer((200, {"n": 1}), (400, "you sent s3cr3t/ü"))
    program = make_program(f"""
        activity ask(token: string) = http(url: '{web.url}', query: {{t: token}}, headers: {{Authorization: 'x'}})
        flow F = {{
          stage a = call ask(token: secret('TOKEN'))
          stage b = from a | log(s"it is ${{secret('TOKEN')}}") | activate('fax', key: secret('TOKEN'))
          stage c = from b | http(url: s"{web.url}/${{secret('TOKEN')}}")
        }}
        """)
    result = program.run("F")
    assert result.state == "failed"
    assert web.received[0].path == "/?t=s3cr3t%2F%C3%BC"
    told = [line[2] for line in logged(program, result)]
    assert told[0] == "it is ********"
    assert "********" in told[1]
    assert "********" in result.stages["c"].error["message"]
    state = program.project.state
    for file in [*state.rglob("*.db"), *state.rglob("*.db-wal"), *state.rglob("*.parquet")]:
        content = file.read_bytes()
        for form in ("s3cr3t/", "s3cr3t%2F", "s3cr3t\\/"):
            assert form.encode() not in content, file


# --- sql, shell, log ------------------------------------------------------------------------------------------------


def test_statements_change_the_warehouse_and_give_rows(run_flow: Any) -> None:
    flow = """
        activity purge(above: int) = sql('delete from kept where n > $above', above: above)
        flow F = {
          stage a = from range(5) as t(n) | sql('create table kept as select * from _')
          stage b depends on a = call purge(above: 2)
          stage c = merge b | sql('insert into kept values (9) returning n * 2 as twice')
          stage d depends on c = call sql('update kept set n = n + 1; select count(*) as n, sum(n) as s from kept')
          stage e depends on d = from kept | agg n.max as n
        }
        """
    result = run_flow(flow)
    assert rows(result, "a") == [{"rows": 5}]
    assert rows(result, "b") == [{"rows": 2}]
    assert rows(result, "c") == [{"twice": 18}]
    assert rows(result, "d") == [{"n": 4, "s": 16}]
    assert rows(result) == [{"n": 10}]


TYPED = """
    activity kind(day: date, amount: decimal[9,2] = 1.5) =
      sql('select typeof($day) as d, typeof($amount) as a', day: day, amount: amount)
    flow F = {{ stage a = call kind(day: {}) }}
    """


def test_a_text_is_a_date_where_the_parameter_says_so(run_flow: Any) -> None:
    (row,) = rows(run_flow(TYPED.format("'2024-05-01'")))
    assert (row["d"], row["a"].startswith("DECIMAL")) == ("DATE", True)
    refused = run_flow(TYPED.format("'May'")).stages["a"]
    assert (refused.attempts, refused.error["kind"]) == (1, "EvaluationError")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("sql('select nothing')", "nothing"),
        ("sql('selec 1')", "syntax error"),
        ("sql('')", "there is no statement in it"),
        ("sql('begin')", "it begins or ends a transaction"),
        ("sql('select 1', n: 1)", "it has no `$n`"),
        ("sql('select $n')", "`$n` has no value"),
    ],
)
def test_a_statement_that_can_not_be_run(run_flow: Any, call: str, message: str) -> None:
    result = run_flow(f"flow F = {{ stage a with {{ retries: 3 }} = call {call} }}")
    stage = result.stages["a"]
    assert (result.state, stage.attempts) == ("failed", 1)
    assert message in stage.error["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_a_command_is_killed_with_its_children_when_its_time_is_up(make_program: Any, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    program = make_program("""
        flow F(file: string) = {
          stage a with { timeout: 1s } =
            call shell('trap "" TERM; sleep 1000 & echo $$ $! > "$f"; echo begun; wait', f: file)
        }
        """)
    result = program.run("F", {"file": str(file)})
    assert result.state == "failed"
    pids = [int(pid) for pid in file.read_text().split()]
    assert len(pids) == 2
    for pid in pids:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            died = select.poll()
            died.register(handle, select.POLLIN)
            assert died.poll(30_000), f"process {pid} lives on"
            os.close(handle)


def test_rows_pass_a_command_and_the_log(make_program: Any) -> None:
    program = make_program("""
        flow F = {
          stage a = from [[1], [2]] as t(n) | shell('cat; echo "$who" >&2', who: 'me') | log('both') | select n + 1 as m
          stage b = from a | shell('cat', output: 'json')
        }
        """)
    result = program.run("F")
    assert rows(result) == [{"m": 2}, {"m": 3}]
    assert sorted(logged(program, result)) == [
        ("a", "info", "both"), ("a", "info", '{"n":1}'), ("a", "info", '{"n":2}'), ("a", "warning", "me"),
    ]  # fmt: skip


# --- activate -------------------------------------------------------------------------------------------------------

DELIVERIES = """
        flow F = {
          stage a = from [[1, 'x'], [2, null]] as t(n, s)
            | activate('file', path: 'out/a.csv')
            | activate('file', path: s"out/${'b'}.parquet")
            | activate('file', path: 'out/c.json')
            | activate('file', path: 'out/d.txt', format: 'csv')
            | where n = 2
            | activate('file', path: 'out/a.csv')
        }
        """


def test_files_are_written_whole_and_replaced(run_flow: Any, tmp_path: Path) -> None:
    assert rows(run_flow(DELIVERIES)) == [{"n": 2, "s": None}]
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["a.csv", "b.parquet", "c.json", "d.txt"]
    assert (out / "a.csv").read_text() == "n,s\n2,\n"
    assert pq.read_table(out / "b.parquet").to_pylist() == [{"n": 1, "s": "x"}, {"n": 2, "s": None}]
    assert [json.loads(line) for line in (out / "c.json").read_text().splitlines()] == [
        {"n": 1, "s": "x"}, {"n": 2, "s": None},
    ]  # fmt: skip
    assert (out / "d.txt").read_text() == "n,s\n1,x\n2,\n"


def test_a_file_of_an_unknown_form_fails(run_flow: Any) -> None:
    result = run_flow("flow F = { stage a = from [[1]] as t(n) | activate('file', path: 'a.doc') }")
    assert result.stages["a"].error["message"].startswith("can't tell the format of `a.doc`")


def test_a_mail_is_sent_once_the_server_takes_it(make_program: Any, mailbox: Any, tmp_path: Path) -> None:
    (tmp_path / "wvflow.toml").write_text(f"[email]\nserver = '{mailbox.url}'\nfrom = 'flows@example.com'\n")
    mailbox.refuse = {"b@example.com": "550 nobody"}
    text = """
        flow F(whom: string) = {
          stage a with { retries: 2, retry_delay: 1ms } =
            from [[1]] as t(n) | activate('email', to: whom, subject: 'hi')
        }
        """
    refused = make_program(text).run("F", {"whom": "a@example.com, b@example.com"})
    assert (refused.state, refused.stages["a"].attempts) == ("failed", 1)
    assert mailbox.mails == []
    assert rows(make_program(text).run("F", {"whom": "a@example.com"})) == [{"n": 1}]
    assert [mail["Subject"] for mail in mailbox.mails] == ["hi"]


SINK = """
from wvflow import ActivityContext, sink

@sink("slack", retries=1, retry_delay="1ms")
def send(rows: list[dict], *, channel: str, ctx: ActivityContext) -> None:
    if ctx.attempt == 1:
        raise ConnectionError("slack is away")
    ctx.logger.info("%s: %s", channel, rows)
"""


def test_a_registered_sink_delivers_under_its_own_policy(make_program: Any) -> None:
    stage = "stage a with { idempotency_key: _.n } = from [[1]] as t(n) | activate('slack', channel: '#a')"
    program = make_program(f"flow F = {{ {stage} }}", SINK)
    assert program.check() == ()
    result = program.run("F")
    assert rows(result) == [{"n": 1}]
    assert logged(program, result) == [("a", "info", "#a: [{'n': 1}]")]


@pytest.mark.parametrize("strict", [False, True])
def test_what_no_sink_delivers_is_logged_or_fails(make_program: Any, tmp_path: Path, strict: bool) -> None:
    (tmp_path / "wvflow.toml").write_text(f"strict_sinks = {str(strict).lower()}\n")
    program = make_program("""
        flow F = {
          stage a = from [[1]] as t(n) | activate('slack', channel: '#a')
          stage b = from [[1]] as t(n) | activate('email', to: 'a@example.com')
        }
        """)
    (warning,) = program.check()
    assert ("will fail" in warning.message) == strict
    result = program.run("F")
    if strict:
        assert {stage.error["kind"] for stage in result.stages.values()} == {"NotDelivered"}
    else:
        assert result.state == "success"
        assert sorted(level for _, level, _ in logged(program, result)) == ["info", "info", "warning", "warning"]


def test_deliveries_can_be_faked(make_program: Any, tmp_path: Path) -> None:
    from wvflow.testing.sandbox import Sandbox

    make_program("flow F = { stage a = from [[1]] as t(n) | activate('webhook', url: 'http://x.example') }")
    with Sandbox(tmp_path / "program.wv") as sandbox:
        fake = sandbox.fake("webhook")
        assert sandbox.run("F").state == "success"
    assert [call.rows.to_pylist() for call in fake.calls if call.rows is not None] == [[{"n": 1}]]
