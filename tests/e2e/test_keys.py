"""`idempotency_key`: what is done once for each key, over attempts and runs (flow language, section 7)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from wvflow.cli.main import cli
from wvflow.drivers.progress import Progress
from wvflow.errors import NotPossible, UserError
from wvflow.service.api import Program, RunResult
from wvflow.testing import Sandbox

MakeProgram = Callable[..., Program]

ACTIVITIES = """
from pathlib import Path
from wvflow import ActivityContext, NonRetryable, activity

HERE = Path(__file__).parent

def told(name: str, key: str) -> int:
    with (HERE / "calls").open("a") as file:
        file.write(f"{name}:{key}\\n")
    return (HERE / "calls").read_text().splitlines().count(f"{name}:{key}")

@activity
def charge(rows: list[dict], ctx: ActivityContext) -> list[dict]:
    times = told("charge", ctx.idempotency_key or "none")
    for row in rows:
        if row.get("fails", 0) >= times:
            raise ConnectionError("no answer")
        if row.get("refused"):
            raise NonRetryable("card declined")
    return [{"id": row["id"], "receipt": f"{ctx.idempotency_key}-{times}", "count": len(rows)} for row in rows]

@activity
def tell(rows: list[dict], ctx: ActivityContext) -> None:
    times = told("tell", ctx.idempotency_key or "none")
    if rows and rows[0].get("deaf", 0) >= times:
        raise ConnectionError("nobody listens")

@activity
def stamp(rows: list[dict], ctx: ActivityContext) -> list[dict]:
    told("stamp", ctx.idempotency_key or "none")
    return rows

@activity
def recall(rows: list[dict]) -> None:
    told("recall", f"{rows[0]['id']}{rows[0]['n']}")

@activity
def ping(*, day: str, ctx: ActivityContext) -> int:
    return told("ping", ctx.idempotency_key or "none")
"""


def calls(program: Program) -> Counter[str]:
    file = Path(program.project.root) / "calls"
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def rows(result: RunResult, stage: str = "") -> list[dict[str, Any]]:
    assert result.state == "success", result.error
    found: list[dict[str, Any]] = result.rows(stage).to_pylist()
    return found


def pays(config: str = "", body: str = "from 'p.csv' | charge()") -> str:
    return f"flow F(day: string = 'mon', label: string = 'a') = {{ stage pay with {{ {config or KEY} }} = {body} }}"


KEY = "idempotency_key: _.id"


def test_a_stage_is_done_once_for_each_key_and_gives_what_all_of_them_came_to(make_program: MakeProgram) -> None:
    program = make_program(pays(), ACTIVITIES, p__csv="id,n\nb,1\na,2\nb,3\n")
    assert rows(program.run("F")) == [
        {"id": "b", "receipt": "b-1", "count": 2},
        {"id": "b", "receipt": "b-1", "count": 2},
        {"id": "a", "receipt": "a-1", "count": 1},
    ]
    assert calls(program) == {"charge:a": 1, "charge:b": 1}


def test_a_later_run_takes_what_was_recorded_and_does_only_what_is_new(make_program: MakeProgram) -> None:
    program = make_program(pays(), ACTIVITIES, p__csv="id,n\na,1\nb,2\n")
    first = program.run("F")
    (Path(program.project.root) / "p.csv").write_text("id,n\nc,3\nb,2\na,1\n")
    second = program.run("F")
    assert [row["receipt"] for row in rows(second)] == ["c-1", "b-1", "a-1"]
    assert calls(program) == {"charge:a": 1, "charge:b": 1, "charge:c": 1}
    assert first.stages["pay"].reused_keys is None
    assert second.stages["pay"].reused_keys == {first.run_id: 2}


def test_a_retry_does_only_what_has_failed(make_program: MakeProgram) -> None:
    config = f"{KEY}, retries: 2, retry_delay: 1ms"
    program = make_program(pays(config), ACTIVITIES, p__csv="id,fails\na,0\nb,2\nc,0\n")
    result = program.run("F")
    assert [row["receipt"] for row in rows(result)] == ["a-1", "b-3", "c-1"]
    assert result.stages["pay"].attempts == 3
    assert calls(program) == {"charge:a": 1, "charge:b": 3, "charge:c": 1}


def test_only_successes_are_recorded(make_program: MakeProgram) -> None:
    program = make_program(pays(f"{KEY}, retries: 5"), ACTIVITIES, p__csv="id,refused\na,\nb,yes\nc,\n")
    result = program.run("F")
    error = result.stages["pay"].error
    assert error is not None
    assert (error["kind"], error["message"]) == ("NonRetryable", "key `b`: card declined (1 of 3 keys failed)")
    assert program.run("F").state == "failed"
    assert calls(program) == {"charge:a": 1, "charge:b": 2, "charge:c": 1}


def test_rows_without_a_key_are_named_and_nothing_is_done(make_program: MakeProgram) -> None:
    program = make_program(pays(f"{KEY}, retries: 5"), ACTIVITIES, p__csv="id,n\na,1\n,2\n,3\n")
    error = program.run("F").stages["pay"].error
    assert error is not None
    assert error["kind"] == "NullKey"
    assert "2 rows have no idempotency key: {id: null, n: 2}, {id: null, n: 3}" in str(error["message"])
    assert calls(program) == {}


@pytest.mark.parametrize(
    ("conflict", "state", "done"),
    [
        pytest.param("", "failed", {"charge:a": 1, "charge:b": 1, "charge:c": 1}, id="is an error"),
        pytest.param(", idempotency_conflict: reuse", "success", {"charge:a": 1, "charge:b": 1, "charge:c": 1},
                     id="or is taken for the same"),
    ],
)  # fmt: skip
def test_a_key_with_other_input(make_program: MakeProgram, conflict: str, state: str, done: dict[str, int]) -> None:
    program = make_program(pays(KEY + conflict), ACTIVITIES, p__csv="id,n\na,1\nb,2\n")
    first = program.run("F")
    (Path(program.project.root) / "p.csv").write_text("id,n\na,100\nb,2\nc,3\n")
    second = program.run("F")
    assert (second.state, calls(program)) == (state, done)
    if error := second.stages["pay"].error:
        assert error["kind"] == "IdempotencyConflict"
        assert f"key `a`: run {first.run_id} has done it with other input" in str(error["message"])


def test_the_order_of_the_rows_of_a_key_is_no_other_input_but_a_parameter_is(make_program: MakeProgram) -> None:
    flow = pays("idempotency_key: day", "from 'p.csv' | add label as l | charge()")
    program = make_program(flow, ACTIVITIES, p__csv="id,n\na,1\nb,2\n")
    program.run("F")
    (Path(program.project.root) / "p.csv").write_text("id,n\nb,2\na,1\n")
    assert program.run("F").state == "success"
    assert program.run("F", {"label": "other"}).state == "failed"
    assert calls(program) == {"charge:mon": 1}


def test_a_key_without_rows_is_one_for_all_of_them(make_program: MakeProgram) -> None:
    program = make_program(pays("idempotency_key: day"), ACTIVITIES, p__csv="id,n\na,1\nb,2\n")
    first, second, other = program.run("F"), program.run("F"), program.run("F", {"day": "tue"})
    assert rows(first) == rows(second) == [{"id": one, "receipt": "mon-1", "count": 2} for one in "ab"]
    assert [row["receipt"] for row in rows(other)] == ["tue-1", "tue-1"]


def test_a_call_without_rows_is_done_once(make_program: MakeProgram) -> None:
    flow = "flow F(day: string = 'mon') = { stage p with { idempotency_key: s\"x ${day}\" } = call ping(day: day) }"
    program = make_program(flow, ACTIVITIES)
    assert [rows(program.run("F")) for _ in range(2)] == [[{"value": 1}]] * 2
    assert calls(program) == {"ping:x mon": 1}


def test_several_effects_are_each_done_once_and_a_key_goes_on_where_it_failed(make_program: MakeProgram) -> None:
    flow = pays(KEY, "from 'p.csv' | charge() | add 1 as one | tell() | append to paid | where id != 'zz'")
    flow = flow.replace("add 1 as one", "add case id when 'b' then 1 else 0 as deaf")
    program = make_program(flow, ACTIVITIES, p__csv="id\na\nb\n")
    assert program.run("F").state == "failed"
    result = program.run("F")
    assert [(row["id"], row["receipt"]) for row in rows(result)] == [("a", "a-1"), ("b", "b-1")]
    program.run("F")
    assert calls(program) == {"charge:a": 1, "charge:b": 1, "tell:a/2": 1, "tell:b/2": 2}
    with duckdb.connect(str(Path(program.project.root) / ".wvflow" / "warehouse.duckdb")) as warehouse:
        assert warehouse.sql("select id from paid order by id").fetchall() == [("a",), ("b",)]


def test_a_success_counts_for_as_long_as_it_is_said_to(make_program: MakeProgram) -> None:
    program = make_program(pays(f"{KEY}, idempotency_ttl: 1ms"), ACTIVITIES, p__csv="id\na\n")
    assert [row["receipt"] for one in range(2) for row in rows(program.run("F"))] == ["a-1", "a-2"]


def test_rows_that_pass_a_delivery_are_kept_with_its_key(make_program: MakeProgram) -> None:
    program = make_program(pays(KEY, "from 'p.csv' | tell()"), ACTIVITIES, p__csv="id,n\na,1\nb,2\n")
    first, second = program.run("F"), program.run("F")
    assert rows(first) == rows(second) == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
    assert calls(program) == {"tell:a": 1, "tell:b": 1}


def test_where_there_are_no_rows_nothing_is_done(make_program: MakeProgram) -> None:
    flow = pays(KEY, "from 'p.csv' | where n > 5 | tell()") + "\nflow G = { stage x = call ping(day: 'x') }"
    program = make_program(flow, ACTIVITIES, p__csv="id,n\na,1\n")
    assert rows(program.run("F")) == []
    assert calls(program) == {}


def test_large_outputs_outlive_the_run_that_made_them(make_program: MakeProgram) -> None:
    lines = "".join(f"{n % 2},{n}\n" for n in range(1_000))
    program = make_program(pays(KEY, "from 'p.csv' | tell()"), ACTIVITIES, p__csv=f"id,n\n{lines}")
    first = program.run("F")
    program._runs.clean(keep=0)
    second = program.run("F")
    assert sorted(row["n"] for row in rows(second)) == list(range(1_000))
    assert second.stages["pay"].reused_keys == {first.run_id: 2}
    assert calls(program) == {"tell:0": 1, "tell:1": 1}


def test_instances_of_a_mapped_stage_have_their_own_keys(make_program: MakeProgram) -> None:
    program = make_program(pays(f"map: each, {KEY}"), ACTIVITIES, p__csv="id,n\na,1\nb,2\n")
    first, second = program.run("F"), program.run("F")
    assert [row["receipt"] for one in (first, second) for row in rows(one)] == ["a-1", "b-1"] * 2
    assert second.stages["pay"].reused_keys == {first.run_id: 2}
    assert calls(program) == {"charge:a": 1, "charge:b": 1}


def test_each_iteration_of_a_loop_is_done_once_for_each_key(make_program: MakeProgram) -> None:
    body = "from [['a', 0], ['b', 0]] as t(id, n) | while _.n < 2 | add n + 1 as m | stamp() | select id, m as n"
    program = make_program(pays(KEY, body), ACTIVITIES)
    first, second = program.run("F"), program.run("F")
    assert rows(first) == rows(second) == [{"id": "a", "n": 2}, {"id": "b", "n": 2}]
    assert calls(program) == {"stamp:a": 2, "stamp:b": 2}
    assert (first.stages["pay"].reused_keys, second.stages["pay"].reused_keys) == (None, {first.run_id: 4})


def test_what_stands_before_a_loop_is_done_once_and_so_is_each_iteration_under_a_key_for_all(
    make_program: MakeProgram,
) -> None:
    body = "from [['a', 0]] as t(id, n) | tell() | while _.n < 2 | select id, n + 1 as n | stamp()"
    program = make_program(pays("idempotency_key: day", body), ACTIVITIES)
    first, second = program.run("F"), program.run("F")
    assert rows(first) == rows(second) == [{"id": "a", "n": 2}]
    assert calls(program) == {"tell:mon": 1, "stamp:mon": 2}
    assert second.stages["pay"].reused_keys == {first.run_id: 3}


def test_what_each_iteration_did_for_each_key_is_undone_the_newest_first(make_program: MakeProgram) -> None:
    body = "from [['a', 0], ['b', 0]] as t(id, n) | while _.n < 2 | select id, n + 1 as n | stamp()"
    flow = pays(f"{KEY}, compensate: recall", body)[:-1] + " stage d = from pay | test n > 2 }"
    program = make_program(flow, ACTIVITIES)
    assert program.run("F").state == "failed"
    assert calls(program) == {
        "stamp:a": 2,
        "stamp:b": 2,
        "recall:b2": 1,
        "recall:a2": 1,
        "recall:b1": 1,
        "recall:a1": 1,
    }
    undone = (Path(program.project.root) / "calls").read_text().split()[4:]
    assert undone == ["recall:b2", "recall:a2", "recall:b1", "recall:a1"]
    assert program.run("F").state == "failed"
    assert calls(program)["stamp:a"] == 4


WAITS = [
    pytest.param("from 'p.csv' | wait('1ms') | charge()", KEY, ["a-1"], id="rows behind a wait"),
    pytest.param("wait('1ms') | call ping(day: day) | select 'p' as receipt", "idempotency_key: day", ["p"], id="none"),
    pytest.param("wait until not paused | call ping(day: day) | select 'p' as receipt", "idempotency_key: day", ["p"],
                 id="none behind a wait for state"),
    pytest.param("from 'p.csv' | wait until not paused | charge()", KEY, ["a-1"], id="rows behind a wait for state"),
    pytest.param("from 'p.csv' | wait until _.id = 'a' | charge()", KEY, ["a-1"], id="rows that were polled for"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "config", "receipts"), WAITS)
def test_what_is_waited_for_stands_before_what_is_done_once(
    make_program: MakeProgram, body: str, config: str, receipts: list[str]
) -> None:
    program = make_program(pays(config, body), ACTIVITIES, p__csv="id,n\na,1\n")
    assert [[row["receipt"] for row in rows(program.run("F"))] for _ in range(2)] == [receipts] * 2
    assert calls(program).total() == 1


def test_the_key_goes_with_the_request(make_program: MakeProgram, web: Any) -> None:
    web.answer((200, {"ok": True}))
    flow = f"""
        flow F = {{
          stage a with {{ idempotency_key: _.id }} = from 'p.csv' | http(url: '{web.url}', method: 'POST')
            | activate('webhook', url: '{web.url}')
        }}
        """
    program = make_program(flow, p__csv="id\nx 1\n2\n")
    assert rows(program.run("F")) == [{"ok": True}] * 2
    sent = [one.headers["Idempotency-Key"] for one in web.received]
    assert sent == ["2", "2/2", "x%201", "x%201/2"]


def test_keys_of_many_kinds(make_program: MakeProgram) -> None:
    flow = """
        flow F = {
          stage r = from [[1, 2.50, true]] as t(id, d, b) | add '2024-05-06'::date as at
          stage a with { idempotency_key: _.d } = from r | charge()
          stage b with { idempotency_key: _.b } = from r | charge()
          stage c with { idempotency_key: _.at } = from r | charge()
          stage d with { idempotency_key: s"${_.id}/${_.at}" } = from r | charge()
          stage e with { idempotency_key: r.id } = from r | charge()
          stage f = merge a, b, c, d, e
        }
        """
    program = make_program(flow, ACTIVITIES)
    assert {row["receipt"] for row in rows(program.run("F"))} == {
        "2.50-1", "true-1", "2024-05-06-1", "1/2024-05-06-1", "1-1",
    }  # fmt: skip


def test_what_is_done_by_key_is_shown_and_compiled(make_program: MakeProgram) -> None:
    flow = pays(KEY, "from 'p.csv' | where n > 0 | charge() | tell() | append to paid")
    file = str(Path(make_program(flow, ACTIVITIES, p__csv="id,n\na,1\n").project.root) / "program.wv")
    shown = CliRunner().invoke(cli, ["show", file])
    assert "| once per key | charge() | tell() | append to paid" in shown.output
    svg = CliRunner().invoke(cli, ["show", file, "--format", "svg"])
    assert "charge() → tell()" in svg.output
    compiled = CliRunner().invoke(cli, ["compile", file, "--json"])
    found = [json.loads(line) for line in compiled.stdout.splitlines()]
    assert [one["activity"] for one in found if one["activity"]] == ["charge", "tell"]
    assert any("INSERT INTO paid" in one["sql"] for one in found if one["sql"])


def test_what_is_done_by_key_can_be_faked(make_program: MakeProgram) -> None:
    program = make_program(pays(), ACTIVITIES, p__csv="id,n\na,1\nb,2\n")
    with Sandbox(Path(program.project.root) / "program.wv") as box:
        fake = box.fake("charge", [{"ok": 1}], [{"ok": 2}])
        assert rows(box.run("F")) == [{"ok": 1}, {"ok": 2}]
        assert len(fake.calls) == 2


# --- one run for each key -------------------------------------------------------------------------------------------

RUN = """
    flow F(day: string = 'mon', label: string = 'a') with {{ {config} }} = {{
      stage a with {{ idempotency_key: run_id }} = call ping(day: day)
      stage b = from a | test value > 0
    }}
    """
FREE = RUN.format(config="description: 'x'")
ONCE = "idempotency_key: day"


def test_there_is_one_run_for_each_key_of_its_flow(make_program: MakeProgram) -> None:
    program = make_program(RUN.format(config=ONCE), ACTIVITIES)
    first, second, other = program.run("F"), program.run("F"), program.run("F", {"day": "tue"})
    assert (second.run_id, second.summary.by_key) == (first.run_id, "mon")
    assert (other.run_id != first.run_id, other.summary.by_key, first.summary.by_key) == (True, None, None)
    assert rows(first, "a") == rows(second, "a")
    assert len(calls(program)) == 2


def test_a_caller_may_give_the_key(make_program: MakeProgram) -> None:
    program = make_program(FREE, ACTIVITIES)
    first, second, free = program.run("F", key="k"), program.run("F", key="k"), program.run("F")
    assert (second.run_id, second.summary.by_key) == (first.run_id, "k")
    assert free.run_id != first.run_id
    with pytest.raises(UserError, match="is empty"):
        program.run("F", key="")


def test_another_call_with_the_key_and_other_parameters_is_an_error_unless_that_is_said_to_be_all_the_same(
    make_program: MakeProgram,
) -> None:
    program = make_program(RUN.format(config=ONCE), ACTIVITIES)
    first = program.run("F")
    with pytest.raises(UserError, match=f"run {first.run_id} of flow F has the key `mon`, and other parameters"):
        program.run("F", {"label": "b"})
    again = make_program(RUN.format(config=f"{ONCE}, idempotency_conflict: reuse"), ACTIVITIES)
    assert again.run("F", {"label": "b"}).run_id == first.run_id


def test_a_run_that_failed_leaves_its_key_free(make_program: MakeProgram) -> None:
    failing = FREE.replace("value > 0", "value < 0")
    program = make_program(failing, ACTIVITIES)
    first, second = program.run("F", key="k"), program.run("F", key="k")
    assert (first.state, second.state, first.run_id != second.run_id) == ("failed", "failed", True)
    third = make_program(FREE, ACTIVITIES).run("F", key="k")
    assert (third.state, third.summary.by_key) == ("success", None)
    with pytest.raises(NotPossible, match=f"run {third.run_id} was started for its key `k`"):
        asyncio.run(program._runs.resume(first.run_id))


def test_a_success_under_a_key_is_not_cleaned_away_before_it_expires(make_program: MakeProgram) -> None:
    program = make_program(RUN.format(config=f"{ONCE}, keep_runs: 1"), ACTIVITIES)
    first = program.run("F")
    program.run("F", {"day": "tue"})
    program._runs.clean(keep=0)
    assert program.run("F").run_id == first.run_id
    brief = make_program(RUN.format(config=f"{ONCE}, idempotency_ttl: 1ms"), ACTIVITIES)
    short = brief.run("F", {"day": "wed"})
    brief._runs.clean(keep=0)
    assert short.run_id not in {row.run_id for row in brief._runs.recent()}


def test_of_calls_at_once_one_starts_a_run_and_all_are_given_its_result(make_program: MakeProgram) -> None:
    program = make_program(FREE, ACTIVITIES)

    seen: list[list[Progress]] = [[], [], []]

    async def both() -> list[RunResult]:
        handles = [await program.start("F", key="k", watch=one.append) for one in seen]
        return [await handle.result() for handle in handles]

    results = asyncio.run(both())
    assert [one[-1].run.state for one in seen] == ["success"] * 3
    assert len({one.run_id for one in results}) == 1
    assert {one.state for one in results} == {"success"}
    assert len(calls(program)) == 1


def test_statements_start_one_run_for_each_key(make_program: MakeProgram, capsys: Any) -> None:
    program = make_program(RUN.format(config=ONCE) + "\nrun flow F()\nrun flow F()", ACTIVITIES)
    done = CliRunner().invoke(cli, ["run", str(Path(program.project.root) / "program.wv"), "--format", "json"])
    assert done.exit_code == 0, done.output
    assert len(calls(program)) == 1


def test_the_command_says_which_run_has_the_key(make_program: MakeProgram) -> None:
    program = make_program(FREE, ACTIVITIES)
    file = str(Path(program.project.root) / "program.wv")
    first, second, quiet = (CliRunner().invoke(cli, ["run", file, "F", "--key", "k", *q]) for q in ([], [], ["-q"]))
    assert "for the key" not in first.output
    for told in (second, quiet):
        assert "started by an earlier call for the key `k`; no other was started" in told.stdout
    whole = CliRunner().invoke(cli, ["run", file, "F", "--key", "k", "--json"])
    assert json.loads(whole.stdout)["by_key"] == "k"
    assert len(calls(program)) == 1
