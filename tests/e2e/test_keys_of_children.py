"""Flows with a key that other flows start: there is one run for each key, whoever starts it (flow language, section 7).

The activity ``work`` takes half an hour.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wvflow.service.api import RunResult
from wvflow.service.cleaning import remove
from wvflow.testing import Sandbox, after

ACTIVITIES = """
from wvflow import activity

@activity
def work(*, day: str) -> list[dict]:
    return [{"day": day, "n": 1}]

@activity
def refund(rows: list[dict]) -> None:
    pass
"""
KEYED = """
flow Pay(day: string = 'mon', label: string = 'a') with {{ {config} }} = {{
  stage paid = call work(day: day)
  stage out = from paid | select day, n, label as label
}}
"""
PAY = KEYED.format(config="idempotency_key: day")
Make = Callable[[str], Sandbox]


def rows(result: RunResult, stage: str = "") -> list[dict[str, object]]:
    assert result.state == "success", result.error
    found: list[dict[str, object]] = result.rows(stage).to_pylist()
    return found


def runs_of(sandbox: Sandbox, flow: str) -> list[str]:
    """Oldest first."""
    return [row.run_id for row in reversed(sandbox._runs.recent(limit=None)) if row.flow.flow == flow]


def reused(result: RunResult, stage: str) -> dict[str, int] | None:
    return result.stages[stage].reused_keys


MON, TUE = {"day": "mon", "n": 1, "label": "a"}, {"day": "tue", "n": 1, "label": "a"}


def test_a_child_whose_key_a_run_has_that_succeeded_is_given_what_that_came_to(make: Make) -> None:
    sandbox = make(f"{PAY} flow F = {{ stage a = call Pay('mon') | select day, n  stage b = call Pay('tue') }}")
    fake = sandbox.fake("work", after("30m", [{"day": "mon", "n": 1}]))
    alone = sandbox.run("Pay")
    result, again = sandbox.run("F"), sandbox.run("F")
    assert (rows(result, "a"), rows(again, "a")) == ([{"day": "mon", "n": 1}],) * 2
    mon, tue = runs_of(sandbox, "Pay")
    assert (mon, len(fake.calls)) == (alone.run_id, 2)
    assert (reused(result, "a"), reused(result, "b")) == ({mon: 1}, None)
    assert (reused(again, "a"), reused(again, "b")) == ({mon: 1}, {tue: 1})


def test_what_was_given_lasts_when_the_run_is_deleted_which_no_rule_does_as_long_as_it_counts(make: Make) -> None:
    sandbox = make(f"{PAY} flow F = {{ stage a = call Pay() }} flow G = {{ stage g = call F() }}")
    first, second = sandbox.run("G"), sandbox.run("F")
    runs = sandbox._runs
    assert [row.run_id for row in runs.clean(keep=0, dry_run=True).runs] == [second.run_id]
    remove(runs._store, runs.project.state, [runs.find(first.run_id)])
    assert runs_of(sandbox, "Pay") == []
    assert rows(second) == [MON]


def test_of_those_that_are_under_way_at_once_one_does_it_and_the_others_wait(make: Make) -> None:
    sandbox = make(f"""{PAY}
        flow G = {{ stage g = call Pay('mon') }}
        flow F = {{
          stage a = call Pay('mon')  stage b = call Pay('mon')  stage c = call G()
          stage each_day with {{ map: each }} = from [['mon'], ['tue'], ['tue']] as t(day) | -> Pay(_.day)
        }}
    """)
    fake = sandbox.fake("work", after("30m", [{"day": "x", "n": 1}]))
    result = sandbox.run("F")
    assert result.state == "success", result.error
    assert len(fake.calls) == len(runs_of(sandbox, "Pay")) == 2
    assert sandbox.clock.elapsed.total_seconds() == 30 * 60


def test_one_that_failed_leaves_the_key_free_for_those_who_waited(make: Make) -> None:
    sandbox = make(f"{PAY} flow F = {{ stage a = call Pay()  stage b = call Pay()  stage c = merge a, b }}")
    sandbox.fake("work", after("30m", ValueError("first")), after("30m", [{"day": "mon", "n": 1}]))
    result = sandbox.run("F")
    assert sorted(result.stages[one].state for one in "ab") == ["failed", "success"]
    assert len(runs_of(sandbox, "Pay")) == 2
    assert sandbox.clock.elapsed.total_seconds() == 60 * 60


def test_a_retry_takes_what_another_has_done_meanwhile(make: Make) -> None:
    sandbox = make(f"""{PAY} flow F = {{
        stage a with {{ retries: 1, retry_delay: 2h }} = call Pay()
        stage later = from [[1]] as t(n) | wait('1h')
        stage b = from later | call Pay() }}""")
    sandbox.fake("work", after("1m", ValueError("first")), [{"day": "mon", "n": 1}])
    result = sandbox.run("F")
    assert (rows(result, "a"), result.stages["a"].attempts) == ([MON], 2)
    assert reused(result, "a") == {runs_of(sandbox, "Pay")[1]: 1}


REFUSED = [
    pytest.param("flow F = { stage a = call Pay(label: 'b') }", "IdempotencyConflict: run {0} of flow Pay has the key "
                 "`mon`, and other parameters", id="other parameters"),
    pytest.param("flow F = { stage a = call Pay(null) }", "InvalidKey: the idempotency key of this run of flow Pay is "
                 "null", id="a null key"),
    pytest.param("flow F(n: int = 1) with { idempotency_key: n } = { stage a with { retries: 3 } = call F(n) }",
                 "KeyDeadlock: run {1} of flow F has the key, and waits itself for run {1}", id="a run for itself"),
    pytest.param("flow F(n: int = 1) with { idempotency_key: n } = { stage a = call F(3 - n) }",
                 "KeyDeadlock: run {1} of flow F has the key, and waits itself for run", id="two runs for each other"),
]  # fmt: skip


@pytest.mark.parametrize(("flow", "expected"), REFUSED)
def test_a_child_that_must_not_be_begun_fails_its_stage_at_once(make: Make, flow: str, expected: str) -> None:
    sandbox = make(PAY + flow)
    pay = sandbox.run("Pay")
    result = sandbox.run("F")
    assert result.stages["a"].attempts == 1
    assert expected.format(pay.run_id, result.run_id) in str(result.error)


def test_other_parameters_may_be_all_the_same(make: Make) -> None:
    reuse = KEYED.format(config="idempotency_key: day, idempotency_conflict: reuse")
    sandbox = make(f"{reuse} flow F = {{ stage a = call Pay(label: 'b') }}")
    sandbox.run("Pay")
    assert rows(sandbox.run("F")) == [MON]


def test_who_waits_for_a_key_can_be_cancelled_and_the_run_that_has_it_goes_on(make: Make) -> None:
    sandbox = make(f"""{PAY} flow F = {{ stage a = call Pay()
        stage later = from [[1]] as t(n) | wait('1m')  stage b with {{ timeout: 5m }} = from later | call Pay() }}""")
    sandbox.fake("work", after("30m", [{"day": "mon", "n": 1}]))
    result = sandbox.run("F")
    assert (result.stages["a"].state, result.stages["b"].state) == ("success", "failed")
    assert "the child took longer than the timeout of 5m" in str(result.stages["b"].error)
    assert len(runs_of(sandbox, "Pay")) == 1


def test_a_stage_that_does_not_wait_for_its_child_names_the_run_that_has_the_key(make: Make) -> None:
    sandbox = make(f"{PAY} flow F = {{ stage a with {{ detach: true }} = call Pay()  stage b = from a }}")
    first, second = sandbox.run("F"), sandbox.run("F")
    (pay,) = runs_of(sandbox, "Pay")
    assert rows(first, "b") == rows(second, "b") == [{"flow": "Pay", "run_id": pay}]
    assert (reused(first, "a"), reused(second, "a")) == (None, {pay: 1})


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("flow F = {{ stage a = from [[1]] as t(n) | -> Pay }}", id="a jump"),
        pytest.param("flow F with {{ on_finish: Pay }} = {{ stage a = from [[1]] as t(n) }}", id="a hook"),
    ],
)
def test_a_jump_and_a_hook_start_one_run_for_each_key(make: Make, program: str) -> None:
    sandbox = make(PAY + program.replace("{{", "{").replace("}}", "}"))
    first, second = sandbox.run("F"), sandbox.run("F")
    assert (first.state, second.state) == ("success", "success")
    (pay,) = runs_of(sandbox, "Pay")
    assert [one.reused_keys for one in second.summary.hooks] == [{pay: 1}]
    assert [one.reused_keys for one in first.summary.hooks] == [None]


def test_versions_share_the_key_of_their_flow(make: Make) -> None:
    sandbox = make(f"""{PAY.replace("flow Pay", "flow Pay @version(2)")}
        {PAY} flow F = {{ stage a = call Pay @version(1)()  stage b = from a | call Pay() }}""")
    result = sandbox.run("F")
    assert rows(result, "b") == [MON]
    assert len(runs_of(sandbox, "Pay")) == 1


SAGA = """ flow F(most: int = 0, day: string = 'mon') = {
    stage a with { compensate: refund } = call Pay(day)
    stage b with { compensate: refund, map: each } = from [['wed'], ['thu']] as t(d) | -> Pay(_.d)
    stage c with { compensate: refund, detach: true } = call Pay('fri')
    stage d depends on a, b, c = from [[1]] as t(n) | test n <= most
} flow Thu = { stage t = call Pay('thu') }"""


def test_what_a_run_had_done_under_keys_is_undone_and_free_again_and_what_others_did_stays(make: Make) -> None:
    sandbox = make(PAY + SAGA)
    work, refund = sandbox.fake("work", [{"day": "x", "n": 1}]), sandbox.fake("refund")
    mon, thu = sandbox.run("Pay"), sandbox.run("Thu")
    failed = sandbox.run("F")
    assert failed.state == "failed"
    states = {one.stage: one.compensation for one in failed.summary.stages}
    assert states == {"a": None, "b": "success", "c": "success", "d": None}
    assert (len(work.calls), len(refund.calls)) == (4, 2)
    again = sandbox.run("F", {"most": 1})
    assert again.state == "success", again.error
    (thursday,) = (one.run_id for one in sandbox._runs.recent(limit=None) if one.parent == thu.run_id)
    assert (reused(again, "a"), reused(again, "b"), reused(again, "c")) == ({mon.run_id: 1}, {thursday: 1}, None)
    assert (len(work.calls), len(refund.calls)) == (6, 2)


def test_a_flow_undoes_itself_only_where_the_run_had_started_it(make: Make) -> None:
    sandbox = make("""
        flow Pay(day: string) with { idempotency_key: day } = {
          stage p with { compensate: refund } = call work(day: day)
        }
        flow F(most: int = 0) = {
          stage a = call Pay('mon')  stage b = call Pay('tue')
          stage d depends on a, b = from [[1]] as t(n) | test n <= most
        }
    """)
    work, refund = sandbox.fake("work", [{"day": "x", "n": 1}]), sandbox.fake("refund")
    mon = sandbox.run("Pay", {"day": "mon"})
    assert sandbox.run("F").state == "failed"
    assert {row.params["day"]: row.state for row in sandbox._runs.recent(limit=None, flow="Pay")} == {
        "mon": "success",
        "tue": "cancelled",
    }
    again = sandbox.run("F", {"most": 1})
    assert (reused(again, "a"), reused(again, "b")) == ({mon.run_id: 1}, None)
    assert (len(work.calls), len(refund.calls)) == (3, 1)
